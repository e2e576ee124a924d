"""What a node source may be: names, times, and no secrets in its settings."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from domain.keys.paths import KeyPath, is_key_name
from domain.selection import tag_set_of
from schemas.codec import encode
from schemas.errors import ErrorCode, RunbusError
from schemas.sources import LOADED, ProjectSources, SourceDefinition
from schemas.tokens import identifier

MIN_INTERVAL_S: Final = 5.0
MAX_INTERVAL_S: Final = 366 * 86_400.0
"""The time it is due at has to be one of the calendar's."""
MAX_TIMEOUT_S: Final = 3600.0
MAX_CONFIG_BYTES: Final = 64 << 10
_SECRET: Final = re.compile(r"passw|token|secret|passphrase", re.IGNORECASE)
_NOT_SECRET: Final = re.compile(r"(file|url|type|method|option|selector|verify|path)s?\Z", re.IGNORECASE)
_NAMES_KEY: Final = re.compile(r"(passw|token|secret|passphrase|vault|key).*storage[-_]?path\Z", re.IGNORECASE)
_IS_PATH: Final = re.compile(r"storage[-_]?path\Z", re.IGNORECASE)
_TYPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


def checked_source(source: SourceDefinition) -> SourceDefinition:
    """The source. Raises ``invalid_source``, ``invalid_name``, ``invalid_selector`` and ``invalid_tag``."""
    identifier("source name", source.name)
    if source.name == LOADED:
        raise _invalid(source, f"{LOADED!r} is where nodes loaded from a file are: choose another name")
    if not _TYPE.match(source.type):
        raise _invalid(source, f"its type {source.type[:80]!r} names no plugin: write one such as 'docker' or 'file'")
    if source.interval_s and not MIN_INTERVAL_S <= source.interval_s <= MAX_INTERVAL_S:
        bounds = f"{MIN_INTERVAL_S:g} s at least and {MAX_INTERVAL_S / 86_400:g} days at most, or 0: never"
        raise _invalid(source, f"its interval is {source.interval_s:,.12g} s, and has to be {bounds}")
    if not 0 < source.timeout_s <= MAX_TIMEOUT_S:
        bounds = f"more than 0, {MAX_TIMEOUT_S:g} s at most: a refresh cannot go on for ever"
        raise _invalid(source, f"its timeout is {source.timeout_s:,.12g} s, and has to be {bounds}")
    if sum(len(name) + len(value) for name, value in source.config.items()) > MAX_CONFIG_BYTES:
        raise _invalid(source, f"its settings are longer than {MAX_CONFIG_BYTES >> 10} KiB: put them into a file")
    for name, value in source.config.items():
        if value and is_secret(name) and not is_key_name(value):
            raise _invalid(
                source,
                f"its setting {name[:80]!r} holds a secret: put the value into a key of the runner, and write the "
                "key's name (keys/...)",
            )
        if value and _NAMES_KEY.search(name) and not is_key_name(value):
            raise _invalid(
                source, f"its setting {name[:80]!r} has to name a key (keys/...), which its value does not"
            )
        if is_key_name(value) and (is_secret(name) or _IS_PATH.search(name)):
            _check_key(source, name, value)
    tag_set_of(source.runner)
    return source


def is_secret(setting: str) -> bool:
    """Whether a setting is taken for a secret by its name: a password, a token."""
    return _SECRET.search(setting) is not None and _NOT_SECRET.search(setting) is None


def digest_of(source: SourceDefinition) -> str:
    """The same for a source that discovers by the same plugin, settings and runners."""
    asked = SourceDefinition(name=source.name, type=source.type, config=source.config, runner=source.runner)
    return hashlib.sha256(encode(ProjectSources(project="", sources=[asked]))).hexdigest()[:32]


def _check_key(source: SourceDefinition, setting: str, key: str) -> None:
    """Each refresh would fail with what is told now. Raises ``invalid_source``."""
    try:
        KeyPath.parse(key)
    except RunbusError as error:
        raise _invalid(source, f"its setting {setting[:80]!r}: {error.message.removesuffix('.')}") from None


def _invalid(source: SourceDefinition, why: str) -> RunbusError:
    return RunbusError(
        ErrorCode.INVALID_SOURCE,
        f"node source {source.name!r}: {why}.",
        details={"source": source.name},
    )
