"""The plugins a runner bears: found once at start, never a crash."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import structlog

from runbus.plugin import ENTRY_POINT_GROUP, StepPlugin
from schemas.errors import plugin_not_found
from schemas.runners import PluginInfo

log = structlog.get_logger("runner")


class PluginInventory:
    """Plugins by name, and those that are installed but cannot be loaded, with the reason."""

    def __init__(self, runner: str, entries: Iterable[EntryPoint] | None = None) -> None:
        self._runner = runner
        self._classes: dict[str, type[StepPlugin]] = {}
        self._infos: dict[str, PluginInfo] = {}
        self._entries = entry_points(group=ENTRY_POINT_GROUP) if entries is None else entries

    def load(self) -> None:
        """Load every entry of the group. A second plugin of one name is reported, and the first kept."""
        for entry in self._entries:
            if entry.name in self._infos:
                log.warning("plugin.twice", plugin=entry.name, ignored=entry.value)
                continue
            self._infos[entry.name] = self._load(entry)

    def _load(self, entry: EntryPoint) -> PluginInfo:
        try:
            loaded: Any = entry.load()
            version = str(loaded.version)
            _ = loaded.config_type, loaded.run
        except (Exception, SystemExit) as cause:  # noqa: BLE001  (a foreign module may raise anything: reported)
            problem = f"{type(cause).__name__}: {cause}"
            log.warning("plugin.not_loaded", plugin=entry.name, problem=problem)
            return PluginInfo(name=entry.name, version="", problem=problem)
        self._classes[entry.name] = loaded
        return PluginInfo(name=entry.name, version=version)

    @property
    def infos(self) -> list[PluginInfo]:
        """What the heartbeat says, by name."""
        return [self._infos[name] for name in sorted(self._infos)]

    def has(self, name: str) -> bool:
        """Whether the plugin can be used here."""
        return name in self._classes

    def get(self, name: str) -> type[StepPlugin]:
        """The plugin's class. Raises ``plugin_not_found`` with the original's text."""
        try:
            return self._classes[name]
        except KeyError:
            raise plugin_not_found(name, self._runner) from None
