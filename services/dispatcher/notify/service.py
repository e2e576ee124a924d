"""The notifications of one dispatcher, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bus.connection import Bus
from domain.notify.checks import check_notifications
from domain.notify.config import EMAIL, WEBHOOKS, is_address
from domain.notify.mail import read_smtp_url
from domain.notify.retries import read_delays
from schemas.errors import ErrorCode, RunbusError
from schemas.events import Event
from schemas.jobs import JobDefinition
from schemas.subjects import Subjects
from services.dispatcher.notify.channels import Channels
from services.dispatcher.notify.delivering import Deliveries
from services.dispatcher.notify.watch import NoticeWatch
from services.dispatcher.settings import DispatcherSettings


class Notifications:
    """Hears events, publishes what is due, and delivers its share. Raises ``invalid_message`` for bad settings."""

    def __init__(
        self,
        bus: Bus,
        subjects: Subjects,
        settings: DispatcherSettings,
        *,
        find_job: Callable[[str, str], Awaitable[JobDefinition]],
        average_s: Callable[[str, str], Awaitable[float | None]],
    ) -> None:
        _require_sound(settings)
        self._sends_mail = bool(settings.smtp_url)
        self._watch = NoticeWatch(
            bus, subjects, find_job=find_job, average_s=average_s, server_url=settings.server_url
        )
        self._channels = Channels(bus, subjects, settings)
        self._deliveries = Deliveries(
            bus, subjects, self._channels, delays_s=read_delays(settings.notify_retry_s), lease_s=settings.ack_wait_s
        )

    def take(self, event: Event) -> None:
        """Take a live event."""
        self._watch.take(event)

    async def run(self) -> None:
        """Look up what was left open, and deliver, until cancelled."""
        await asyncio.gather(self._watch.run(), self._deliveries.run())

    async def close(self) -> None:
        """Publish and finish what is in hand, within seconds; another dispatcher does what is left."""
        await self._watch.close()
        await self._deliveries.close()
        await self._channels.close()

    async def check(self, job: JobDefinition) -> list[str]:
        """Warnings about the notifications of a job that is to be stored. Raises ``invalid_job``."""
        others = {each.type for each in job.notifications} - {EMAIL, *WEBHOOKS}
        plugins = await self._channels.plugin_names() if others else frozenset()
        return check_notifications(job, plugins=plugins, sends_mail=self._sends_mail)


def _require_sound(settings: DispatcherSettings) -> None:
    read_delays(settings.notify_retry_s)
    if not settings.smtp_url:
        return
    read_smtp_url(settings.smtp_url)
    if not is_address(settings.mail_from):
        raise RunbusError(
            ErrorCode.INVALID_MESSAGE,
            f"RUNBUS_MAIL_FROM={settings.mail_from[:80]!r} is no mail address: give the one that mails come from.",
        )
