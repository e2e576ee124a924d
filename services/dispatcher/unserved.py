"""Assignments that wait for a runner that is gone, where several runners serve an execution: lost, not kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeAlias

import structlog

from bus.connection import Bus
from domain.fleet import serves
from schemas.codec import decode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import ExecutionQueued
from schemas.runners import RunnerView
from schemas.states import ExecutionState, RunnerStatus
from schemas.subjects import AUTHOR_DISPATCHER, WHOLE_EXECUTION, Subjects
from schemas.tokens import OWN_TAG, TagSet
from services.dispatcher.assignments import Piece, pieces_of
from services.dispatcher.ending import Ending
from services.dispatcher.live import LiveExecutions

PATIENCE_S: Final = 10.0
"""How long a runner may be away whose work waits: one that is restarted is back by then."""
_GONE: Final = frozenset({RunnerStatus.DOWN, RunnerStatus.NEW})

Answering: TypeAlias = Callable[[str], Awaitable[str]]
"""The instance that answers a ping to a runner; empty where none does."""
_Key: TypeAlias = tuple[str, str, str]

log = structlog.get_logger("dispatcher")


class Unserved:
    """Ends what no runner has claimed and none is there to claim, so that the execution can end.

    An execution of one assignment waits, for its runner may come; nodes were divided among runners that were there.
    """

    def __init__(
        self, bus: Bus, subjects: Subjects, *, live: LiveExecutions, ending: Ending, answering: Answering
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._live = live
        self._ending = ending
        self._answering = answering
        self._since_s: dict[_Key, float] = {}

    def waiting(self) -> list[Piece]:
        """The assignments to be looked at."""
        return [
            piece
            for view in self._live.unfinished()
            if view.orchestrated
            for piece in pieces_of(view)
            if piece.state is ExecutionState.QUEUED
        ]

    async def look(self, waiting: Iterable[Piece], runners: Iterable[RunnerView]) -> None:
        """One look, with what the registry says of the runners. Raises ``unavailable``."""
        now_s = asyncio.get_running_loop().time()
        known = list(runners)
        unserved = [piece for piece in waiting if not _served(piece, known)]
        self._since_s = {_key(piece): self._since_s.get(_key(piece), now_s) for piece in unserved}
        for piece in unserved:
            if now_s - self._since_s[_key(piece)] >= PATIENCE_S and not await self._may_be_served(piece, known):
                await self._lose(piece)

    async def _may_be_served(self, piece: Piece, runners: Iterable[RunnerView]) -> bool:
        """What the registry says may be old: ask those it says are gone; and the run, whether it would wait."""
        tags = TagSet.from_token(piece.set)
        own = [tag.removeprefix(OWN_TAG) for tag in tags if tag.startswith(OWN_TAG)]
        names = own or [runner.id for runner in runners if serves(runner, piece.project, tags)]
        for name in names:
            if await self._answering(name):
                return True
        return not own and await self._would_wait(piece)

    async def _would_wait(self, piece: Piece) -> bool:
        subject = self._subjects.event(piece.project, piece.execution, WHOLE_EXECUTION, AUTHOR_DISPATCHER)
        first = await self._bus.first_message(self._subjects.events_stream, subject)
        return first is not None and decode(first.data, ExecutionQueued).wait_for_runner

    async def _lose(self, piece: Piece) -> None:
        tags = TagSet.from_token(piece.set)
        error = RunbusError(
            ErrorCode.RUNNER_LOST,
            f"assignment {piece.assignment} waited for a runner of {tags}, and none is connected any more: it never "
            "began there.",
            details={"set": piece.set, "assignment": piece.assignment},
        )
        if await self._ending.end_unclaimed(piece, ExecutionState.LOST, error.info(AUTHOR_DISPATCHER)):
            log.warning("assignment.unserved", execution=piece.execution, assignment=piece.assignment, set=piece.set)


def _served(piece: Piece, runners: Iterable[RunnerView]) -> bool:
    tags = TagSet.from_token(piece.set)
    return any(serves(runner, piece.project, tags) and runner.status not in _GONE for runner in runners)


def _key(piece: Piece) -> _Key:
    return piece.project, piece.execution, piece.assignment
