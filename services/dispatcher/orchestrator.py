"""Executions that several runners serve: what is next is decided by one dispatcher, and known to all."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from bus.connection import Bus, Condition, WrongLastSequenceError
from bus.parcels import Parcels
from domain.workflow.phases import End, Go, decide
from schemas.api import ExecutionView, PartView
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import (
    Assignment,
    AssignmentFinished,
    Event,
    ExecutionFinished,
    ExecutionPhase,
    ExecutionQueued,
    Part,
)
from schemas.states import FINAL, ExecutionState
from schemas.subjects import AUTHOR_DISPATCHER, WHOLE_EXECUTION, Subjects
from schemas.tokens import TagSet
from services.dispatcher.assignments import Assignments, pieces_of
from services.dispatcher.live import Key, LiveExecutions
from services.dispatcher.sets import SetsInUse

_LOOK_EVERY_S: Final = 5.0

log = structlog.get_logger("dispatcher")


class Orchestrator:
    """Every dispatcher considers every such execution at each of its events; the first to say what is next is heard.

    What is said of an execution as a whole (assignment 0) is appended on the condition that nothing else was since
    the decision's facts were read. Assignments follow; their message ids make a second hand harmless. What a dispatcher
    that died left out, another one hands out at its next look.
    """

    def __init__(self, bus: Bus, subjects: Subjects, *, live: LiveExecutions, sets: SetsInUse) -> None:
        self._bus = bus
        self._subjects = subjects
        self._live = live
        self._sets = sets
        self._assignments = Assignments(bus, subjects)
        self._plans: dict[Key, tuple[ExecutionQueued, Assignment]] = {}
        self._due: dict[Key, None] = {}
        self._wake = asyncio.Event()

    def take(self, event: Event) -> None:
        """An event was heard: if it is of such an execution, consider it."""
        key = (event.project, event.execution)
        if isinstance(event, ExecutionFinished):
            self._plans.pop(key, None)
        view = self._live.known(*key)
        if view is not None and view.orchestrated and not isinstance(event, ExecutionFinished):
            self._due[key] = None
            self._wake.set()

    async def run(self) -> None:
        """Consider what is due, and regularly all that has not ended, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                self._due |= {
                    (view.project, view.id): None for view in self._live.unfinished() if view.orchestrated
                }
            self._wake.clear()
            while self._due:
                key = next(iter(self._due))
                del self._due[key]
                await self._consider_safely(key)

    async def _consider_safely(self, key: Key) -> None:
        """What is wrong with one keeps nobody from seeing to the others; it is looked at again."""
        try:
            await self.consider(*key)
        except RunbusError as error:
            log.warning("orchestration.later", execution=key[1], code=error.code, reason=error.message)
            if error.code is not ErrorCode.UNAVAILABLE:
                await self._give_up(key, error)

    async def consider(self, project: str, execution: str) -> None:
        """Decide what is next, say it, and hand it out. Raises ``unavailable``, ``parcel_lost``."""
        subject = self._subjects.events_of_assignment(project, execution, WHOLE_EXECUTION)
        last = await self._bus.last_message(self._subjects.events_stream, subject)
        view = await self._live.get(project, execution)
        if last is None or view is None or view.state in FINAL:
            return
        queued, plan = await self._plan(project, execution)
        keepgoing = plan.dispatch.keepgoing if plan.dispatch else False
        decision = decide(view, plan.division, node_keepgoing=keepgoing)
        if isinstance(decision, Go):
            phase = max(len({part.section for part in view.parts}), 0) + 1
            said = ExecutionPhase(
                execution=execution, project=project, at=datetime.now(UTC), phase=phase, parts=decision.parts
            )
            if await self._say(said, last.seq):
                await self._hand_out(queued, plan, view, decision.parts)
        elif isinstance(decision, End):
            await self._say(_finished(view, decision), last.seq)
        else:
            await self._hand_out_left(queued, plan, view)

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

    async def _hand_out(
        self, queued: ExecutionQueued, plan: Assignment, view: ExecutionView, parts: list[Part]
    ) -> None:
        data = await self._found_so_far(view)
        for part in parts:
            await self._sets.ensure(queued.project, TagSet.from_token(part.set))
            await self._assignments.publish_part(_assignment(queued, plan, part, data), part)
        log.info("execution.phase", execution=queued.execution, assignments=len(parts))

    async def _hand_out_left(self, queued: ExecutionQueued, plan: Assignment, view: ExecutionView) -> None:
        """What was said and not handed out: whoever said it has died in between."""
        pieces = {piece.assignment: piece for piece in pieces_of(view) if piece.state is ExecutionState.QUEUED}
        for part in view.parts:
            piece = pieces.get(part.assignment)
            if piece is None or await self._assignments.waits(piece) or await self._has_begun(view, part):
                continue
            await self._hand_out(queued, plan, view, [_part(part)])

    async def _has_begun(self, view: ExecutionView, part: PartView) -> bool:
        subject = self._subjects.events_of_assignment(view.project, view.id, part.assignment)
        return await self._bus.last_message(self._subjects.events_stream, subject) is not None

    async def _found_so_far(self, view: ExecutionView) -> dict[str, dict[str, dict[str, str]]]:
        """What the steps of earlier assignments have found out."""
        found: dict[str, dict[str, dict[str, str]]] = {}
        for part in view.parts:
            subject = self._subjects.events_of_assignment(view.project, view.id, part.assignment)
            last = await self._bus.last_message(self._subjects.events_stream, subject)
            event: Event | None = decode(last.data, Event) if last else None  # type: ignore[arg-type]
            if isinstance(event, AssignmentFinished):
                for key, groups in event.data.items():
                    for group, values in groups.items():
                        found.setdefault(key, {}).setdefault(group, {}).update(values)
        return found

    async def _plan(self, project: str, execution: str) -> tuple[ExecutionQueued, Assignment]:
        key = (project, execution)
        if key not in self._plans:
            subject = self._subjects.event(project, execution, WHOLE_EXECUTION, AUTHOR_DISPATCHER)
            first = await self._bus.first_message(self._subjects.events_stream, subject)
            if first is None:
                raise RunbusError(ErrorCode.UNKNOWN_EXECUTION, f"execution {execution} is not in the stream.")
            queued = decode(first.data, ExecutionQueued)
            parcels = await Parcels.open(self._bus, self._subjects.parcels_bucket)
            self._plans[key] = queued, decode(await parcels.get(queued.plan), Assignment)
        return self._plans[key]

    async def _give_up(self, key: Key, error: RunbusError) -> None:
        """It cannot go on (its plan is lost): say so, rather than let it wait for ever."""
        view = await self._live.get(*key)
        subject = self._subjects.events_of_assignment(*key, WHOLE_EXECUTION)
        last = await self._bus.last_message(self._subjects.events_stream, subject)
        if view is None or last is None or pieces_of(view):
            return
        end = End(ExecutionState.FAILED, {}, error.info(AUTHOR_DISPATCHER))
        await self._say(_finished(view, end), last.seq)


def _finished(view: ExecutionView, end: End) -> ExecutionFinished:
    now = datetime.now(UTC)
    began = view.started_at or view.queued_at or now
    return ExecutionFinished(
        execution=view.id,
        project=view.project,
        at=now,
        state=end.state,
        duration_s=(now - began).total_seconds(),
        nodes=end.nodes,
        error=end.error,
        last_log_seq=view.last_log_seq,
    )


def _part(view: PartView) -> Part:
    return Part(
        assignment=view.assignment, set=view.set, section=view.section, steps=view.steps, nodes=view.nodes
    )  # fmt: skip


def _assignment(
    queued: ExecutionQueued, plan: Assignment, part: Part, data: dict[str, dict[str, dict[str, str]]]
) -> Assignment:
    """The part's share of the plan, which travels as a parcel."""
    left_s = plan.timeout_s
    if left_s is not None:
        left_s = max(1.0, left_s - (datetime.now(UTC) - queued.at).total_seconds())
    names = Assignment(
        execution=queued.execution,
        assignment=part.assignment,
        project=queued.project,
        attempt=1,
        steps=[],
        title=queued.title,
        timeout_s=left_s,
        data=data,
        only_nodes=part.nodes,
        only_steps=part.steps,
        part=True,
        parcel=queued.plan,
    )
    return msgspec.structs.replace(names, first_step=part.steps[0])
