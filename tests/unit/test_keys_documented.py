"""docs/keys.md says every setting of every key storage of ours, with its default; its examples work."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runbus.plugin import KeyFailure, KeyStorage
from services.runner.keystorage.aws import AwsSecrets
from services.runner.keystorage.conjur import ConjurVariables
from services.runner.keystorage.environment import EnvironmentKeys
from services.runner.keystorage.file import FileKeys
from services.runner.keystorage.settings import converted
from services.runner.keystorage.vault import VaultKeyStorage
from services.runner.keystorage.yamlfile import read_file

TEXT = Path(__file__).parents[2].joinpath("docs", "keys.md").read_text()
PLUGINS: dict[str, type[KeyStorage]] = {
    "file": FileKeys,
    "environment": EnvironmentKeys,
    "vault": VaultKeyStorage,
    "aws-secrets-manager": AwsSecrets,
    "conjur": ConjurVariables,
}
SETTINGS = [(kind, field) for kind, plugin in PLUGINS.items() for field in msgspec.structs.fields(plugin.config_type)]


def section(kind: str) -> str:
    """What stands below the title of a storage."""
    return re.split(r"^#", TEXT.split(f"\n#### `{kind}`\n")[1], flags=re.MULTILINE)[0]


def shown(default: Any) -> str:
    value = default.value if isinstance(default, Enum) else default
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize(("kind", "field"), SETTINGS, ids=lambda each: getattr(each, "encode_name", each))
def test_a_setting_is_listed_with_its_default(kind: str, field: msgspec.structs.FieldInfo) -> None:
    name = field.encode_name
    (row,) = [
        line for line in section(kind).splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1]
    ]
    if field.required:
        assert "| required |" in row
    elif field.default != "":
        assert f"`{shown(field.default)}`" in row or f"mount `{shown(field.default)}`" in row
    assert (f"`{name}` *secret*" in row) == (name in PLUGINS[kind].secret_settings)
    for value in field.type if isinstance(field.type, type) and issubclass(field.type, Enum) else ():
        assert f"`{value.value}`" in row


@pytest.mark.parametrize("kind", PLUGINS)
def test_its_example_is_one(kind: str, tmp_path: Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", section(kind), flags=re.MULTILINE | re.DOTALL)
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    for block in blocks:
        file = tmp_path / "storage.yaml"
        file.write_text(re.sub(r"/run/secrets/\w+", str(secret), block))
        (settings,) = read_file(str(file), PLUGINS)
        assert settings.type == kind
        converted(settings, PLUGINS[kind])
    assert blocks


def test_every_reason_is_listed() -> None:
    reasons = TEXT.split("\n## When it fails\n")[1]
    for reason in KeyFailure:
        assert f"`{reason.value}`" in reasons, reason
