"""The projects: what the registry answers about them, and what all else of it asks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from bus.bucket import Bucket, StaleRevisionError
from schemas.api import (
    ProjectList,
    ProjectListRequest,
    ProjectRecord,
    ProjectRequest,
    ProjectSetRequest,
    ProjectShowRequest,
)
from schemas.codec import encode
from schemas.errors import ErrorCode, RunbusError
from schemas.tokens import project_name

MAX_RECORD_BYTES: Final = 256 << 10
_MAX_KEY_CHARS: Final = 200
_ATTEMPTS: Final = 5

log = structlog.get_logger("registry")


class Projects:
    """What this copy knows of the projects, followed from their bucket, and the verbs that change them."""

    def __init__(self, bucket: Bucket[ProjectRecord]) -> None:
        self._bucket = bucket
        self._known: dict[str, ProjectRecord] = {}

    async def take(self, name: str, record: ProjectRecord | None) -> None:
        """Take a change of the bucket over (None: removed)."""
        if record is None:
            self._known.pop(name, None)
        else:
            self._known[name] = record

    def require(self, project: str) -> None:
        """Raise ``unknown_project`` unless it is there."""
        if project not in self._known:
            raise self._unknown(project)

    async def make(self, record: ProjectRecord) -> bool:
        """Store a project that is not there yet; False where it is."""
        try:
            await self._bucket.write(record.name, record, revision=0)
        except StaleRevisionError:
            return False
        self._known[record.name] = record
        return True

    async def create(self, request: ProjectRequest) -> ProjectRecord:
        """Make a project. One that is there is ``already_exists``."""
        record = ProjectRecord(
            name=project_name(request.project), description=request.description, created_at=datetime.now(UTC)
        )
        if not await self.make(record):
            raise RunbusError(ErrorCode.ALREADY_EXISTS, f"project {record.name!r} is there already.")
        return record

    async def list_all(self, _request: ProjectListRequest) -> ProjectList:
        """All projects."""
        return ProjectList(projects=[self._known[name] for name in sorted(self._known)])

    async def show(self, request: ProjectShowRequest) -> ProjectRecord:
        """One project, as it is stored now."""
        return (await self._stored(request.project))[0]

    async def change(self, request: ProjectSetRequest) -> ProjectRecord:
        """Set and remove what the request names; where another copy wrote meanwhile, on what that wrote."""
        for _ in range(_ATTEMPTS):
            before, revision = await self._stored(request.project)
            after = changed(before, request)
            try:
                await self._bucket.write(before.name, after, revision=revision)
            except StaleRevisionError:
                continue
            self._known[after.name] = after
            log.info("project.changed", project=after.name)
            return after
        raise RunbusError(ErrorCode.BUSY, f"project {request.project} is being changed by others: try again.")

    async def _stored(self, project: str) -> tuple[ProjectRecord, int]:
        found = await self._bucket.get(project_name(project))
        if found is None:
            raise self._unknown(project)
        return found

    def _unknown(self, project: str) -> RunbusError:
        return RunbusError(
            ErrorCode.UNKNOWN_PROJECT,
            f"project {project[:80]!r} is not known; there are: {', '.join(sorted(self._known))}. "
            "'runbus project create NAME' makes one.",
            details={"project": project[:80], "known": sorted(self._known)},
        )


def changed(before: ProjectRecord, request: ProjectSetRequest) -> ProjectRecord:
    """A project with what a request sets and removes.

    Raises ``invalid_name`` for a name that no setting can have, ``too_large`` where the record would be.
    """
    for name in (*request.settings, *request.globals):
        if not _is_key(name):
            raise RunbusError(
                ErrorCode.INVALID_NAME,
                f"{name[:80]!r} is no name of a setting: use 1 to {_MAX_KEY_CHARS} characters, "
                "none of them a blank, '=', '$', '{' or '}'.",
                details={"name": name[:80]},
            )
    after = msgspec.structs.replace(
        before,
        settings=_without(before.settings, request.unset_settings) | request.settings,
        globals=_without(before.globals, request.unset_globals) | request.globals,
        dispatch=before.dispatch if request.dispatch is None else request.dispatch,
        description=before.description if request.description is None else request.description,
    )
    if len(encode(after)) > MAX_RECORD_BYTES:
        raise RunbusError(
            ErrorCode.TOO_LARGE,
            f"the settings of project {before.name} are more than {MAX_RECORD_BYTES >> 10} KiB: shorten them.",
            details={"max_bytes": MAX_RECORD_BYTES},
        )
    return after


def _is_key(name: str) -> bool:
    return 0 < len(name) <= _MAX_KEY_CHARS and name.isprintable() and not set(name) & set(" ={}$")


def _without(values: dict[str, str], names: Iterable[str]) -> dict[str, str]:
    gone = set(names)
    return {name: value for name, value in values.items() if name not in gone}
