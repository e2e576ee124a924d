"""The file that says which key storages a runner has."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from services.runner.keystorage.secretfile import value_of_file
from services.runner.keystorage.settings import (
    Plugins,
    StorageSettings,
    mount_path,
    plugin_type,
    setting_name,
    unknown_setting,
    wrong,
)

_MAX_BYTES: Final = 256 << 10
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HOW: Final = "write a list, each entry with '- type: ...', or one map with 'type: ...'"
_ORIGINAL: Final = ("runner", "rundeck", "storage")
"""Where the original's file has its storages, by names that mean nothing here."""
_CONFIG: Final = ("config", "configuration")
_UNHEEDED: Final = ("pathBehavior", "path-behavior")
_ENTRY: Final = ("type", "path", *_CONFIG, "removePathPrefix", *_UNHEEDED)
_NULL: Final = "tag:yaml.org,2002:null"


def read_file(file: str, plugins: Plugins) -> list[StorageSettings]:
    """The storages of a file, in its order. Raises :class:`runbus.plugin.KeyStorageError` with file and line.

    Values are taken as they are written (``token: 0123`` is four characters); ``{file: /run/secrets/x}`` is the
    content of that file. A file that holds a secret itself has to be its owner's alone.
    """
    text, is_private = _text(file)
    found = []
    for entry in _entries(_root(text, file), file):
        settings, secret = _Entry(entry, file, plugins).read()
        if secret is not None and not is_private:
            why = f"the secret {secret} stands here, and others may read the file: chmod 600 {file}, or {{file: ...}}"
            raise wrong(settings.origin, why)
        found.append(settings)
    return found


def _text(file: str) -> tuple[str, bool]:
    try:
        with Path(file).open("rb") as opened:
            mode = stat.S_IMODE(Path(file).stat().st_mode)
            data = opened.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise wrong(file, f"it is longer than {_MAX_BYTES >> 10} KiB")
        return data.decode("utf-8-sig"), not mode & 0o077
    except OSError as cause:
        raise wrong(file, f"cannot be read ({cause.strerror}): name a file in RUNBUS_KEY_STORAGE") from None
    except ValueError:
        raise wrong(file[:200], "is no file of UTF-8 text") from None


def _root(text: str, file: str) -> yaml.Node:
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        # The problem quotes no more than a character; the context, with the text of the line, is left out.
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise wrong(f"{file}{line}", "not valid YAML: check indentation and quotes") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise wrong(file, "not valid YAML") from None
    if root is None:
        raise wrong(file, f"it is empty: {_HOW}")
    return root


def _entries(root: yaml.Node, file: str) -> list[yaml.Node]:
    if isinstance(root, yaml.MappingNode):
        fields = dict(_fields(root, file))
        if "storages" in fields:
            root = fields["storages"]
        elif _ORIGINAL[0] in fields:
            return _named(root, file)
        else:
            return [root]
    if not isinstance(root, yaml.SequenceNode):
        raise wrong(_at(root, file), f"no list of key storages: {_HOW}")
    return list(root.value)


def _named(root: yaml.Node, file: str) -> list[yaml.Node]:
    for name in _ORIGINAL:
        fields = dict(_fields(root, file))
        if name not in fields:
            raise wrong(_at(root, file), f"there is no {name!r} here: {_HOW}")
        root = fields[name]
    return [entry for _, entry in _fields(root, file)]


class _Entry:
    """One storage."""

    def __init__(self, node: yaml.Node, file: str, plugins: Plugins) -> None:
        self._node = node
        self._file = file
        self._plugins = plugins
        self._secret: str | None = None
        self._origins: dict[str, str] = {}

    def read(self) -> tuple[StorageSettings, str | None]:
        """The settings, and the name of a secret that is written out."""
        origin = _at(self._node, self._file)
        fields = dict(_fields(self._node, self._file))
        for name in fields.keys() - set(_ENTRY):
            raise wrong(
                _at(fields[name], self._file), f"{name[:60]!r} means nothing here: {', '.join(_ENTRY[:3])} do"
            )
        if "type" not in fields:
            raise wrong(origin, "there is no type: write one such as 'type: vault'")
        type_ = plugin_type(self._scalar(fields["type"], "type"), self._plugins, _at(fields["type"], self._file))
        path = mount_path(self._scalar(fields["path"], "path"), _at(fields["path"], self._file)) if (
            "path" in fields) else ""  # fmt: skip
        config: dict[str, str] = {}
        for name in _CONFIG:
            if name in fields and not _is_null(fields[name]):
                config |= self._config(fields[name], type_)
        if "removePathPrefix" in fields and setting_name("removePathPrefix", self._plugins[type_]):
            config.setdefault("removePathPrefix", self._scalar(fields["removePathPrefix"], "removePathPrefix"))
        settings = StorageSettings(type=type_, path=path, config=config, origin=origin, origins=self._origins)
        return settings, self._secret

    def _config(self, node: yaml.Node, type_: str) -> dict[str, str]:
        plugin = self._plugins[type_]
        found: dict[str, str] = {}
        for given, value in _fields(node, self._file):
            at = _at(value, self._file)
            name = setting_name(given, plugin)
            if name is None:
                raise unknown_setting(given, type_, plugin, at)
            if name in found:
                raise wrong(at, f"{name} is given twice")
            self._origins[name] = at
            if isinstance(value, yaml.MappingNode):
                found[name] = self._from_file(value, name)
            elif not _is_null(value):
                found[name] = self._scalar(value, name)
                if name in plugin.secret_settings and found[name]:
                    self._secret = name
        return found

    def _from_file(self, node: yaml.MappingNode, name: str) -> str:
        fields = dict(_fields(node, self._file))
        if set(fields) != {"file"}:
            raise wrong(_at(node, self._file), f"{name} is a map: write its value, or {{file: /run/secrets/...}}")
        return value_of_file(self._scalar(fields["file"], name), f"{_at(node, self._file)}: {name}")

    def _scalar(self, node: yaml.Node, name: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise wrong(_at(node, self._file), f"{name} has to be one value, and no list or map")
        return "" if _is_null(node) else str(node.value)


def _fields(node: yaml.Node, file: str) -> Iterator[tuple[str, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        raise wrong(_at(node, file), "no map of settings: write 'name: value' lines")
    seen = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise wrong(_at(key, file), "a name has to be one word")
        if key.value in seen:
            raise wrong(_at(key, file), f"{key.value[:60]!r} is given twice")
        seen.add(key.value)
        yield str(key.value), value


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL


def _at(node: yaml.Node, file: str) -> str:
    return f"{file}:{node.start_mark.line + 1}"
