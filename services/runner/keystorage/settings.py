"""What a runner is told of one key storage, and how that becomes the settings of the plugin."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from domain.keys.paths import KeyPlace, folder_path
from runbus.plugin import KeyFailure, KeyStorage, KeyStorageError
from schemas.errors import RunbusError
from services.runner.keystorage.settingfaults import fault_of

Plugins = Mapping[str, type[KeyStorage]]
"""The key storages that a runner bears, by type."""

_NOT_NAMES: Final = re.compile(r"[^a-z0-9]")
_YES: Final = frozenset({"true", "yes", "on", "1"})
_NO: Final = frozenset({"false", "no", "off", "0"})
_SUFFIX: Final = "-storage"
_EXTRAS: Final = {"vault": "vault", "aws-secrets-manager": "aws"}


class StorageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One key storage: a plugin, the folder under which its keys appear, and its settings."""

    type: str
    path: str = ""
    """Empty: all keys are there."""
    config: dict[str, str] = {}
    """By the plugin's own names. May hold secrets: never shown."""
    origin: str = ""
    """Where that was written: a file and line, or a variable; for errors."""
    origins: dict[str, str] = {}
    """The same of each setting, by the plugin's name of it."""

    def __repr__(self) -> str:
        return f"StorageSettings(type={self.type!r}, path={self.path!r}, origin={self.origin!r})"

    @property
    def label(self) -> str:
        """How errors call it."""
        return f"key storage {self.type}" + (f" at {self.path}" if self.path else "")


def wrong(origin: str, why: str) -> KeyStorageError:
    """The error of a setting. No value is in it."""
    return KeyStorageError(f"{origin}: {why}" if origin else why, reason=KeyFailure.CONFIGURATION)


def plugin_type(name: str, plugins: Plugins, origin: str) -> str:
    """The type by which the runner has a plugin; the original's ``vault-storage`` is ``vault``.

    Raises :class:`KeyStorageError` where the runner has none such.
    """
    name = name.strip()
    short = name.removesuffix(_SUFFIX)
    for each in (name, short):
        if each in plugins:
            return each
    extra = f", pip install 'runbus[{_EXTRAS[short]}]' adds it" if short in _EXTRAS else ""
    has = ", ".join(sorted(plugins)) or "none"
    raise wrong(origin, f"this runner has no key storage plugin {name[:60]!r}{extra}; it has: {has}")


def mount_path(text: str, origin: str) -> str:
    """The folder of the runner's keys: ``keys`` (the original's word), ``/`` and nothing are the root."""
    try:
        return folder_path(text.strip().removeprefix("/"), KeyPlace.RUNNER)
    except RunbusError as error:
        raise wrong(origin, f"path: {error.message.removesuffix('.')}") from None


def setting_name(given: str, plugin: type[KeyStorage]) -> str | None:
    """The plugin's name of a setting, whatever its capitals and separators: ``AUTH_BACKEND`` is ``authBackend``."""
    return {squeezed(name): name for name in names_of(plugin)}.get(squeezed(given))


def squeezed(name: str) -> str:
    """A name without what environments, files and people write differently."""
    return _NOT_NAMES.sub("", name.lower())


def names_of(plugin: type[KeyStorage]) -> list[str]:
    """The settings that a plugin takes."""
    return [field.encode_name for field in msgspec.structs.fields(plugin.config_type)]


def unknown_setting(given: str, type_: str, plugin: type[KeyStorage], origin: str) -> KeyStorageError:
    """The error of a setting that the plugin does not have."""
    close = difflib.get_close_matches(squeezed(given), [squeezed(name) for name in names_of(plugin)], n=1)
    near = setting_name(close[0], plugin) if close else None
    hint = f"did you mean {near}?" if near else f"it has: {', '.join(names_of(plugin))}"
    return wrong(origin, f"{type_} has no setting {given[:60]!r}; {hint}")


def converted(settings: StorageSettings, plugin: type[KeyStorage]) -> Any:
    """The plugin's configuration. What is given and empty counts as not given.

    Raises :class:`KeyStorageError` that names the setting.
    """
    given = {name: value for name, value in settings.config.items() if value.strip()}
    for field in msgspec.structs.fields(plugin.config_type):
        if field.type is bool and field.encode_name in given:
            given[field.encode_name] = _yes_or_no(given[field.encode_name])
    try:
        return msgspec.convert(given, plugin.config_type, strict=False)
    except msgspec.ValidationError as cause:
        names, why = fault_of(str(cause), plugin, secrets_of(settings, plugin))
        origin = next((settings.origins[name] for name in names if name in settings.origins), settings.origin)
        raise wrong(origin, f"{settings.type}: {why}") from None


def digest_of(settings: StorageSettings, plugin: type[KeyStorage]) -> str:
    """The same for runners that read the same keys: of type, path and all settings, defaults with them.

    Of secrets only whether they are given. Raises :class:`KeyStorageError`.
    """
    config = msgspec.to_builtins(converted(settings, plugin))
    secrets = sorted(name for name in plugin.secret_settings if settings.config.get(name, "").strip())
    open_ = {name: value for name, value in config.items() if name not in plugin.secret_settings}
    whole = [settings.type, settings.path, sorted(open_.items()), secrets]
    return hashlib.sha256(msgspec.json.encode(whole)).hexdigest()[:32]


def secrets_of(settings: StorageSettings, plugin: type[KeyStorage]) -> list[str]:
    """The values of secret settings: to be masked everywhere."""
    return [settings.config[name] for name in plugin.secret_settings if settings.config.get(name, "").strip()]


def _yes_or_no(text: str) -> str:
    word = text.strip().lower()
    return "true" if word in _YES else "false" if word in _NO else text
