"""Delivering by plugins, found through entry points ``notification/TYPE``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from domain.context.references import Missing, expand
from domain.context.scopes import DataContext, View
from domain.notify.notice import context_of
from runbus.plugin import ENTRY_POINT_GROUP, NotificationError, NotificationPlugin, PluginKind
from schemas.notices import NotificationTask

_TIMEOUT_S: Final = 60.0


class NotificationPlugins:
    """Plugins by the type they serve; each is loaded when it is first used."""

    def __init__(self, entries: Iterable[EntryPoint]) -> None:
        prefix = f"{PluginKind.NOTIFICATION}/"
        self._entries = {each.name.removeprefix(prefix): each for each in entries if each.name.startswith(prefix)}
        self._loaded: dict[str, NotificationPlugin] = {}

    @classmethod
    def installed(cls) -> NotificationPlugins:
        """Those of this environment."""
        return cls(entry_points(group=ENTRY_POINT_GROUP))

    @property
    def names(self) -> list[str]:
        """The types, sorted."""
        return sorted(self._entries)

    async def send(self, task: NotificationTask, name: str) -> None:  # noqa: ARG002  (a plugin has its own names)
        """Have the plugin deliver. Raises ``NotificationError``, or what the plugin raises."""
        plugin = await self._plugin(task.notification.type)
        config = _expanded(task.notification.config, context_of(task.notice))
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await plugin.send(config, task.notice)
        except TimeoutError:
            raise NotificationError(f"plugin {task.notification.type} took longer than {_TIMEOUT_S:g} s.") from None

    async def close(self) -> None:
        """Plugins hold what they hold until the process ends."""

    async def _plugin(self, kind: str) -> NotificationPlugin:
        if kind not in self._loaded:
            if kind not in self._entries:
                raise NotificationError(
                    f"no notification plugin {kind[:80]!r} is installed beside this dispatcher; there are: "
                    f"{', '.join(self.names) or 'none'}.",
                    permanent=True,
                )
            try:
                self._loaded[kind] = (await asyncio.to_thread(self._entries[kind].load))()
            except (Exception, SystemExit) as cause:
                raise NotificationError(
                    f"notification plugin {kind} cannot be loaded ({type(cause).__name__}: {cause}).", permanent=True
                ) from cause
        return self._loaded[kind]


def _expanded(value: Any, data: DataContext) -> Any:
    """A configuration with the references in its texts filled in; one without a value stays."""
    if isinstance(value, str):
        return expand(value, data, View(), Missing.LITERAL)
    if isinstance(value, Mapping):
        return {name: _expanded(each, data) for name, each in value.items()}
    if isinstance(value, list):
        return [_expanded(each, data) for each in value]
    return value
