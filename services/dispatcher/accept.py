"""The life of a job request in a dispatcher, top to bottom: resolve, enter, store, hand to a runner set."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
import structlog

from bus.connection import Bus, Condition, WrongLastSequenceError
from bus.parcels import Parcels
from domain import execution as fold
from schemas.api import ExecutionView, RunRequest
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import Assignment, ExecutionQueued
from schemas.subjects import AUTHOR_DISPATCHER, WHOLE_EXECUTION, Subjects
from services.dispatcher.assignments import Assignments
from services.dispatcher.notify.publishing import open_notifications
from services.dispatcher.overlap import Overlap
from services.dispatcher.resolve import Resolved, Resolver
from services.dispatcher.secrets import SecretKeeper
from services.dispatcher.sets import SetsInUse

_ROOM_BYTES: Final = 32 * 1024
_OUTCOME_BYTES: Final = 192
"""What the end of an execution adds to its view, and of each step: all of it must fit one message."""

log = structlog.get_logger("dispatcher")


class Acceptance:
    """Turns requests into executions."""

    def __init__(
        self,
        bus: Bus,
        subjects: Subjects,
        *,
        resolver: Resolver,
        sets: SetsInUse,
        overlap: Overlap,
        keeper: SecretKeeper,
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._resolver = resolver
        self._assignments = Assignments(bus, subjects)
        self._sets = sets
        self._overlap = overlap
        self._keeper = keeper

    async def accept(self, request: RunRequest, fresh_id: str, *, durable: bool = False) -> ExecutionView:
        """Accept a request: when this returns, the execution is durable and on its way.

        ``fresh_id`` is its id where the request brings none. With the requester's own id the request is
        idempotent. Raises the typed error that says why it was refused; then nothing was stored. An execution that
        several runners serve is only stored here: the orchestrator hands its assignments out.
        """
        resolved = await self._resolver.resolve(request, fresh_id, durable=durable)
        await self._sets.ensure(request.project, resolved.tags)
        if resolved.job is not None:
            await self._overlap.enter(resolved.job, resolved.queued.execution)
        queued = await self._with_plan(resolved)
        self._require_room(queued)
        if resolved.secrets is not None:
            self._keeper.hold(queued.project, queued.execution, resolved.secrets)
        if request.id:
            return await self._store_once(queued)
        await asyncio.gather(self._append_queued(queued), self._hand_out(queued))
        log.info("execution.queued", execution=queued.execution, project=queued.project, set=queued.set)
        return fold.apply(fold.begin(queued), queued)

    async def _with_plan(self, resolved: Resolved) -> ExecutionQueued:
        """Park the whole assignment first, where the message to the runner only names it."""
        if resolved.template is None:
            return resolved.queued
        name = await self._park(resolved.template)
        return msgspec.structs.replace(resolved.queued, plan=name)

    async def _park(self, template: Assignment) -> str:
        parcels = await Parcels.open(self._bus, self._subjects.parcels_bucket)
        return await parcels.put(encode(template))

    def _require_room(self, queued: ExecutionQueued) -> None:
        room = _ROOM_BYTES + _OUTCOME_BYTES * len(queued.steps)
        self._bus.checked("the execution, with what its end adds", encode(queued) + bytes(room))

    async def _hand_out(self, queued: ExecutionQueued) -> None:
        if not queued.orchestrated:
            await self._assignments.publish(queued)

    async def _store_once(self, queued: ExecutionQueued) -> ExecutionView:
        """The event first, on the condition that there is none: whoever is second meets the first one's."""
        try:
            await self._append_queued(queued)
        except WrongLastSequenceError:
            queued = await self._stored(queued)
        await self._hand_out(queued)
        return fold.apply(fold.begin(queued), queued)

    async def _stored(self, queued: ExecutionQueued) -> ExecutionQueued:
        """The event that is there under the id; one of another content is ``already_exists``."""
        subject = self._subjects.event(queued.project, queued.execution, WHOLE_EXECUTION, AUTHOR_DISPATCHER)
        first = await self._bus.first_message(self._subjects.events_stream, subject)
        stored = decode(first.data, ExecutionQueued) if first else queued
        if (stored.steps, stored.set, stored.job) != (queued.steps, queued.set, queued.job):
            raise RunbusError(
                ErrorCode.ALREADY_EXISTS,
                f"project {queued.project} has an execution {queued.execution!r} that runs something else "
                f"({stored.title!r}): an id names one execution for ever, choose another.",
                details={"execution": queued.execution},
            )
        return stored

    async def _append_queued(self, queued: ExecutionQueued) -> None:
        names = queued.project, queued.execution, WHOLE_EXECUTION
        await open_notifications(self._bus, self._subjects, queued)
        await self._bus.append(
            self._subjects.event(*names, AUTHOR_DISPATCHER),
            encode(queued),
            condition=Condition(self._subjects.events_of_assignment(*names), 0),
        )
