"""Job definitions: one value a job in a bucket that every dispatcher follows."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from bus.bucket import Bucket
from bus.follow import Follower
from domain.options.secure import without_secure_defaults
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import JobDefinition


class JobStore:
    """Finds jobs by uuid or ``group/name``; writes go to the bucket and come back by following it."""

    def __init__(self, bucket: Bucket[JobDefinition]) -> None:
        self._bucket = bucket
        self._jobs: dict[str, dict[str, JobDefinition]] = {}
        self.following: Follower = bucket.watch(self._take)
        self._on_change: Callable[[str, str], None] = lambda _project, _uuid: None

    def on_change(self, callback: Callable[[str, str], None]) -> None:
        """Call back with project and uuid of every job heard of: those there at first, changed ones, removed ones."""
        self._on_change = callback

    def known(self, project: str, uuid: str) -> JobDefinition | None:
        """A job by its uuid, as far as heard."""
        return self._jobs.get(project, {}).get(uuid)

    def everything(self) -> list[JobDefinition]:
        """All jobs of all projects, as far as heard."""
        return [job for jobs in self._jobs.values() for job in jobs.values()]

    async def current(self, project: str, uuid: str) -> JobDefinition | None:
        """A job by its uuid, as the last accepted write left it. Raises ``unavailable`` where that is not known."""
        if not await self.following.sync():
            raise RunbusError(
                ErrorCode.UNAVAILABLE,
                "job definitions: this dispatcher has not heard of the latest changes yet. Try again.",
            )
        return self.known(project, uuid)

    async def find(self, project: str, job: str) -> JobDefinition:
        """A job by uuid or ``group/name``, as the last accepted write left it. Raises ``unknown_job``."""
        await self.following.sync()
        jobs = self._jobs.get(project, {})
        if job in jobs:
            return jobs[job]
        path = job.strip("/")
        for definition in jobs.values():
            if definition.ref.path == path:
                return definition
        paths = [definition.ref.path for definition in jobs.values()]
        close = difflib.get_close_matches(path, paths, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"'runbus job list --project {project}' shows them."
        raise RunbusError(
            ErrorCode.UNKNOWN_JOB,
            f"project {project} has no job {job[:120]!r} (by uuid or group/name). {hint}",
            details={"project": project, "job": job[:120]},
        )

    async def all(self, project: str) -> list[JobDefinition]:
        """The jobs of a project, by group and name."""
        await self.following.sync()
        return sorted(self._jobs.get(project, {}).values(), key=lambda job: (job.group, job.name))

    async def put(self, jobs: list[JobDefinition]) -> tuple[list[JobDefinition], list[JobDefinition]]:
        """Store jobs, without the defaults of secure options; returns which are new and which were there.

        Raises ``already_exists``, and stores none, where a path belongs to a job of another uuid.
        """
        await self.following.sync()
        for job in jobs:
            self._require_path_free(job)
        created: list[JobDefinition] = []
        updated: list[JobDefinition] = []
        for job in map(without_secure_defaults, jobs):
            known = job.uuid in self._jobs.get(job.project, {})
            await self._bucket.put(f"{job.project}.{job.uuid}", job)
            (updated if known else created).append(job)
        return created, updated

    async def remove(self, project: str, job: str) -> None:
        """Remove a job. Raises ``unknown_job``."""
        definition = await self.find(project, job)
        await self._bucket.delete(f"{project}.{definition.uuid}")

    def _require_path_free(self, job: JobDefinition) -> None:
        for other in self._jobs.get(job.project, {}).values():
            if other.ref.path == job.ref.path and other.uuid != job.uuid:
                raise RunbusError(
                    ErrorCode.ALREADY_EXISTS,
                    f"project {job.project} has a job {job.ref.path!r} with another uuid ({other.uuid}). "
                    "Give the file that uuid to update it, or another name.",
                    details={"path": job.ref.path, "uuid": other.uuid},
                )

    async def _take(self, key: str, job: JobDefinition | None) -> None:
        project, uuid = key.split(".", 1)
        if job is None:
            self._jobs.get(project, {}).pop(uuid, None)
        else:
            # of what an earlier version has stored, too
            self._jobs.setdefault(project, {})[uuid] = without_secure_defaults(job)
        self._on_change(project, uuid)
