"""``environment``: keys in the runner's own environment, as it was at start."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from domain.keys.paths import is_path
from runbus.plugin import KeyEntry, KeyFailure
from schemas.version import VERSION
from services.runner.keystorage.entries import below, folder, folders_above, in_order, key_of_value
from services.runner.keystorage.errors import refuse, shown

DEFAULT_PREFIX: Final = "RUNBUS_KEY_"
SETTINGS: Final = ("RUNBUS_KEY_STORAGE", "RUNBUS_KEY_CHECK_S")
"""Settings, and what begins as the first of them: no keys, though the default prefix fits them."""
_PREFIX: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NAME: Final = re.compile(r"[A-Za-z0-9]+(?:(?:_|(?:__)+)[A-Za-z0-9]+)*\Z")


class EnvironmentKeysConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings."""

    prefix: str = DEFAULT_PREFIX
    """What the names of variables that are keys begin with."""

    def __post_init__(self) -> None:
        """Refuse a prefix that would make a key of every variable."""
        if not _PREFIX.match(self.prefix):
            raise ValueError("prefix has to be letters, digits and '_', and not to begin with a digit")


class EnvironmentKeys:
    """Keys as variables: ``RUNBUS_KEY_DB_PASSWORD`` is the key ``db/password``.

    After the prefix, letters become small ones, ``_`` a slash and ``__`` an underscore: ``DB__MAIN_PASSWORD`` is
    ``db_main/password``. So each variable is one key, and each key one variable. Runs of three, five, ...
    underscores, and those at the beginning or the end, could be read in two ways: such a variable is no key. Of
    variables that differ in capitals only (``DB_X``, ``db_x``) none is read. ``remark`` tells of both kinds. Names
    that begin with ``RUNBUS_KEY_STORAGE`` are settings, and so is ``RUNBUS_KEY_CHECK_S``.

    The values are those that the environment had when the object was made.
    """

    version: ClassVar[str] = VERSION
    config_type: ClassVar[type[EnvironmentKeysConfig]] = EnvironmentKeysConfig
    secret_settings: ClassVar[frozenset[str]] = frozenset()
    requires: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: EnvironmentKeysConfig, env: Mapping[str, str] = os.environ) -> None:
        self._prefix = config.prefix
        found = {name: value for name, value in env.items() if _is_meant(name, config.prefix)}
        self._values: dict[str, str] = {}
        self._unclear: list[str] = []
        self._names: dict[str, list[str]] = {}
        for name, value in sorted(found.items()):
            path = _path_of(name.removeprefix(config.prefix))
            if path is None:
                self._unclear.append(name)
            else:
                self._values[path] = value
                self._names.setdefault(path, []).append(name)
        self._variables = frozenset(found)
        self.remark = _remark(self._unclear, self._names)
        """What is to be renamed; all other keys can be read."""

    @property
    def variables(self) -> frozenset[str]:
        """The names of all variables that are meant to be keys: children must not be given them."""
        return self._variables

    async def read(self, path: str) -> str:
        """The value. Raises :class:`KeyStorageError`."""
        self._require_one(path)
        value = self._values[path]
        if not value:
            refuse(f"the variable {self._names[path][0]} is empty: give it a value", KeyFailure.NO_KEY)
        if not _is_text(value):
            refuse(f"the variable {self._names[path][0]} is no UTF-8 text", KeyFailure.MALFORMED)
        return value

    async def show(self, path: str) -> KeyEntry:
        """Type and size. Raises :class:`KeyStorageError`."""
        if path not in self._values and (not path or self._has_below(path)):
            return folder(path)
        self._require_one(path)
        return key_of_value(path, self._values[path])

    async def children(self, path: str, *, deep: bool = False) -> Sequence[KeyEntry]:
        """The keys, and the folders that their paths make. Raises :class:`KeyStorageError`."""
        if path and not self._has_below(path):
            refuse(f"no variable {self._variable(path)}_... is set: there is no folder {shown(path)}",
                   KeyFailure.NOT_FOUND)  # fmt: skip
        keys = {key: value for key, value in self._values.items() if below(key, path) is not None}
        folders = {each for key in keys for each in folders_above(key, path)}
        entries = [key_of_value(key, value) for key, value in keys.items()] + [folder(each) for each in folders]
        return in_order(each for each in entries if deep or "/" not in (below(each.path, path) or ""))

    async def check(self) -> None:
        """Return: it is there as long as the process is."""

    async def close(self) -> None:
        """Forget the values."""
        self._values.clear()

    def _require_one(self, path: str) -> None:
        if path not in self._values:
            if not path or self._has_below(path):
                refuse(f"{shown(path)} is a folder, and no key", KeyFailure.NO_KEY)
            hint = f"the variable {self._variable(path)} was not set when the runner started"
            if _path_of(self._variable(path).removeprefix(self._prefix)) != path:
                hint = "keys of the environment are of small letters, digits, '_' and '/' alone"
            refuse(f"there is no key {shown(path)}: {hint}", KeyFailure.NOT_FOUND)
        if len(self._names[path]) > 1:
            refuse(_same(path, self._names[path]), KeyFailure.CONFIGURATION)

    def _has_below(self, path: str) -> bool:
        return any(below(key, path) is not None for key in self._values)

    def _variable(self, path: str) -> str:
        return self._prefix + path.replace("_", "__").replace("/", "_").upper()[:200]


def keys_in(env: Iterable[str]) -> list[str]:
    """The names of variables that are keys by the default prefix, sorted."""
    return sorted(name for name in env if _is_meant(name, DEFAULT_PREFIX))


def _is_meant(name: str, prefix: str) -> bool:
    is_setting = any((name + "_").startswith(f"{setting}_") for setting in SETTINGS)
    return name.startswith(prefix) and name != prefix and not is_setting


def _path_of(name: str) -> str | None:
    if not _NAME.match(name):
        return None
    path = name.lower().replace("__", "\0").replace("_", "/").replace("\0", "_")
    return path if is_path(path) else None


def _is_text(value: str) -> bool:
    """What was no UTF-8 in the environment holds half pairs here."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _remark(unclear: Iterable[str], names: Mapping[str, Sequence[str]]) -> str:
    said = [_same(path, several) for path, several in names.items() if len(several) > 1]
    if listed := _listed(unclear):
        said.append(
            f"{listed}: no key can be told from such a name; single underscores are slashes, double ones "
            "underscores, and all others are letters and digits: rename it"
        )
    return "; ".join(said)


def _same(path: str, names: Iterable[str]) -> str:
    return f"{_listed(names)} differ in capitals only, and are one key {shown(path)}: keep one of them"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(name[:80] for name in names)
