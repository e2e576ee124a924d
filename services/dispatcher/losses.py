"""Ending what ran on runners that are gone: the registry's hints, looked into before they are believed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec
import structlog

from bus.connection import Bus, Heard
from bus.presence import nobody_listens, unanswered
from domain.losses import Evidence, is_suspect, why_lost
from schemas import catalog
from schemas.api import PingRequest, RunnerListRequest
from schemas.errors import ErrorCode, RunbusError
from schemas.runners import RunnerRecord, RunnerView
from schemas.states import ExecutionState
from schemas.subjects import AUTHOR_DISPATCHER, Subjects
from services.dispatcher.assignments import Piece, pieces_of
from services.dispatcher.ending import Ending
from services.dispatcher.live import LiveExecutions
from services.dispatcher.unserved import Unserved

_LOOK_EVERY_S: Final = 10.0
_ANSWER_WITHIN_S: Final = 2.0
_AT_ONCE: Final = 64

RecordOf: TypeAlias = Callable[[str], Awaitable[tuple[RunnerRecord, int] | None]]

log = structlog.get_logger("dispatcher")


class LossWatch:
    """Ends executions as lost by the rule of :func:`domain.losses.why_lost`.

    ``record_of`` reads a runner's record and its revision from where it is stored, not from a copy.
    """

    def __init__(
        self, bus: Bus, subjects: Subjects, *, live: LiveExecutions, ending: Ending, record_of: RecordOf
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._live = live
        self._ending = ending
        self._record_of = record_of
        self._unserved = Unserved(bus, subjects, live=live, ending=ending, answering=self._answering)
        self._look_now = asyncio.Event()

    async def take_fleet_change(self, _heard: Heard) -> None:
        """A runner's status changed: look at once whether something was lost with it."""
        self._look_now.set()

    async def run(self) -> None:
        """End what runs on runners that are Down, were restarted or removed, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._look_now.wait()
            except TimeoutError:
                log.debug("runners.regular_look")
            self._look_now.clear()
            try:
                await self.look()
            except RunbusError as error:
                log.warning("losses.looked_at_later", error=error.message)

    async def look(self) -> None:
        """One look. Raises ``unavailable``; what could not be found out is looked at in the next one."""
        claimants: dict[tuple[str, str], list[Piece]] = defaultdict(list)
        for view in self._live.unfinished():
            for piece in pieces_of(view):
                if piece.state is ExecutionState.RUNNING:
                    claimants[piece.runner, piece.instance].append(piece)
        waiting = self._unserved.waiting()
        if not claimants and not waiting:
            return
        reply = await self._bus.call(self._subjects, catalog.RUNNER_LIST, RunnerListRequest())
        await self._unserved.look(waiting, reply.runners)
        runners = {runner.id: runner for runner in reply.runners}
        suspects = [
            (runners.get(runner), pieces)
            for (runner, instance), pieces in claimants.items()
            if is_suspect(instance, runners.get(runner))
        ]
        for start in range(0, len(suspects), _AT_ONCE):
            await asyncio.gather(*(self._judge(seen, pieces) for seen, pieces in suspects[start : start + _AT_ONCE]))

    async def _judge(self, seen: RunnerView | None, pieces: list[Piece]) -> None:
        """See to one claimant. What is wrong with it alone keeps nobody from seeing to the others."""
        try:
            await self._see_to(seen, pieces)
        except RunbusError as error:
            if error.code is ErrorCode.UNAVAILABLE:
                raise
            log.warning("loss.not_judged", runner=pieces[0].runner, code=error.code, error=error.message)

    async def _see_to(self, seen: RunnerView | None, pieces: list[Piece]) -> None:
        """Look into one claimant, and end what it ran if that is lost."""
        runner, instance = pieces[0].runner, pieces[0].instance
        found = await self._record_of(runner)
        evidence = Evidence(instance=instance, seen=seen, recorded=found[0].instance if found else None)
        if not why_lost(runner, evidence):
            return
        evidence = msgspec.structs.replace(evidence, answering=await self._answering(runner))
        reason = why_lost(runner, evidence)
        if not reason:
            log.info("runner.answers", runner=runner, instance=instance)
            return
        for piece in pieces:
            error = RunbusError(ErrorCode.RUNNER_LOST, reason, details={"runner": runner})
            await self._ending.lose(piece, error.info(AUTHOR_DISPATCHER))

    async def _answering(self, runner: str) -> str:
        """The instance that answers a ping; empty where none does. Raises where that cannot be told."""
        try:
            pong = await self._bus.call(
                self._subjects, catalog.PING, PingRequest(), runner=runner, timeout_s=_ANSWER_WITHIN_S
            )
        except RunbusError as error:
            if not (nobody_listens(error) or unanswered(error)):
                raise
            return ""
        return pong.instance
