"""Plans are parcels that nobody needs once their execution has ended: removed then, else by their time."""

from __future__ import annotations

import asyncio

import structlog

from bus.connection import Bus
from bus.parcels import Parcels
from schemas.api import ExecutionView
from schemas.codec import decode
from schemas.errors import RunbusError
from schemas.events import ExecutionQueued
from schemas.jobs import Step
from schemas.subjects import AUTHOR_DISPATCHER, WHOLE_EXECUTION, Subjects

log = structlog.get_logger("dispatcher")


class PlanRemoval:
    """Removes the plan of every execution that was heard to end. Where that fails the parcel expires."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self._bus = bus
        self._subjects = subjects
        self._parcels = Parcels(bus, subjects.parcels_bucket)
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, view: ExecutionView) -> None:
        """An execution has ended."""
        if view.node_count is None and not any(map(_calls, view.steps)):
            return
        task = asyncio.ensure_future(self._remove(view))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Finish what is in hand."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5.0)

    async def _remove(self, view: ExecutionView) -> None:
        subject = self._subjects.event(view.project, view.id, WHOLE_EXECUTION, AUTHOR_DISPATCHER)
        try:
            first = await self._bus.first_message(self._subjects.events_stream, subject)
            queued = decode(first.data, ExecutionQueued) if first else None
            if queued is not None and queued.plan:
                await self._parcels.remove(queued.plan)
        except RunbusError as error:
            log.info("plan.left", execution=view.id, reason=error.message)


def _calls(step: Step) -> bool:
    return step.call is not None or (step.error_handler is not None and _calls(step.error_handler))
