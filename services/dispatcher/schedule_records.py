"""Fires that did not become a run: recorded as executions that have ended, where people look for them."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog

from bus.connection import Bus, Condition, WrongLastSequenceError
from domain.schedule import fire_id
from domain.schedule.plan import MOST_COUNTED
from domain.selection import tag_set_of
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import AssignmentFinished, ExecutionQueued
from schemas.jobs import JobDefinition
from schemas.states import ExecutionState
from schemas.subjects import AUTHOR_DISPATCHER, WHOLE_EXECUTION, Subjects
from schemas.tokens import TagSet
from services.dispatcher.assignments import FIRST_ASSIGNMENT

USER = "schedule"
"""The user of runs that no user asked for."""
EXECUTION_TYPE = "scheduled"
"""What scripts see as ``job.executionType``."""

log = structlog.get_logger("dispatcher")


class FireRecords:
    """Writes two events a record, each on the condition that there is none: whoever is second changes nothing.

    The first one names no assignments. So nobody hands it to a runner, should the second one be late.
    """

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self._bus = bus
        self._subjects = subjects

    async def missed(self, job: JobDefinition, at: datetime, *, grace_s: float, more: int = 0) -> None:
        """A fire that was noticed too late; with ``more``, it stands for so many that came after it, too."""
        now = datetime.now(UTC)
        number = f"at least {more}" if more >= MOST_COUNTED - 1 else f"{more}"
        others = f" It stands for {number} more that were missed after it." if more else ""
        error = RunbusError(
            ErrorCode.MISSED,
            f"the schedule should have started it at {at:%Y-%m-%d %H:%M:%S} UTC, and that was noticed "
            f"{(now - at).total_seconds():.0f} s later; it may be {grace_s:g} s late. Every dispatcher or NATS was "
            f"down, or runs could not be accepted. It was not run.{others}",
            details={"fire_at": at.isoformat(), "noticed_at": now.isoformat(), "more": more},
        )
        await self._record(job, at, ExecutionState.MISSED, error)

    async def refused(self, job: JobDefinition, at: datetime, error: RunbusError) -> None:
        """A fire whose run was not accepted."""
        await self._record(job, at, ExecutionState.FAILED, error)

    async def _record(self, job: JobDefinition, at: datetime, state: ExecutionState, error: RunbusError) -> None:
        execution, now = fire_id(job.uuid, at), datetime.now(UTC)
        queued = ExecutionQueued(
            execution=execution, project=job.project, at=now, title=job.ref.path, steps=[], set=_set_of(job),
            job=job.ref, user=USER, execution_type=EXECUTION_TYPE, assignments=[],
        )  # fmt: skip
        if not await self._begin(queued):
            return
        finished = AssignmentFinished(
            execution=execution, assignment=FIRST_ASSIGNMENT, project=job.project, attempt=1, at=now, state=state,
            error=error.info(AUTHOR_DISPATCHER),
        )  # fmt: skip
        names = job.project, execution, FIRST_ASSIGNMENT
        condition = Condition(self._subjects.events_of_assignment(*names), 0)
        try:
            subject = self._subjects.event(*names, AUTHOR_DISPATCHER)
            await self._bus.append(subject, encode(finished), condition=condition)
        except WrongLastSequenceError:
            return
        log.warning("schedule.not_run", job=job.ref.path, execution=execution, state=state, error=error.message)

    async def _begin(self, queued: ExecutionQueued) -> bool:
        """Append the first event; False where the fire has become a run."""
        names = queued.project, queued.execution, WHOLE_EXECUTION
        subject = self._subjects.event(*names, AUTHOR_DISPATCHER)
        condition = Condition(self._subjects.events_of_assignment(*names), 0)
        try:
            await self._bus.append(subject, encode(queued), condition=condition)
        except WrongLastSequenceError:
            first = await self._bus.first_message(self._subjects.events_stream, subject)
            return first is not None and not decode(first.data, ExecutionQueued).assignments
        return True


def _set_of(job: JobDefinition) -> str:
    """The job's target, for lists; one that each run fills in is not known."""
    try:
        return tag_set_of(job.runner).token
    except RunbusError:
        return TagSet.local().token
