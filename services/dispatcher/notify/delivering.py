"""Taking deliveries from the stream, shared with the other dispatchers; trying again; giving up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog

from bus.connection import Bus
from bus.pull import Delivery, Puller
from domain.notify.retries import next_try_s
from runbus.plugin import NotificationError
from schemas.codec import decode, encode
from schemas.errors import RunbusError
from schemas.events import LogChunk, LogEntry
from schemas.notices import NotificationTask
from schemas.subjects import AUTHOR_DISPATCHER, WHOLE_EXECUTION, Subjects
from services.dispatcher.notify.channels import Channels

AT_ONCE: Final = 32
_LOOK_EVERY_S: Final = 5.0
_FINISH_WITHIN_S: Final = 5.0

log = structlog.get_logger("dispatcher")


class Deliveries:
    """Delivers what it takes; ``delays_s`` stand between the tries, ``lease_s`` is the consumer's ack wait."""

    def __init__(
        self, bus: Bus, subjects: Subjects, channels: Channels, *, delays_s: Sequence[float], lease_s: float
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._channels = channels
        self._delays_s = delays_s
        self._lease_s = lease_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._open = True
        self._puller = Puller(
            bus, subjects.notify_stream, subjects.notify_consumer,
            on_message=self._receive, on_idle=self._wake.set, on_gone=self._wake.set,
        )  # fmt: skip

    async def run(self) -> None:
        """Take deliveries until cancelled."""
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
        """Take no more, and finish what is in hand; what takes longer is given back for another to deliver."""
        self._open = False
        await self._puller.withdraw()
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=_FINISH_WITHIN_S)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _reconnected(self) -> None:
        await self._puller.withdraw()
        self._wake.set()

    async def _receive(self, delivery: Delivery) -> None:
        if not self._open:
            await delivery.nak()
            return
        task = asyncio.ensure_future(self._take(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.warning("notification.fault", error=f"{type(fault).__name__}: {fault}")

    async def _take(self, delivery: Delivery) -> None:
        try:
            task = decode(delivery.data, NotificationTask)
        except RunbusError as error:
            log.error("notification.not_understood", subject=delivery.subject, error=error.message)  # noqa: TRY400
            await delivery.terminate()
            return
        lease = asyncio.ensure_future(self._keep(delivery))
        try:
            failure = await self._send(task, ".".join(delivery.subject.split(".")[3:]))
        except asyncio.CancelledError:
            await delivery.nak()
            raise
        finally:
            lease.cancel()
        if failure is None:
            await delivery.ack()
            log.info("notification.delivered", subject=delivery.subject, tries=delivery.deliveries)
        else:
            await self._settle(delivery, task, failure)

    async def _send(self, task: NotificationTask, name: str) -> NotificationError | None:
        """Why it was not delivered, or None."""
        try:
            await self._channels.send(task, name)
        except NotificationError as failure:
            return failure
        except Exception as cause:  # noqa: BLE001  (a plugin may raise anything: told, and tried again)
            return NotificationError(f"{type(cause).__name__}: {cause}")
        return None

    async def _settle(self, delivery: Delivery, task: NotificationTask, failure: NotificationError) -> None:
        tried, told = delivery.deliveries, {"subject": delivery.subject, "error": failure.message}
        wait_s = next_try_s(self._delays_s, tried, asked_s=failure.retry_after_s)
        if failure.permanent or wait_s is None:
            log.error("notification.given_up", tries=tried, **told)
            await self._note(task, tried, failure)
            await delivery.terminate()
        else:
            log.warning("notification.again", tries=tried, wait_s=wait_s, **told)
            await delivery.nak(delay_s=wait_s)

    async def _note(self, task: NotificationTask, tried: int, failure: NotificationError) -> None:
        """Say so in the execution's own log, where its users look."""
        notice = task.notice
        tries = "1 try" if tried == 1 else f"{tried} tries"
        text = f"The notification {notice.trigger} ({task.notification.type}) was given up after {tries}: "
        entry = LogEntry(at=time.time(), stream="runner", step=0, text=f"{text}{failure.message}\n", level="ERROR")
        subject = self._subjects.log(notice.project, notice.execution, WHOLE_EXECUTION, AUTHOR_DISPATCHER)
        try:
            await self._bus.append(subject, encode(LogChunk(chunk=1, attempt=1, entries=[entry])))
        except RunbusError as error:
            log.warning("notification.not_noted", subject=subject, error=error.message)

    async def _keep(self, delivery: Delivery) -> None:
        """Renew the lease while the delivery is under way."""
        while True:
            await asyncio.sleep(self._lease_s / 3)
            await delivery.extend()
