"""Of an outside plugin's text, the words that stand in its source."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from services.runner.keystorage.file import FileKeys
from services.runner.keystorage.guardwords import MAX_CHARS, OwnWords, is_outside, open_settings

_SOURCE = '''
class Keys:
    """Ask the provider."""

    def read(self, url, cause):
        raise ValueError(f"the provider at {url} is not there: {cause}. Correct `address`!")
'''


class Config(msgspec.Struct):
    url: str = "https://vault.example:8200"
    secret_id: str = msgspec.field(default="hvs.token", name="secretId")
    retries: int = 5


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Any]:
    """A class of a module of its own, with a source."""
    (tmp_path / "wordy_keys.py").write_text(_SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    module = __import__("wordy_keys")
    monkeypatch.delitem(sys.modules, "wordy_keys")
    monkeypatch.setitem(sys.modules, "wordy_keys", module)
    found: type[Any] = module.Keys
    return found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("the provider is not there", "the provider is not there"),
        ("The provider", "[...] provider"),
        (
            "the provider at https://vault.example:8200 is not there: s3cret word. Correct `address`!",
            "the provider at https://vault.example:8200 is not there: [...] Correct `address`!",
        ),
        ("key 'db/password' (password) with [SECURE]", "[...] 'db/password' (password) with [SECURE]"),
        ("hvs.token", "[...]"),
        ("provider=s3cret", "[...]"),
        ("", ""),
        ("provider " * MAX_CHARS, "provider " * (MAX_CHARS // len("provider ")) + "[...]"),
    ],
)
def test_words_of_its_source_its_settings_and_the_path(plugin: type[Any], text: str, told: str) -> None:
    words = OwnWords(plugin, [*open_settings(Config(), {"secretId"}), "with"])
    assert words.told(text, "db/password") == told


def test_a_plugin_without_a_source_has_no_words() -> None:
    class Keys:
        __module__ = "gone"
        version: ClassVar[str] = "1"

    assert OwnWords(Keys, []).told("the db/x is sealed", "db/x") == "[...] db/x [...]"


def test_ours_are_no_outside_plugins(plugin: type[Any]) -> None:
    assert is_outside(plugin)
    assert not is_outside(FileKeys)
    assert open_settings(Config(), {"secretId"}) == ["https://vault.example:8200", "5"]
