"""Who may have the value of a centre's key: the runner that has claimed the job, or is asked for the nodes."""

from __future__ import annotations

from typing import NoReturn

import structlog

from bus.bucket import Bucket
from bus.connection import Bus
from domain.fleet import serves
from domain.keys.paths import KeyPath
from domain.selection import tag_set_of
from schemas.codec import decode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import AssignmentStarted, Event
from schemas.keys import KeyOpenRequest
from schemas.runners import RunnerRecord
from schemas.sources import ProjectSources
from schemas.subjects import Subjects

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
        if (of_project := _project_of(key)) and of_project != request.project:
            self._refuse(request, f"it belongs to project {of_project}")
        record = await self._runners.get(request.runner)
        if record is None or record[0].instance != request.instance or not record[0].sealing_key:
            self._refuse(request, "the registry knows no such run of this runner; start it again")
        if bool(request.execution) == bool(request.source):
            self._refuse(request, "name an execution, or a node source")
        if request.execution:
            await self._require_claim(request)
        else:
            await self._require_source(request, record[0])
        return record[0].sealing_key

    async def _require_claim(self, request: KeyOpenRequest) -> None:
        subject = self._subjects.events_of_assignment(request.project, request.execution, request.assignment)
        stored = await self._bus.last_message(self._subjects.events_stream, subject)
        event: Event | None = decode(stored.data, Event) if stored else None  # type: ignore[arg-type]
        if not isinstance(event, AssignmentStarted):
            self._refuse(request, "the assignment does not run")
        if (event.runner, event.instance) != (request.runner, request.instance):
            self._refuse(request, "another runner has claimed the assignment")

    async def _require_source(self, request: KeyOpenRequest, runner: RunnerRecord) -> None:
        found = await self._sources.get(request.project)
        named = [each for each in found[0].sources if each.name == request.source] if found else []
        if not named:
            self._refuse(request, f"project {request.project} has no node source {request.source[:64]!r}")
        if request.path not in named[0].config.values():
            self._refuse(request, f"node source {request.source[:64]!r} does not name it")
        if not serves(runner, request.project, tag_set_of(named[0].runner)):
            self._refuse(request, f"runner {runner.id} is not one that node source {request.source[:64]!r} asks")

    def _refuse(self, request: KeyOpenRequest, why: str) -> NoReturn:
        log.warning("key.refused", path=request.path[:200], runner=request.runner[:80], why=why)
        raise RunbusError(
            ErrorCode.KEY_UNAVAILABLE,
            f"key {request.path[:200]!r} is not given to runner {request.runner[:80]}: {why}.",
            details={"key": request.path[:200], "runner": request.runner[:80], "reason": "forbidden"},
        )


def _project_of(key: KeyPath) -> str:
    """Whose key it is, by its path: ``keys/project/<P>/…`` ("Keys"); empty: everybody's."""
    first, _, rest = key.path.partition("/")
    return rest.partition("/")[0] if first == "project" else ""
