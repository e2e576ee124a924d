"""The assignment of an execution on the jobs stream: made, published, looked for, taken back."""

from __future__ import annotations

from typing import Final

import structlog

from bus.connection import Bus
from schemas.api import ExecutionView
from schemas.codec import encode
from schemas.errors import RunbusError
from schemas.events import Assignment, ExecutionQueued
from schemas.subjects import Subjects
from schemas.tokens import TagSet

FIRST_ASSIGNMENT: Final = "1"

log = structlog.get_logger("dispatcher")


class Assignments:
    """Each execution's only assignment, on the work queue of its tag set."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self._bus = bus
        self._subjects = subjects

    async def publish(self, queued: ExecutionQueued) -> None:
        """Hand it to the set. A second one is dropped by its message id, and beyond that by the claim."""
        assignment = assignment_of(queued)
        await self._bus.append(
            self._subject(queued.project, queued.set, queued.execution),
            encode(assignment),
            msg_id=f"{queued.project}.{queued.execution}.{assignment.assignment}.{assignment.attempt}",
        )

    async def waits(self, view: ExecutionView) -> bool:
        """Whether it is in the queue, in a runner's hands or not; an acknowledged one is not."""
        subject = self._subject(view.project, view.set, view.id)
        return await self._bus.last_message(self._subjects.jobs_stream, subject) is not None

    async def discard(self, view: ExecutionView) -> None:
        """Nobody need pull what has ended. Where this fails the claim refuses it."""
        try:
            await self._bus.purge(self._subjects.jobs_stream, self._subject(view.project, view.set, view.id))
        except RunbusError as error:
            log.info("assignment.not_discarded", execution=view.id, reason=error.message)

    def _subject(self, project: str, tags: str, execution: str) -> str:
        return self._subjects.job(project, TagSet.from_token(tags), execution, FIRST_ASSIGNMENT)


def assignment_of(queued: ExecutionQueued) -> Assignment:
    """The first attempt of an execution's only assignment."""
    return Assignment(
        execution=queued.execution,
        assignment=FIRST_ASSIGNMENT,
        project=queued.project,
        attempt=1,
        steps=queued.steps,
        title=queued.title,
        job=queued.job,
        user=queued.user,
        timeout_s=queued.timeout_s,
    )
