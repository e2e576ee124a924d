"""Pulling what is due from the schedules stream, a bounded number at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from bus.connection import Bus
from bus.pull import Delivery, Puller
from schemas.errors import ErrorCode, RunbusError

AT_ONCE: Final = 64
_LOOK_EVERY_S: Final = 5.0
_LATER_S: Final = 1.0
_CLOSE_WITHIN_S: Final = 5.0

log = structlog.get_logger("dispatcher")


class DueIntake:
    """Hands each delivery to ``take``, which acknowledges it.

    Where that raises, the delivery comes again, for one of the dispatchers; one that cannot be read is dropped, and
    logged.
    """

    def __init__(self, bus: Bus, stream: str, consumer: str, take: Callable[[Delivery], Awaitable[None]]) -> None:
        self._bus = bus
        self._take = take
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._open = True
        self._puller = Puller(
            bus, stream, consumer, on_message=self._receive, on_idle=self._wake.set, on_gone=self._wake.set
        )

    async def run(self) -> None:
        """Take until cancelled."""
        stop_listening = self._bus.on_reconnect(self._reconnected)
        try:
            while True:
                self._wake.clear()
                wanted = AT_ONCE - len(self._tasks) - self._puller.outstanding
                if wanted > 0 and self._open:
                    await self._puller.ask(wanted)
                try:
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await self._wake.wait()
                except TimeoutError:
                    if self._puller.overdue:
                        await self._puller.withdraw()
        finally:
            stop_listening()

    async def close(self) -> None:
        """Take no more, and finish what is in hand."""
        self._open = False
        await self._puller.withdraw()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_WITHIN_S)

    async def _reconnected(self) -> None:
        await self._puller.withdraw()
        self._wake.set()

    async def _receive(self, delivery: Delivery) -> None:
        if not self._open:
            await delivery.nak()
            return
        task = asyncio.ensure_future(self._deal_with(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        """What failed in a way nobody foresaw is not acknowledged: it comes again when its lease ends."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("due.failed", exc_info=error)
        self._tasks.discard(task)
        self._wake.set()

    async def _deal_with(self, delivery: Delivery) -> None:
        try:
            await self._take(delivery)
        except RunbusError as error:
            if error.code in (ErrorCode.INVALID_MESSAGE, ErrorCode.UNSUPPORTED_VERSION):
                log.warning("due.not_understood", subject=delivery.subject, error=error.message)
                await delivery.terminate()
                return
            log.info("due.again", subject=delivery.subject, reason=error.message)
            await delivery.nak(delay_s=_LATER_S)
