"""Who may have the value of a centre's key: the runner that has claimed the job, or is asked for the nodes."""

from __future__ import annotations

from typing import Final, NoReturn

import structlog

from bus.bucket import Bucket
from bus.connection import Bus
from domain.fleet import serves
from domain.keys.needs import of_other_project
from domain.keys.paths import KeyPath
from domain.selection import tag_set_of
from schemas.codec import decode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import AssignmentFinished, AssignmentStarted, Event, ExecutionQueued
from schemas.keys import KeyOpenRequest
from schemas.runners import RunnerRecord
from schemas.sources import ProjectSources
from schemas.subjects import Subjects

_DISPATCHER: Final = "dispatcher"
"""Author of the event that an execution begins with."""

_FORBIDDEN: Final = "forbidden"
_OVER: Final = ErrorCode.ALREADY_ENDED.value

log = structlog.get_logger("keyproxy")


class Opening:
    """Decides, from what is stored, and not from what the runner says of itself."""

    def __init__(
        self, bus: Bus, subjects: Subjects, runners: Bucket[RunnerRecord], sources: Bucket[ProjectSources]
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._runners = runners
        self._sources = sources

    async def receiver(self, request: KeyOpenRequest, key: KeyPath) -> str:
        """The public key that the value is to be sealed with.

        Raises ``key_unavailable`` for whoever has not claimed the assignment, or is not asked for the source; for a
        key of another project; for a runner that is another run of its process by now.
        """
        if key.project not in ("", request.project):
            self._refuse(request, of_other_project(key, request.project))
        record = await self._runners.get(request.runner)
        if record is None or record[0].instance != request.instance or not record[0].sealing_key:
            self._refuse(
                request, "the registry knows no such run of it. Start the runner again; what it had claimed, run anew"
            )
        if bool(request.execution) == bool(request.source):
            self._refuse(request, "it is not said what for. Name an execution, or a node source, and not both")
        if request.execution:
            await self._require_claim(request)
        else:
            await self._require_source(request, record[0])
        return record[0].sealing_key

    async def user_of(self, request: KeyOpenRequest) -> str:
        """Who has run the execution that asks; empty for a node source, and where nothing is known (any more)."""
        if not request.execution:
            return ""
        subject = self._subjects.event(request.project, request.execution, "0", _DISPATCHER)
        try:
            stored = await self._bus.first_message(self._subjects.events_stream, subject)
            event = decode(stored.data, ExecutionQueued) if stored else None
        except RunbusError as error:
            log.warning("audit.user_unknown", execution=request.execution[:80], error=error.message)
            return ""
        return event.user if event is not None and event.execution == request.execution else ""

    async def _require_claim(self, request: KeyOpenRequest) -> None:
        subject = self._subjects.events_of_assignment(request.project, request.execution, request.assignment)
        stored = await self._bus.last_message(self._subjects.events_stream, subject)
        event: Event | None = decode(stored.data, Event) if stored else None  # type: ignore[arg-type]
        if not isinstance(event, AssignmentStarted):
            self._refuse(
                request,
                f"no runner works on {_work(request)}. A key is given while a runner holds the claim, and not "
                "afterwards: run the job again",
                reason=_OVER if _was_its_own(event, request) else _FORBIDDEN,
            )
        if event.runner != request.runner:
            self._refuse(
                request,
                f"runner {event.runner} holds the claim of {_work(request)}, and only that one is given it. Let the "
                "job run there, or abort it and run it again with a selector that reaches this runner",
            )
        if event.instance != request.instance:
            self._refuse(
                request,
                f"an earlier run of this runner's process holds the claim of {_work(request)}. Run the job again",
            )

    async def _require_source(self, request: KeyOpenRequest, runner: RunnerRecord) -> None:
        found = await self._sources.get(request.project)
        named = [each for each in found[0].sources if each.name == request.source] if found else []
        if not named:
            self._refuse(
                request,
                f"project {request.project} has no node source {request.source[:64]!r} (any more). See what it has: "
                "runbus nodes source list",
            )
        if request.path not in named[0].config.values():
            self._refuse(
                request,
                f"no setting of node source {request.source[:64]!r} names it (any more). Name the key in the source, "
                "by the whole path",
            )
        tags = tag_set_of(named[0].runner)
        if not serves(runner, request.project, tags):
            self._refuse(
                request,
                f"node source {request.source[:64]!r} asks runners of {tags}, and this is none (any more). Let the "
                "source select this runner, or give the runner the tags",
            )

    def _refuse(self, request: KeyOpenRequest, why: str, *, reason: str = _FORBIDDEN) -> NoReturn:
        raise RunbusError(
            ErrorCode.KEY_UNAVAILABLE,
            f"key {request.path[:200]!r} is not given to runner {request.runner[:80]}: {why}.",
            details={"key": request.path[:200], "runner": request.runner[:80], "reason": reason},
        )


def _was_its_own(event: Event | None, request: KeyOpenRequest) -> bool:
    """Whether the runner that asks had the claim: it is answered late, and nobody is denied anything."""
    return isinstance(event, AssignmentFinished) and event.runner == request.runner


def _work(request: KeyOpenRequest) -> str:
    return f"execution {request.execution[:64]!r}, assignment {request.assignment[:16]!r}"
