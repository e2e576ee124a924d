"""Which executions have notifications, and what becomes of them: from events to notices."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from bus.connection import Bus
from bus.follow import Follower
from bus.lifecycle import Background
from bus.pull import Delivery
from domain import execution as fold
from domain.context.references import Missing, expand
from domain.context.scopes import View
from domain.notify.due import Due, due, of_trigger
from domain.notify.notice import context_of, notice_of
from domain.notify.threshold import threshold_s
from schemas.api import ExecutionView
from schemas.codec import decode
from schemas.errors import RunbusError
from schemas.events import Event, ExecutionQueued
from schemas.jobs import JobDefinition, Trigger
from schemas.states import FINAL
from schemas.subjects import Subjects
from services.dispatcher.notify.publishing import Publisher

Key = tuple[str, str]
"""Project and execution."""
_FINISH_WITHIN_S: Final = 2.0

log = structlog.get_logger("dispatcher")


class Watched:
    """An execution under way that has notifications. What it sets off is published in order."""

    def __init__(self, queued: ExecutionQueued) -> None:
        self.queued = queued
        self.view: ExecutionView = fold.apply(fold.begin(queued), queued)
        self.last: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None


class NoticeWatch:
    """Hears every event; those of executions without notifications cost it one look into a dictionary."""

    def __init__(
        self,
        bus: Bus,
        subjects: Subjects,
        *,
        find_job: Callable[[str, str], Awaitable[JobDefinition]],
        average_s: Callable[[str, str], Awaitable[float | None]],
        server_url: str = "",
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._find_job = find_job
        self._average_s = average_s
        self._server_url = server_url
        self._publisher = Publisher(bus, subjects)
        self._watched: dict[Key, Watched] = {}
        self._early: dict[Key, list[Event]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, event: Event) -> None:
        """Take an event, as it comes or as it is read from the stream: what was heard before changes nothing."""
        key = (event.project, event.execution)
        if key in self._early:
            self._early[key].append(event)
        elif isinstance(event, ExecutionQueued):
            if event.notifications and key not in self._watched:
                self._watched[key] = Watched(event)
        elif key in self._watched:
            self._change(key, self._watched[key], event)

    async def run(self) -> None:
        """Look up what was left open while no dispatcher heard; then wait to be cancelled."""
        for key in await self._left_open():
            if key not in self._watched:
                await self._look_up(key)
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Publish what is in hand; what cannot be is looked up by the next dispatcher that starts."""
        for watched in self._watched.values():
            if watched.timer is not None:
                watched.timer.cancel()
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=_FINISH_WITHIN_S)
            for task in left:
                task.cancel()

    def _change(self, key: Key, watched: Watched, event: Event) -> None:
        before, watched.view = watched.view, fold.apply(watched.view, event)
        view = watched.view
        fired = due(watched.queued, before, view)
        if fired:
            self._then(watched, self._publish(watched.queued, view, fired, at=event.at))
        if view.state in FINAL:
            del self._watched[key]
            if watched.timer is not None:
                watched.timer.cancel()
            self._then(watched, self._publisher.close(*key))
        elif view.started_at is not None and before.started_at is None and _asks_for_average(watched.queued):
            self._then(watched, self._set_timer(watched))

    def _then(self, watched: Watched, work: Coroutine[Any, Any, None]) -> None:
        """Do it after what this execution has set off before."""
        watched.last = task = asyncio.ensure_future(_after(watched.last, work))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.error("notification.fault", error=f"{type(fault).__name__}: {fault}")

    async def _publish(
        self, queued: ExecutionQueued, view: ExecutionView, fired: Sequence[Due], *, at: datetime
    ) -> None:
        job, average_s = await self._job_of(queued), await self._average_of(queued)
        for each in fired:
            notice = notice_of(
                each.notification.trigger, queued, view, at=at, average_s=average_s,
                job_description=job.description if job else "", server_url=self._server_url,
            )  # fmt: skip
            await self._publisher.publish(each, notice)

    async def _set_timer(self, watched: Watched) -> None:
        """Have ``onavgduration`` fire once the execution has run for too long, if it still runs then."""
        job, average_s = await self._job_of(watched.queued), await self._average_of(watched.queued)
        started_at = watched.view.started_at
        limit_s = threshold_s(self._threshold_of(watched, job), average_s)
        if limit_s is None or started_at is None or watched.view.state in FINAL:
            return
        left_s = (started_at + timedelta(seconds=limit_s) - datetime.now(UTC)).total_seconds()
        watched.timer = asyncio.get_running_loop().call_later(max(0.0, left_s), self._average_passed, watched)

    def _threshold_of(self, watched: Watched, job: JobDefinition | None) -> str:
        text = job.average_duration_threshold if job else ""
        if "${" not in text:
            return text
        notice = notice_of(Trigger.AVERAGE_DURATION, watched.queued, watched.view, at=watched.queued.at)
        return expand(text, context_of(notice), View(), Missing.BLANK)

    def _average_passed(self, watched: Watched) -> None:
        if watched.view.state not in FINAL:
            fired = of_trigger(watched.queued.notifications, Trigger.AVERAGE_DURATION)
            self._then(watched, self._publish(watched.queued, watched.view, fired, at=datetime.now(UTC)))

    async def _job_of(self, queued: ExecutionQueued) -> JobDefinition | None:
        """The definition as it is now; None where there is none any more, or it cannot be asked for."""
        if queued.job is None:
            return None
        try:
            return await self._find_job(queued.project, queued.job.uuid)
        except RunbusError as error:
            log.debug("notification.no_job", execution=queued.execution, error=error.message)
            return None

    async def _average_of(self, queued: ExecutionQueued) -> float | None:
        if queued.job is None:
            return None
        try:
            return await self._average_s(queued.project, queued.job.uuid)
        except RunbusError as error:
            log.debug("notification.no_average", execution=queued.execution, error=error.message)
            return None

    async def _left_open(self) -> list[Key]:
        found: list[Key] = []

        async def note(delivery: Delivery) -> None:
            _, project, _, execution, _ = delivery.subject.split(".")
            found.append((project, execution))

        subject = self._subjects.notifications_open("*", "*")
        await self._read(self._subjects.notify_stream, subject, note, last_per_subject=True)
        return found

    async def _look_up(self, key: Key) -> None:
        """Take all events of an execution from the stream, then those that came meanwhile."""
        self._early[key] = []
        events: list[Event] = []

        async def note(delivery: Delivery) -> None:
            try:
                events.append(decode(delivery.data, Event))  # type: ignore[arg-type]
            except RunbusError as error:
                log.warning("event.not_understood", subject=delivery.subject, error=error.message)

        try:
            subject = self._subjects.events_of_execution(*key)
            await self._read(self._subjects.events_stream, subject, note)
        finally:
            events += self._early.pop(key)
        for event in events:
            self.take(event)

    async def _read(
        self,
        stream: str,
        subject: str,
        on_message: Callable[[Delivery], Awaitable[None]],
        *,
        last_per_subject: bool = False,
    ) -> None:
        follower = Follower(self._bus, stream, subject, on_message=on_message, last_per_subject=last_per_subject)
        async with Background(follower.run()):
            await follower.caught_up.wait()


async def _after(previous: asyncio.Task[None] | None, work: Coroutine[Any, Any, None]) -> None:
    try:
        if previous is not None:
            await asyncio.wait([previous])
    except asyncio.CancelledError:
        work.close()
        raise
    await work


def _asks_for_average(queued: ExecutionQueued) -> bool:
    return any(each.trigger is Trigger.AVERAGE_DURATION for each in queued.notifications)
