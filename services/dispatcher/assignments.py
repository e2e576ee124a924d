"""The assignments of an execution on the jobs stream: made, published, looked for, taken back."""

from __future__ import annotations

from typing import Final

import msgspec
import structlog

from bus.connection import Bus
from schemas.api import ExecutionView
from schemas.codec import encode
from schemas.errors import RunbusError
from schemas.events import Assignment, ExecutionQueued, Part
from schemas.states import FINAL, ExecutionState
from schemas.subjects import Subjects
from schemas.tokens import TagSet

FIRST_ASSIGNMENT: Final = "1"

log = structlog.get_logger("dispatcher")


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One assignment of an execution, as it stands."""

    project: str
    execution: str
    assignment: str
    set: str
    state: ExecutionState
    runner: str = ""
    instance: str = ""


def pieces_of(view: ExecutionView) -> list[Piece]:
    """The assignments that have not ended: the only one of most executions, else those of its parts."""
    if not view.orchestrated:
        return [] if view.state in FINAL else [_piece(view, FIRST_ASSIGNMENT, view.set, view)]
    return [_piece(view, part.assignment, part.set, part) for part in view.parts if part.state not in FINAL]


def _piece(view: ExecutionView, assignment: str, tags: str, state: object) -> Piece:
    return Piece(
        project=view.project,
        execution=view.id,
        assignment=assignment,
        set=tags,
        state=state.state,  # type: ignore[attr-defined]
        runner=state.runner,  # type: ignore[attr-defined]
        instance=state.instance,  # type: ignore[attr-defined]
    )


class Assignments:
    """The assignments of executions, on the work queues of their tag sets."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self._bus = bus
        self._subjects = subjects

    async def publish(self, queued: ExecutionQueued) -> None:
        """Hand an execution's only assignment to its set.

        A second one is dropped by its message id, and beyond that by the claim.
        """
        await self._append(assignment_of(queued), queued.set)

    async def publish_part(self, assignment: Assignment, part: Part) -> None:
        """Hand one of several assignments to its set; again is harmless."""
        await self._append(assignment, part.set)

    async def waits(self, piece: Piece) -> bool:
        """Whether it is in the queue, in a runner's hands or not; an acknowledged one is not."""
        return await self._bus.last_message(self._subjects.jobs_stream, self._subject_of(piece)) is not None

    async def discard(self, piece: Piece) -> None:
        """Nobody need pull what has ended. Where this fails the claim refuses it."""
        try:
            await self._bus.purge(self._subjects.jobs_stream, self._subject_of(piece))
        except RunbusError as error:
            log.info("assignment.not_discarded", execution=piece.execution, reason=error.message)

    async def _append(self, assignment: Assignment, tags: str) -> None:
        await self._bus.append(
            self._subject(assignment.project, tags, assignment.execution, assignment.assignment),
            encode(assignment),
            msg_id=f"{assignment.project}.{assignment.execution}.{assignment.assignment}.{assignment.attempt}",
        )

    def _subject_of(self, piece: Piece) -> str:
        return self._subject(piece.project, piece.set, piece.execution, piece.assignment)

    def _subject(self, project: str, tags: str, execution: str, assignment: str) -> str:
        return self._subjects.job(project, TagSet.from_token(tags), execution, assignment)


def assignment_of(queued: ExecutionQueued) -> Assignment:
    """The first attempt of an execution's only assignment; with a plan, the parcel has all else."""
    names = Assignment(
        execution=queued.execution,
        assignment=FIRST_ASSIGNMENT,
        project=queued.project,
        attempt=1,
        steps=[] if queued.plan else queued.steps,
        title=queued.title,
        parcel=queued.plan,
    )
    if queued.plan:
        return names
    return msgspec.structs.replace(
        names,
        job=queued.job,
        user=queued.user,
        timeout_s=queued.timeout_s,
        flow=queued.flow,
        context=queued.context,
        stored=queued.stored,
        secrets_at=queued.secrets_at,
        log_level=queued.log_level,
        log_limit=queued.log_limit,
        retry=queued.retry,
        execution_type=queued.execution_type,
    )
