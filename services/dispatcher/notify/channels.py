"""Ways to deliver, each loaded when it is first needed: an idle dispatcher holds neither HTTP nor SMTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from bus.connection import Bus
from domain.notify.config import EMAIL, WEBHOOKS
from runbus.plugin import NotificationError
from schemas.notices import NotificationTask
from schemas.subjects import Subjects
from services.dispatcher.settings import DispatcherSettings

if TYPE_CHECKING:
    from services.dispatcher.notify.plugins import NotificationPlugins


class Channel(Protocol):
    """One way to deliver."""

    async def send(self, task: NotificationTask, name: str) -> None:
        """Deliver; ``name`` is the same at every try. Raises ``NotificationError``."""

    async def close(self) -> None:
        """Let go of every connection."""


C = TypeVar("C", bound=Channel)


class Channels:
    """Finds the way for a delivery."""

    def __init__(self, bus: Bus, subjects: Subjects, settings: DispatcherSettings) -> None:
        self._bus = bus
        self._subjects = subjects
        self._settings = settings
        self._made: dict[str, Channel] = {}
        self._making = asyncio.Lock()

    async def send(self, task: NotificationTask, name: str) -> None:
        """Deliver by the channel of its type. Raises ``NotificationError``."""
        kind = task.notification.type
        if kind in WEBHOOKS:
            channel = await self._get("urls", self._webhooks)
        elif kind == EMAIL:
            channel = await self._get(EMAIL, self._mails)
        else:
            channel = await self._get("plugins", self._plugins)
        await channel.send(task, name)

    async def plugin_names(self) -> frozenset[str]:
        """The types that installed plugins serve, whether or not they can be loaded."""
        return await asyncio.to_thread(self._installed)

    async def close(self) -> None:
        """Close those that were needed."""
        for channel in self._made.values():
            await channel.close()

    async def _get(self, name: str, make: Callable[[], Channel]) -> Channel:
        """The channel; made in a thread the first time, for importing and reading certificates take a while."""
        async with self._making:
            if name not in self._made:
                self._made[name] = await asyncio.to_thread(make)
            return self._made[name]

    def _webhooks(self) -> Channel:
        from services.dispatcher.notify.webhooks import Webhooks  # noqa: PLC0415  (only where one is sent)

        return Webhooks(secret=self._settings.notify_secret, timeout_s=self._settings.notify_timeout_s)

    def _mails(self) -> Channel:
        from services.dispatcher.notify.mails import Mails  # noqa: PLC0415  (only where one is sent)

        if not self._settings.smtp_url:
            raise NotificationError(
                "no mail can be sent: set RUNBUS_SMTP_URL and RUNBUS_MAIL_FROM of the dispatchers.", permanent=True
            )
        return Mails(self._bus, self._subjects, self._settings)

    def _plugins(self) -> NotificationPlugins:
        from services.dispatcher.notify.plugins import NotificationPlugins  # noqa: PLC0415  (only where one is used)

        return NotificationPlugins.installed()

    def _installed(self) -> frozenset[str]:
        return frozenset(self._plugins().names)
