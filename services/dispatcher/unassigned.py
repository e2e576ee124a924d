"""Executions that were queued and never handed to a runner set: whoever accepted them died in between."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog

from bus.connection import Bus
from bus.sets import SetsInUse
from schemas.api import ExecutionView
from schemas.codec import decode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import AssignmentFinished, Event, ExecutionQueued
from schemas.states import ExecutionState
from schemas.subjects import AUTHOR_DISPATCHER, WHOLE_EXECUTION, Subjects
from schemas.tokens import TagSet
from services.dispatcher.assignments import FIRST_ASSIGNMENT, Assignments, pieces_of
from services.dispatcher.ending import Ending
from services.dispatcher.live import Key, LiveExecutions, is_whole

_LOOK_EVERY_S: Final = 5.0
_AT_ONCE: Final = 64

log = structlog.get_logger("dispatcher")


class UnassignedWatch:
    """Publishes an assignment that is missing. Every dispatcher does so for all it hears of.

    Missing is: not on the jobs stream, and then no event of the assignment stored. An acknowledged assignment is
    not on the stream either, but a runner acknowledges only behind an event. Two who find the same publish one
    message, for its id is the same; one published too late is refused by its claim, which is after nothing.

    An execution is looked at from its second round on (nothing of a few seconds is wrong, and no clocks are
    compared), and no more once its assignment was found: a long queue is read once. One that was published here
    is looked at again, for within the stream's window a removed assignment's id is still known, and dropped.
    """

    def __init__(
        self, bus: Bus, subjects: Subjects, *, live: LiveExecutions, sets: SetsInUse, ending: Ending
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._live = live
        self._assignments = Assignments(bus, subjects)
        self._sets = sets
        self._ending = ending
        self._known: set[Key] = set()
        self._settled: set[Key] = set()

    async def run(self) -> None:
        """Look regularly until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self.look()
            except RunbusError as error:
                log.info("unassigned.looked_at_later", reason=error.message)

    async def look(self) -> None:
        """One round. Raises ``unavailable``; what was not settled is looked at in the next one."""
        queued = {
            (view.project, view.id): view
            for view in self._live.unfinished()
            if view.state is ExecutionState.QUEUED and is_whole(view) and not view.orchestrated
        }
        overdue = [view for key, view in queued.items() if key in self._known and self._is_open(key, view)]
        self._known = set(queued)
        self._settled &= self._known
        for start in range(0, len(overdue), _AT_ONCE):
            await asyncio.gather(*(self._settle(view) for view in overdue[start : start + _AT_ONCE]))

    def _is_open(self, key: Key, view: ExecutionView) -> bool:
        return key not in self._settled or view.abort_requested_by is not None

    async def _settle(self, view: ExecutionView) -> None:
        """See to one. What is wrong with it alone keeps nobody from seeing to the others."""
        try:
            await self._see_to(view)
        except RunbusError as error:
            if error.code is ErrorCode.UNAVAILABLE:
                raise
            log.warning("unassigned.not_settled", execution=view.id, code=error.code, error=error.message)

    async def _see_to(self, view: ExecutionView) -> None:
        if view.abort_requested_by is not None:
            await self._ending.end_aborted(view)
        elif await self._assignments.waits(*pieces_of(view)):
            self._settled.add((view.project, view.id))
        elif not _overdue(view) and await self._last_event(view) is None:
            await self._publish(view)

    async def _publish(self, view: ExecutionView) -> None:
        queued = await self._stored(view)
        if queued is None or not queued.assignments:
            return
        await self._sets.ensure(view.project, TagSet.from_token(view.set))
        await self._assignments.publish(queued)
        log.warning("assignment.published_again", execution=view.id, project=view.project, set=view.set)
        # Whoever ended it meanwhile may have cleared the queue before this was in it.
        if isinstance(await self._last_event(view), AssignmentFinished):
            await self._assignments.discard(*pieces_of(view))

    async def _stored(self, view: ExecutionView) -> ExecutionQueued | None:
        subject = self._subjects.event(view.project, view.id, WHOLE_EXECUTION, AUTHOR_DISPATCHER)
        first = await self._bus.first_message(self._subjects.events_stream, subject)
        return decode(first.data, ExecutionQueued) if first else None

    async def _last_event(self, view: ExecutionView) -> Event | None:
        subject = self._subjects.events_of_assignment(view.project, view.id, FIRST_ASSIGNMENT)
        stored = await self._bus.last_message(self._subjects.events_stream, subject)
        event: Event | None = decode(stored.data, Event) if stored else None  # type: ignore[arg-type]
        return event


def _overdue(view: ExecutionView) -> bool:
    """Whether its deadline has passed: its end is under way, and an assignment would come too late."""
    return view.deadline_at is not None and view.deadline_at <= datetime.now(UTC)
