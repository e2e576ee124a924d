"""The assignments of executions that several runners serve: made of the plan, handed out, and again where missing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from bus.connection import Bus
from bus.parcels import Parcels
from bus.plans import park_plan, read_plan
from bus.sets import SetsInUse
from domain.workflow.phases import names_of
from schemas.api import ExecutionView, PartView
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import Assignment, AssignmentFinished, Event, ExecutionQueued, Part
from schemas.states import ExecutionState
from schemas.subjects import AUTHOR_DISPATCHER, WHOLE_EXECUTION, Subjects
from schemas.tokens import TagSet
from services.dispatcher.assignments import Assignments, pieces_of
from services.dispatcher.live import Key

MAX_INLINE_BYTES: Final = 256 * 1024
"""What an assignment may say beside its plan; with more, it has a parcel of its own."""
_LEAST_S: Final = 0.01
_AT_ONCE: Final = 32

Data = dict[str, dict[str, dict[str, str]]]

log = structlog.get_logger("dispatcher")


class Known:
    """What a dispatcher remembers of one execution while it lasts."""

    def __init__(self, queued: ExecutionQueued, plan: Assignment) -> None:
        self.queued: Final = queued
        self.plan: Final = plan
        """Without its nodes: ``division`` has their names."""
        self.found: Data = {}
        """What the steps of earlier assignments have found out."""
        self.read: set[str] = set()
        """The assignments of which that was read."""


class HandOut:
    """Hands assignments to their sets. A second time is harmless: their message ids are the same."""

    def __init__(self, bus: Bus, subjects: Subjects, sets: SetsInUse) -> None:
        self._bus = bus
        self._subjects = subjects
        self._sets = sets
        self._assignments = Assignments(bus, subjects)
        self._parcels = Parcels(bus, subjects.parcels_bucket)
        self._known: dict[Key, Known] = {}

    async def known(self, project: str, execution: str) -> Known:
        """An execution's beginning and plan. Raises ``unknown_execution``, ``parcel_lost``, ``unavailable``."""
        key = (project, execution)
        if key not in self._known:
            subject = self._subjects.event(project, execution, WHOLE_EXECUTION, AUTHOR_DISPATCHER)
            first = await self._bus.first_message(self._subjects.events_stream, subject)
            if first is None:
                raise RunbusError(ErrorCode.UNKNOWN_EXECUTION, f"execution {execution} is not in the stream.")
            queued = decode(first.data, ExecutionQueued)
            self._known[key] = Known(queued, await read_plan(self._parcels, queued.plan, with_nodes=False))
        return self._known[key]

    def forget(self, project: str, execution: str) -> None:
        """It has ended."""
        self._known.pop((project, execution), None)

    async def hand_out(self, known: Known, view: ExecutionView, parts: list[Part]) -> None:
        """Publish the assignments of these parts. Raises ``unavailable``, ``parcel_lost``."""
        await self._look_for_data(known, view)

        async def publish(part: Part) -> None:
            await self._sets.ensure(known.queued.project, TagSet.from_token(part.set))
            await self._assignments.publish_part(await self._fitting(known, view, part), part)

        for start in range(0, len(parts), _AT_ONCE):
            await asyncio.gather(*map(publish, parts[start : start + _AT_ONCE]))
        log.info("execution.phase", execution=view.id, assignments=[part.assignment for part in parts][:_AT_ONCE])

    async def hand_out_left(self, known: Known, view: ExecutionView) -> None:
        """What was said and not handed out: whoever said it has died in between."""
        queued = {piece.assignment: piece for piece in pieces_of(view) if piece.state is ExecutionState.QUEUED}
        for part in view.parts:
            piece = queued.get(part.assignment)
            if piece is None or await self._assignments.waits(piece) or await self._last_event(view, part):
                continue
            await self.hand_out(known, view, [_part(part)])

    async def _look_for_data(self, known: Known, view: ExecutionView) -> None:
        """Take over what the steps of assignments that have ended by now have found out."""
        for part in view.parts:
            if part.assignment in known.read:
                continue
            event = await self._last_event(view, part)
            if not isinstance(event, AssignmentFinished):
                continue
            known.read.add(part.assignment)
            for key, groups in event.data.items():
                for group, values in groups.items():
                    known.found.setdefault(key, {}).setdefault(group, {}).update(values)

    async def _last_event(self, view: ExecutionView, part: PartView) -> Event | None:
        subject = self._subjects.events_of_assignment(view.project, view.id, part.assignment)
        last = await self._bus.last_message(self._subjects.events_stream, subject)
        event: Event | None = decode(last.data, Event) if last else None  # type: ignore[arg-type]
        return event

    async def _fitting(self, known: Known, view: ExecutionView, part: Part) -> Assignment:
        """The part's assignment: it names nodes of the plan, unless they, and what was found, are too much to say."""
        names = names_of(part, known.plan.division)
        assignment = msgspec.structs.replace(_assignment(known, view, part), data=known.found, only_nodes=names)
        if len(encode(assignment)) <= MAX_INLINE_BYTES:
            return assignment
        plan = await read_plan(self._parcels, known.queued.plan)
        dispatch, wanted = plan.dispatch, frozenset(names)
        if dispatch is not None:
            dispatch = msgspec.structs.replace(
                dispatch, nodes=[each for each in dispatch.nodes if each.name in wanted]
            )
        own = msgspec.structs.replace(plan, dispatch=dispatch if names else None, data=known.found, division={})
        name = await park_plan(self._parcels, own)
        return msgspec.structs.replace(assignment, data={}, only_nodes=None, parcel=name)


def _part(view: PartView) -> Part:
    return Part(
        assignment=view.assignment, set=view.set, section=view.section, steps=view.steps,
        node_count=view.node_count, left_out=view.left_out,
    )  # fmt: skip


def _assignment(known: Known, view: ExecutionView, part: Part) -> Assignment:
    """The part's share of the plan, which travels as a parcel."""
    queued, left_s = known.queued, known.plan.timeout_s
    if left_s is not None and view.started_at is not None:
        left_s = max(_LEAST_S, left_s - (datetime.now(UTC) - view.started_at).total_seconds())
    return Assignment(
        execution=queued.execution,
        assignment=part.assignment,
        project=queued.project,
        attempt=1,
        steps=[],
        title=queued.title,
        timeout_s=left_s,
        first_step=part.steps[0],
        only_steps=part.steps,
        part=True,
        parcel=queued.plan,
    )
