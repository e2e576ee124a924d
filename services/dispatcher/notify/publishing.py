"""From a notice to deliveries in the stream: each is appended once, whoever tries, and however often."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final, NamedTuple

import structlog

from bus.connection import Bus, Condition, WrongLastSequenceError
from bus.streams import ensure_consumer, ensure_stream
from domain.notify.config import targets_of
from domain.notify.due import Due
from domain.notify.notice import context_of
from schemas.codec import encode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import ExecutionQueued
from schemas.notices import Notice, NotificationsOpen, NotificationTask
from schemas.subjects import Subjects

KEPT_S: Final = 7 * 86_400.0
"""How long it is known what was published; so long an execution may be under way while every dispatcher is down."""
_AGAIN_S: Final = 1.0

log = structlog.get_logger("dispatcher")


async def make_notify_stream(bus: Bus, subjects: Subjects, *, replicas: int, ack_wait_s: float) -> None:
    """The stream of deliveries and its consumer. ``ack_wait_s`` is how soon another takes over from a dead one."""
    prefix, stream = subjects.prefix, subjects.notify_stream
    await ensure_stream(bus, stream, f"{prefix}.*.notify.>", replicas=replicas, max_age_s=KEPT_S)
    await ensure_consumer(bus, stream, subjects.notify_consumer, f"{prefix}.*.notify.*.*.*", ack_wait_s=ack_wait_s)


async def open_notifications(bus: Bus, subjects: Subjects, queued: ExecutionQueued) -> None:
    """Before an execution that has notifications is stored: note it, so that no crash loses one. Else do nothing.

    Raises ``unavailable``.
    """
    if queued.notifications:
        message = NotificationsOpen(execution=queued.execution, project=queued.project)
        await bus.append(subjects.notifications_open(queued.project, queued.execution), encode(message))


class _Delivery(NamedTuple):
    subject: str
    task: NotificationTask


class Publisher:
    """Appends deliveries to the stream, and closes what was noted as open."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self._bus = bus
        self._subjects = subjects

    async def publish(self, due: Due, notice: Notice) -> None:
        """Append a delivery for each target, each on the condition that its subject is empty.

        While the bus is away it is tried again. What cannot be read, or is too large, is told in the log.
        """
        try:
            deliveries = list(self._deliveries(due, notice))
        except RunbusError as error:
            log.warning("notification.invalid", execution=notice.execution, number=due.number, error=error.message)
            return
        if not deliveries:
            log.warning("notification.no_target", execution=notice.execution, number=due.number)
        for delivery in deliveries:
            await self._append(delivery)

    async def close(self, project: str, execution: str) -> None:
        """Everything that was due is published: nobody need look the execution up again."""
        try:
            await self._bus.purge(self._subjects.notify_stream, self._subjects.notifications_open(project, execution))
        except RunbusError as error:  # the next dispatcher that starts looks it up, and finds all of it published
            log.info("notifications.left_open", execution=execution, error=error.message)

    def _deliveries(self, due: Due, notice: Notice) -> Iterator[_Delivery]:
        for place, target in enumerate(targets_of(due.notification, context_of(notice)), start=1):
            name = f"{due.number}-{place}"
            yield _Delivery(
                self._subjects.notification(notice.project, notice.execution, notice.trigger, name),
                NotificationTask(notification=due.notification, target=target, notice=notice),
            )

    async def _append(self, delivery: _Delivery) -> None:
        while True:
            try:
                await self._bus.append(
                    delivery.subject, encode(delivery.task), condition=Condition(delivery.subject, 0)
                )
            except WrongLastSequenceError:
                return
            except RunbusError as error:
                log.warning("notification.not_published", subject=delivery.subject, error=error.message)
                if error.code is not ErrorCode.UNAVAILABLE:
                    return
                await asyncio.sleep(_AGAIN_S)
            else:
                return
