"""The life of a job request in a dispatcher, top to bottom: check, resolve, store, hand to a runner set."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from bus.connection import Bus, Condition, WrongLastSequenceError
from domain import execution as fold
from domain.selection import selector_of_run, tag_set_of
from schemas.api import ExecutionView, RunRequest
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import ExecutionQueued
from schemas.jobs import JobDefinition, Step
from schemas.subjects import AUTHOR_DISPATCHER, WHOLE_EXECUTION, Subjects
from schemas.tokens import TagSet, identifier
from services.dispatcher.assignments import FIRST_ASSIGNMENT, Assignments
from services.dispatcher.fleet import Fleet
from services.dispatcher.jobs import JobStore
from services.dispatcher.sets import SetsInUse

TITLE_CHARS: Final = 120
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
        jobs: JobStore,
        fleet: Fleet,
        sets: SetsInUse,
        require_project: Callable[[str], Awaitable[None]],
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._jobs = jobs
        self._fleet = fleet
        self._assignments = Assignments(bus, subjects)
        self._sets = sets
        self._require_project = require_project

    async def accept(self, request: RunRequest, fresh_id: str) -> ExecutionView:
        """Accept a request: when this returns, the execution is durable and on its way.

        ``fresh_id`` is its id where the request brings none. With the requester's own id the request is
        idempotent. Raises the typed error that says why it was refused; then nothing was stored.
        """
        queued, tags = await self._resolve(request, fresh_id)
        await self._sets.ensure(queued.project, tags)
        if request.id:
            return await self._store_once(queued)
        await asyncio.gather(self._append_queued(queued), self._assignments.publish(queued))
        log.info("execution.queued", execution=queued.execution, project=queued.project, set=queued.set)
        return fold.apply(fold.begin(queued), queued)

    async def _resolve(self, request: RunRequest, fresh_id: str) -> tuple[ExecutionQueued, TagSet]:
        """Everything that can refuse, before anything is stored."""
        await self._require_project(request.project)
        job = await self._jobs.find(request.project, request.job) if request.job else None
        _require_sound(request, job)
        tags = tag_set_of(selector_of_run(job, request.runner))
        steps = job.steps if job else request.steps
        plugins = {step.plugin for step in steps}
        await self._fleet.require(request.project, tags, plugins, request.when_no_runner)
        now = datetime.now(UTC)
        deadline = now + timedelta(seconds=request.deadline_s) if request.deadline_s is not None else None
        queued = ExecutionQueued(
            execution=identifier("execution id", request.id or fresh_id),
            project=request.project,
            at=now,
            title=job.ref.path if job else title_of(steps),
            steps=steps,
            set=tags.token,
            job=job.ref if job else None,
            user=request.user,
            timeout_s=_smaller(job.timeout_s if job else None, request.timeout_s),
            deadline_at=deadline,
            assignments=[FIRST_ASSIGNMENT],
        )
        room = _ROOM_BYTES + _OUTCOME_BYTES * len(steps)
        self._bus.checked("the execution, with what its end adds", encode(queued) + bytes(room))
        return queued, tags

    async def _store_once(self, queued: ExecutionQueued) -> ExecutionView:
        """The event first, on the condition that there is none: whoever is second meets the first one's."""
        try:
            await self._append_queued(queued)
        except WrongLastSequenceError:
            queued = await self._stored(queued)
        await self._assignments.publish(queued)
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
        await self._bus.append(
            self._subjects.event(*names, AUTHOR_DISPATCHER),
            encode(queued),
            condition=Condition(self._subjects.events_of_assignment(*names), 0),
        )


def title_of(steps: list[Step]) -> str:
    """The first line of what an ad hoc run runs."""
    config = steps[0].config
    text = str(config.get("command") or config.get("script") or config.get("file") or steps[0].plugin)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#!")]
    return (lines[0] if lines else steps[0].plugin)[:TITLE_CHARS]


def _require_sound(request: RunRequest, job: JobDefinition | None) -> None:
    if bool(request.job) == bool(request.steps):
        raise RunbusError(
            ErrorCode.INVALID_MESSAGE,
            "a run names a stored job ('job') or brings steps ('steps', at least one): one of the two, not both.",
        )
    if request.options:
        where = f"job {job.ref.path!r}" if job else "an ad hoc run"
        name = sorted(request.options)[0]
        raise RunbusError(
            ErrorCode.UNKNOWN_OPTION,
            f"{where} has no option {name[:80]!r}: leave it out.",
            details={"options": sorted(request.options)},
        )
    for field in ("timeout_s", "deadline_s"):
        value = getattr(request, field)
        if value is not None and not 0 < value < 10**9:
            raise RunbusError(
                ErrorCode.INVALID_MESSAGE, f"{field} is {value:g}: give seconds, above 0.", details={"field": field}
            )


def _smaller(one: float | None, other: float | None) -> float | None:
    limits = [limit for limit in (one, other) if limit is not None]
    return min(limits) if limits else None
