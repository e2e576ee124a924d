"""Which key storages a runner has: from a file, from its environment, in our names and in the original's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runbus.plugin import KeyStorage
from services.runner.keystorage.secretfile import value_of_file
from services.runner.keystorage.settings import (
    Plugins,
    StorageSettings,
    converted,
    mount_path,
    plugin_type,
    setting_name,
    unknown_setting,
    wrong,
)

FILE: Final = "RUNBUS_KEY_STORAGE"
"""Names the file."""
OWN: Final = "RUNBUS_KEY_STORAGE_"
"""Begins ``TYPE``, ``PATH``, ``CONFIG_<SETTING>``: one storage."""
DIRECTORY: Final = "RUNBUS_KEYS_DIR"
"""Short for one storage of type ``file``."""
ORIGINAL: Final = "RUNNER_RUNDECK_STORAGE_"
"""Begins ``<NAME>_TYPE``, ``<NAME>_PATH``, ``<NAME>_CONFIGURATION_<SETTING>``: one storage for each name."""
_ORIGINAL: Final = re.compile(
    r"(?P<name>[A-Z0-9_]+?)_(?:(?P<word>TYPE|PATH|PATH_BEHAVIOR|REMOVE_?PATH_?PREFIX)|CONFIGURATION_(?P<setting>.+))\Z"
)
_FROM_FILE: Final = "_FILE"


def storages_of(env: Mapping[str, str], plugins: Plugins) -> list[StorageSettings]:
    """All storages that the environment tells of, checked against the plugins. None: the runner has no key storage.

    A setting's name is taken whatever its capitals and underscores (``AUTHBACKEND``, ``AUTH_BACKEND``); with
    ``_FILE`` behind it, its value is the content of the file named. Raises
    :class:`runbus.plugin.KeyStorageError` (``configuration``) that names the file and line, or the variable.
    """
    found = _from_file(env[FILE].strip(), plugins) if env.get(FILE, "").strip() else []
    found += _from_own(env, plugins)
    found += _from_original(env, plugins)
    if directory := env.get(DIRECTORY, "").strip():
        absolute = str(Path(directory).absolute())
        type_ = plugin_type("file", plugins, DIRECTORY)
        found.append(StorageSettings(type=type_, config={"directory": absolute}, origin=DIRECTORY))
    _require_apart(found)
    for settings in found:
        converted(settings, plugins[settings.type])
    return found


class _Variables:
    """The variables of one storage."""

    def __init__(self, before: str, after: str) -> None:
        self._before = before
        self._config = after
        self._words: dict[str, str] = {}
        self._settings: dict[str, str] = {}

    def word(self, word: str, value: str) -> None:
        self._words[word] = value

    def setting(self, name: str, value: str) -> None:
        self._settings[name] = value

    def settings(self, plugins: Plugins) -> StorageSettings:
        type_name = f"{self._before}TYPE"
        if not self._words.get("TYPE", "").strip():
            raise wrong(
                type_name, "is not set, and other variables of this key storage are: name the plugin, 'vault'"
            )
        type_ = plugin_type(self._words["TYPE"], plugins, type_name)
        plugin = plugins[type_]
        config: dict[str, str] = {}
        origins: dict[str, str] = {}
        for given, value in sorted(self._settings.items()):
            if value.strip():
                name, told = self._told(given, value, type_, plugin)
                variable = f"{self._before}{self._config}{given}"
                if name in config:
                    raise wrong(variable, f"{name} is given twice")
                config[name], origins[name] = told, variable
        prefix = next((value for word, value in self._words.items() if word.startswith("REMOVE")), "")
        if prefix and (name := setting_name("removePathPrefix", plugin) or ""):
            config.setdefault(name, prefix)
        path = mount_path(self._words.get("PATH", ""), f"{self._before}PATH")
        return StorageSettings(type=type_, path=path, config=config, origin=type_name, origins=origins)

    def _told(self, given: str, value: str, type_: str, plugin: type[KeyStorage]) -> tuple[str, str]:
        variable = f"{self._before}{self._config}{given}"
        name = setting_name(given, plugin)
        if name is not None:
            return name, value
        name = setting_name(given.removesuffix(_FROM_FILE), plugin) if given.endswith(_FROM_FILE) else None
        if name is None:
            raise unknown_setting(given, type_, plugin, variable)
        return name, value_of_file(value.strip(), variable)


def _from_file(path: str, plugins: Plugins) -> list[StorageSettings]:
    from services.runner.keystorage.yamlfile import read_file  # noqa: PLC0415  (YAML: only where there is a file)

    return read_file(path, plugins)


def _from_own(env: Mapping[str, str], plugins: Plugins) -> list[StorageSettings]:
    storage = _Variables(OWN, "CONFIG_")
    is_given = False
    for variable, value in env.items():
        if not variable.startswith(OWN) or not value.strip():
            continue
        word = variable.removeprefix(OWN)
        is_given = True
        if word in ("TYPE", "PATH"):
            storage.word(word, value)
        elif word.startswith("CONFIG_") and word != "CONFIG_":
            storage.setting(word.removeprefix("CONFIG_"), value)
        else:
            raise wrong(variable, f"means nothing: {OWN}TYPE, {OWN}PATH and {OWN}CONFIG_<SETTING> do")
    return [storage.settings(plugins)] if is_given else []


def _from_original(env: Mapping[str, str], plugins: Plugins) -> list[StorageSettings]:
    storages: dict[str, _Variables] = {}
    for variable, value in sorted(env.items()):
        if not variable.startswith(ORIGINAL) or not value.strip():
            continue
        found = _ORIGINAL.match(variable.removeprefix(ORIGINAL))
        if found is None:
            how = "_TYPE, _PATH and _CONFIGURATION_<SETTING> do"
            raise wrong(variable, f"means nothing: {ORIGINAL}<NAME> with {how}")
        storage = storages.setdefault(found["name"], _Variables(f"{ORIGINAL}{found['name']}_", "CONFIGURATION_"))
        if found["setting"]:
            storage.setting(found["setting"], value)
        else:
            storage.word(found["word"], value)
    return [storage.settings(plugins) for storage in storages.values()]


def _require_apart(found: list[StorageSettings]) -> None:
    seen: dict[str, StorageSettings] = {}
    for settings in found:
        other = seen.setdefault(settings.path, settings)
        if other is not settings:
            where = f"at {settings.path!r}" if settings.path else "for all keys"
            raise wrong(
                settings.origin,
                f"a second key storage {where}; the first is in {other.origin}: give one of them another path",
            )
