"""The life of a job request in a dispatcher, top to bottom: resolve, enter, store, hand to a runner set."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec
import structlog

from bus.connection import Bus, Condition, WrongLastSequenceError
from bus.parcels import Parcels
from bus.plans import park_plan
from bus.sets import SetsInUse
from domain import execution as fold
from schemas.api import ExecutionView, RunRequest
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import ExecutionQueued
from schemas.states import FINAL
from schemas.subjects import AUTHOR_DISPATCHER, WHOLE_EXECUTION, Subjects
from services.dispatcher.assignments import Assignments
from services.dispatcher.notify.publishing import open_notifications
from services.dispatcher.overlap import Overlap
from services.dispatcher.resolve import Resolved, Resolver
from services.dispatcher.secrets import SecretKeeper

_ROOM_BYTES: Final = 32 * 1024
_OUTCOME_BYTES: Final = 192
"""What the end of an execution adds to its view, and of each step: all of it must fit one message."""

GetView: TypeAlias = Callable[[str, str], Awaitable[ExecutionView | None]]

log = structlog.get_logger("dispatcher")


class Acceptance:
    """Turns requests into executions."""

    def __init__(  # noqa: PLR0913 (the composition root hands every part over once)
        self,
        bus: Bus,
        subjects: Subjects,
        *,
        resolver: Resolver,
        sets: SetsInUse,
        overlap: Overlap,
        keeper: SecretKeeper,
        get_view: GetView,
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._resolver = resolver
        self._assignments = Assignments(bus, subjects)
        self._parcels = Parcels(bus, subjects.parcels_bucket)
        self._sets = sets
        self._overlap = overlap
        self._keeper = keeper
        self._get_view = get_view

    async def accept(self, request: RunRequest, fresh_id: str, *, durable: bool = False) -> ExecutionView:
        """Accept a request: when this returns, the execution is durable and on its way.

        ``fresh_id`` is its id where the request brings none. With the requester's own id the request is
        idempotent. Raises the typed error that says why it was refused; then nothing was stored. An execution that
        several runners serve is only stored here: the orchestrator hands its assignments out.
        """
        resolved = await self._resolver.resolve(request, fresh_id, durable=durable)
        await self._sets.ensure(request.project, resolved.tags)
        self._require_room(resolved.queued)
        if request.id and (known := await self._repeated(resolved)) is not None:
            return known
        if resolved.job is not None:
            await self._overlap.enter(resolved.job, resolved.queued.execution)
        return await self._keeping_secrets(resolved, once=bool(request.id))

    async def _keeping_secrets(self, resolved: Resolved, *, once: bool) -> ExecutionView:
        """Hold the secure values before anybody can ask for them, and only while the execution is there."""
        queued = resolved.queued
        mine = resolved.secrets is not None and self._keeper.hold(queued.project, queued.execution, resolved.secrets)
        try:
            stored = await self._store(resolved, once=once)
        except BaseException:
            if mine:
                self._keeper.forget(queued.project, queued.execution)
            raise
        if mine and stored.secrets_at != self._keeper.instance:
            self._keeper.forget(queued.project, queued.execution)
        return fold.apply(fold.begin(stored), stored)

    async def _store(self, resolved: Resolved, *, once: bool) -> ExecutionQueued:
        queued = await self._with_plan(resolved)
        if once:
            return await self._store_once(queued)
        await asyncio.gather(self._append_queued(queued), self._hand_out(queued))
        log.info("execution.queued", execution=queued.execution, project=queued.project, set=queued.set)
        return queued

    async def _with_plan(self, resolved: Resolved) -> ExecutionQueued:
        """Park the whole assignment first, where the message to the runner only names it."""
        if resolved.template is None:
            return resolved.queued
        parcels = await Parcels.open(self._bus, self._subjects.parcels_bucket)
        return msgspec.structs.replace(resolved.queued, plan=await park_plan(parcels, resolved.template))

    def _require_room(self, queued: ExecutionQueued) -> None:
        room = _ROOM_BYTES + _OUTCOME_BYTES * len(queued.steps)
        self._bus.checked("the execution, with what its end adds", encode(queued) + bytes(room))

    async def _hand_out(self, queued: ExecutionQueued) -> None:
        if not queued.orchestrated:
            await self._assignments.publish(queued)

    async def _repeated(self, resolved: Resolved) -> ExecutionView | None:
        """The execution that the same request has begun before, running or ended, whatever else runs by now."""
        queued = resolved.queued
        if resolved.job is None and resolved.template is None:
            return None  # a condition of the append tells it soon enough
        view = await self._get_view(queued.project, queued.execution)
        stored = await self._stored(queued) if view is not None else None
        if view is None or stored is None:
            return None
        if view.state not in FINAL:
            if resolved.secrets is not None and stored.secrets_at == self._keeper.instance:
                self._keeper.hold(queued.project, queued.execution, resolved.secrets)
            await self._hand_out(stored)
        return view

    async def _store_once(self, queued: ExecutionQueued) -> ExecutionQueued:
        """The event first, on the condition that there is none: whoever is second meets the first one's."""
        stored = queued
        try:
            await self._append_queued(queued)
        except WrongLastSequenceError:
            stored = await self._stored(queued) or queued
            if queued.plan and queued.plan != stored.plan:
                await self._parcels.remove(queued.plan)
        await self._hand_out(stored)
        return stored

    async def _stored(self, queued: ExecutionQueued) -> ExecutionQueued | None:
        """The event that is there under the id, if one is; one of another content is ``already_exists``."""
        subject = self._subjects.event(queued.project, queued.execution, WHOLE_EXECUTION, AUTHOR_DISPATCHER)
        first = await self._bus.first_message(self._subjects.events_stream, subject)
        if first is None:
            return None
        stored = decode(first.data, ExecutionQueued)
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
