"""A runner reports for work: its record is written on the condition that no living instance has its id."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from schemas.api import Registered, RegisterRequest
from schemas.errors import ErrorCode, RunbusError
from schemas.runners import RunnerRecord
from schemas.tokens import TagSet, given_tag, identifier
from services.registry.holders import Holders
from services.registry.projects import Projects
from services.registry.roster import Roster

_LOOKS: Final = 3
"""At who has an id, where others register under it at the same moment."""

log = structlog.get_logger("registry")


class _RegisteredMeanwhileError(Exception):
    """Between the look at who has an id and the write, another instance wrote itself into its record."""

    def __init__(self, record: RunnerRecord) -> None:
        super().__init__(record.id)
        self.record = record


class Registration:
    """The verb with which runners start, and with which they are back after the bus was away."""

    def __init__(self, roster: Roster, projects: Projects, holders: Holders, *, beat_interval_s: float) -> None:
        self._roster = roster
        self._projects = projects
        self._holders = holders
        self._beat_interval_s = beat_interval_s

    async def register(self, request: RegisterRequest) -> Registered:
        """A runner reports for work. Refuses an id that a connected runner has, and unknown projects."""
        runner = identifier("runner id", request.runner)
        for project in request.projects:
            self._projects.require(project)
        asked_tags = list(TagSet(map(given_tag, request.tags))) if request.tags else []
        record = await self._registered(request, runner, asked_tags)
        log.info("runner.registered", runner=runner, tags=record.tags, projects=record.projects)
        return Registered(
            tags=record.tags,
            tags_revision=record.tags_revision,
            projects=record.projects,
            beat_interval_s=self._beat_interval_s,
        )

    async def _registered(self, request: RegisterRequest, runner: str, asked_tags: list[str]) -> RunnerRecord:
        """Write the record, on the condition that its instance is still the one that was found to be gone."""
        seen, fresh = self._roster.record(runner), False
        for _ in range(_LOOKS):
            await self._holders.require_free(runner, request.instance, seen, fresh=fresh)
            try:
                return await self._write(request, runner, asked_tags, seen)
            except _RegisteredMeanwhileError as meanwhile:
                seen, fresh = meanwhile.record, True
        raise RunbusError(ErrorCode.UNAVAILABLE, f"runners with the id {runner!r} come and go: try again.")

    async def _write(
        self, request: RegisterRequest, runner: str, asked_tags: list[str], seen: RunnerRecord | None
    ) -> RunnerRecord:
        now = datetime.now(UTC)

        def change(before: RunnerRecord | None) -> RunnerRecord:
            if before is not None and before.instance not in ("", request.instance, seen.instance if seen else ""):
                raise _RegisteredMeanwhileError(before)
            keeps = before is not None and before.operator_tags
            base = before or RunnerRecord(id=runner, created_at=now)
            return msgspec.structs.replace(
                base,
                tags=base.tags if keeps else asked_tags,
                projects=request.projects,
                local=request.local,
                version=request.version,
                instance=request.instance,
                plugins=request.plugins,
                node=request.node,
                key_storage=request.key_storage,
                sealing_key=request.sealing_key,
                max_running=request.max_running,
                registered_at=now,
                left_at=None,
                tags_revision=base.tags_revision + 1,
            )

        return await self._roster.update(runner, change)
