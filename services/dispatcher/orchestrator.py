"""Executions that several runners serve: what is next is decided by one dispatcher, and known to all."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from bus.connection import Bus, Condition, WrongLastSequenceError
from domain.workflow.phases import End, Go, decide
from schemas.api import ExecutionView
from schemas.codec import encode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import Event, ExecutionFinished, ExecutionPhase
from schemas.states import FINAL, ExecutionState
from schemas.subjects import AUTHOR_DISPATCHER, WHOLE_EXECUTION, Subjects
from services.dispatcher.assignments import pieces_of
from services.dispatcher.ending import Ending, aborted_by
from services.dispatcher.handout import HandOut
from services.dispatcher.live import Key, LiveExecutions

LOOK_EVERY_S: Final = 5.0
_AT_ONCE: Final = 32

log = structlog.get_logger("dispatcher")


class Orchestrator:
    """Every dispatcher considers every such execution at each of its events; the first to say what is next is heard.

    What is said of an execution as a whole (assignment 0) is appended on the condition that nothing else was since
    the decision's facts were read. Assignments follow; their message ids make a second hand harmless. What a
    dispatcher that died left out, another one hands out at its second look.
    """

    def __init__(
        self, bus: Bus, subjects: Subjects, *, live: LiveExecutions, ending: Ending, hand_out: HandOut
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._live = live
        self._ending = ending
        self._hand_out = hand_out
        self._due: dict[Key, None] = {}
        self._seen: set[Key] = set()
        self._wake = asyncio.Event()

    def take(self, event: Event) -> None:
        """An event was heard: if it is of such an execution, consider it."""
        key = (event.project, event.execution)
        if isinstance(event, ExecutionFinished):
            self._hand_out.forget(*key)
            return
        view = self._live.known(*key)
        if view is not None and view.orchestrated:
            self._due[key] = None
            self._wake.set()

    async def run(self) -> None:
        """Consider what is due, and regularly all that has not ended, until cancelled."""
        loop = asyncio.get_running_loop()
        next_look_s = loop.time() + LOOK_EVERY_S
        while True:
            try:
                async with asyncio.timeout(max(0.0, next_look_s - loop.time())):
                    await self._wake.wait()
            except TimeoutError:
                await self.look()
                next_look_s = loop.time() + LOOK_EVERY_S
            self._wake.clear()
            due, self._due = list(self._due), {}
            await self._consider_all(due)

    async def look(self) -> None:
        """Consider all that has not ended; of what was there at the last look already, mend what was left undone."""
        keys = {(view.project, view.id) for view in self._live.unfinished() if view.orchestrated}
        await self._consider_all(sorted(keys), mend=self._seen)
        self._seen = keys

    async def _consider_all(self, keys: list[Key], mend: set[Key] | frozenset[Key] = frozenset()) -> None:
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            await asyncio.gather(*(self._consider_safely(key, mend=key in mend) for key in some))

    async def _consider_safely(self, key: Key, *, mend: bool) -> None:
        """What is wrong with one keeps nobody from seeing to the others; it is looked at again."""
        try:
            try:
                await self.consider(*key, mend=mend)
            except RunbusError as error:
                if error.code is ErrorCode.UNAVAILABLE:
                    raise
                log.warning("orchestration.given_up", execution=key[1], code=error.code, error=error.message)
                await self._give_up(key, error)
        except RunbusError as error:
            log.warning("orchestration.later", execution=key[1], code=error.code, reason=error.message)

    async def consider(self, project: str, execution: str, *, mend: bool = False) -> None:
        """Decide what is next, say it, and hand it out; ``mend`` what others began and have not done.

        Raises ``unavailable``, ``parcel_lost``.
        """
        last_seq, view = await self._stand(project, execution)
        if view is None or view.state in FINAL:
            return
        known = await self._hand_out.known(project, execution)
        plan = known.plan
        keepgoing = plan.dispatch.keepgoing if plan.dispatch else False
        decision = decide(view, plan.division, node_keepgoing=keepgoing)
        if isinstance(decision, Go):
            phase = len({part.section for part in view.parts}) + 1
            said = ExecutionPhase(
                execution=execution, project=project, at=datetime.now(UTC), phase=phase, parts=decision.parts
            )
            if await self._say(said, last_seq):
                await self._hand_out.hand_out(known, view, decision.parts)
        elif isinstance(decision, End):
            await self._finish(view, decision, last_seq)
        elif mend and view.abort_requested_by is not None:
            await self._ending.end_aborted(view)
        elif mend:
            await self._hand_out.hand_out_left(known, view)

    async def _stand(self, project: str, execution: str) -> tuple[int, ExecutionView | None]:
        """The sequence of what was said last, and the view with that and everything before in it."""
        subject = self._subjects.events_of_assignment(project, execution, WHOLE_EXECUTION)
        last = await self._bus.last_message(self._subjects.events_stream, subject)
        view = await self._live.get(project, execution)
        return (last.seq, view) if last else (0, None)

    async def _say(self, event: ExecutionPhase | ExecutionFinished, after_seq: int) -> bool:
        """Append it behind the last of its kind; False where another dispatcher, or an abort, was first."""
        names = event.project, event.execution, WHOLE_EXECUTION
        condition = Condition(self._subjects.events_of_assignment(*names), after_seq)
        try:
            await self._bus.append(
                self._subjects.event(*names, AUTHOR_DISPATCHER), encode(event), condition=condition
            )
        except WrongLastSequenceError:
            return False
        return True

    async def _finish(self, view: ExecutionView, end: End, after_seq: int) -> None:
        """Say the end, with as many names of nodes as the bus takes."""
        whole = _finished(view, end)
        bad = {state: names for state, names in end.nodes.items() if state != "succeeded"}
        for nodes in (whole.nodes, bad, {}):
            said = msgspec.structs.replace(whole, nodes=nodes)
            if nodes and len(encode(said)) > self._bus.max_payload_bytes:
                continue
            if await self._say(said, after_seq):
                log.info("execution.ended", execution=view.id, state=end.state)
            return

    async def _give_up(self, key: Key, error: RunbusError) -> None:
        """It cannot go on (its plan is lost): end it, rather than let it wait for ever. What runs is let run."""
        last_seq, view = await self._stand(*key)
        if view is None or view.state in FINAL:
            return
        info = error.info(AUTHOR_DISPATCHER)
        pieces = pieces_of(view)
        for piece in pieces:
            if piece.state is ExecutionState.QUEUED:
                await self._ending.end_unclaimed(piece, ExecutionState.FAILED, info)
        if not pieces:
            await self._finish(view, End(state=ExecutionState.FAILED, error=info), last_seq)


def _finished(view: ExecutionView, end: End) -> ExecutionFinished:
    now = datetime.now(UTC)
    began = view.started_at or view.queued_at or now
    error = end.error
    if error is None and end.state is ExecutionState.ABORTED:
        error = aborted_by(view.abort_requested_by or "")
    return ExecutionFinished(
        execution=view.id,
        project=view.project,
        at=now,
        state=end.state,
        duration_s=(now - began).total_seconds(),
        status=end.status,
        nodes=end.nodes,
        error=error,
        last_log_seq=view.last_log_seq,
    )
