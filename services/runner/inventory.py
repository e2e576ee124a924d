"""The plugins a runner bears: found once at start, never a crash."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any, cast

import structlog

from domain.workflow.plugins import OWN_STEPS
from runbus.plugin import (
    ENTRY_POINT_GROUP,
    FailureReason,
    FileCopier,
    KeyStorage,
    NodeExecutor,
    NodeSource,
    PluginKind,
    StepError,
    StepPlugin,
)
from schemas.errors import plugin_not_found
from schemas.runners import PluginInfo
from schemas.version import VERSION
from services.runner.foreign import not_loaded

log = structlog.get_logger("runner")


class PluginInventory:
    """Plugins by kind and name, and those that are installed but cannot be loaded, with the reason."""

    def __init__(self, runner: str, entries: Iterable[EntryPoint] | None = None) -> None:
        self._runner = runner
        self._steps: dict[str, type[StepPlugin]] = {}
        self._sources: dict[str, type[NodeSource]] = {}
        self._storages: dict[str, type[KeyStorage]] = {}
        self._serving: dict[tuple[PluginKind, str], Any] = {}
        self._infos: dict[tuple[PluginKind, str], PluginInfo] = {}
        self._entries = entry_points(group=ENTRY_POINT_GROUP) if entries is None else entries

    def load(self) -> None:
        """Load every entry of the group. A second plugin of one kind and name is reported, and the first kept."""
        for name in OWN_STEPS:
            self._infos[PluginKind.STEP, name] = PluginInfo(name=name, version=VERSION)
        for entry in self._entries:
            kind, name = _kind_and_name(entry.name)
            if kind is None:
                log.warning("plugin.of_no_kind", plugin=entry.name)
            elif (kind, name) in self._infos:
                log.warning("plugin.twice", plugin=entry.name, ignored=entry.value)
            else:
                self._infos[kind, name] = self._load(entry, kind, name)

    def _load(self, entry: EntryPoint, kind: PluginKind, name: str) -> PluginInfo:
        try:
            loaded: Any = entry.load()
            version = str(loaded.version)
            problem, unless = _missing(loaded)
            if unless or not problem:
                self._keep(loaded, kind, name)
            return PluginInfo(name=name, version=version, kind=kind, problem=problem, unless=unless)
        except (Exception, SystemExit) as cause:  # noqa: BLE001  (a foreign module may raise anything: reported)
            problem = not_loaded(cause)
            log.warning("plugin.not_loaded", plugin=entry.name, problem=problem)
            return PluginInfo(name=name, version="", kind=kind, problem=problem)

    def _keep(self, loaded: Any, kind: PluginKind, name: str) -> None:
        if kind is PluginKind.STEP:
            _ = loaded.config_type, loaded.run
            self._steps[name] = loaded
        elif kind is PluginKind.NODE_SOURCE:
            _ = loaded.config_type, loaded.secret_settings, loaded.discover
            self._sources[name] = loaded
        elif kind is PluginKind.KEY_STORAGE:
            _ = loaded.config_type, loaded.secret_settings, loaded.read
            self._storages[name] = loaded
        elif kind in (PluginKind.NODE_EXECUTOR, PluginKind.FILE_COPIER):
            same = (each for each in self._serving.values() if type(each) is loaded)
            self._serving[kind, name] = next(same, None) or loaded()

    @property
    def infos(self) -> list[PluginInfo]:
        """What the heartbeat says, by kind and name."""
        return [self._infos[key] for key in sorted(self._infos)]

    @property
    def storages(self) -> dict[str, type[KeyStorage]]:
        """Key storages by type: those that can be used here."""
        return self._storages

    def has(self, name: str) -> bool:
        """Whether the step can be carried out here."""
        return name in OWN_STEPS or name in self._steps

    def get(self, name: str) -> type[StepPlugin]:
        """A step's class. Raises ``plugin_not_found`` with the original's text."""
        try:
            return self._steps[name]
        except KeyError:
            raise plugin_not_found(name, self._runner) from None

    def executor(self, name: str, node: str) -> NodeExecutor:
        """A node executor. Raises :class:`StepError` where the runner has none of that name."""
        return cast("NodeExecutor", self._served(PluginKind.NODE_EXECUTOR, name, node))

    def copier(self, name: str, node: str) -> FileCopier:
        """A file copier. Raises :class:`StepError` where the runner has none of that name."""
        return cast("FileCopier", self._served(PluginKind.FILE_COPIER, name, node))

    def source(self, name: str) -> type[NodeSource]:
        """A node source's class. Raises ``plugin_not_found`` with the original's text."""
        try:
            return self._sources[name]
        except KeyError:
            raise plugin_not_found(name, self._runner) from None

    async def close(self) -> None:
        """Let go of the connections of executors and copiers; a class that is both has one instance, and its pool."""
        for served in {id(each): each for each in self._serving.values()}.values():
            await served.close()

    def _served(self, kind: PluginKind, name: str, node: str) -> Any:
        found = self._serving.get((kind, name))
        if found is None:
            info = self._infos.get((kind, name))
            why = f" ({info.problem})" if info and info.problem else ""
            raise StepError(
                f"{plugin_not_found(name, self._runner).message}{why} Node {node} asks for this {kind}.",
                reason=FailureReason.NODE_DISPATCH,
            )
        return found


def _kind_and_name(entry: str) -> tuple[PluginKind | None, str]:
    kind, slash, name = entry.partition("/")
    if not slash:
        return PluginKind.STEP, entry
    return (PluginKind(kind) if kind in set(PluginKind) else None), name


def _missing(loaded: Any) -> tuple[str, str]:
    """What a plugin needs and the runner lacks, and the setting that may say where it is."""
    modules = [each for each in getattr(loaded, "requires", ()) if find_spec(each) is None]
    if modules:
        return f"{', '.join(modules)} is not installed on the runner", ""
    for program, setting in getattr(loaded, "programs", {}).items():
        if shutil.which(program) is None:
            way_out = f"; {setting} may name its directory" if setting else ""
            return f"{program} is not on its PATH{way_out}", setting
    return "", ""
