"""Which projects there are and how they are set, followed from the registry's bucket."""

from __future__ import annotations

from bus.bucket import Bucket
from bus.follow import Follower
from schemas.api import ProjectRecord
from schemas.errors import ErrorCode, RunbusError


class Projects:
    """Knows the projects by name."""

    def __init__(self, bucket: Bucket[ProjectRecord]) -> None:
        self._records: dict[str, ProjectRecord] = {}
        self.following: Follower = bucket.watch(self._take)

    async def require(self, project: str) -> ProjectRecord:
        """The project; raises ``unknown_project`` unless it is there, also where it was made a moment ago."""
        if project not in self._records:
            await self.following.sync()
        record = self._records.get(project)
        if record is None:
            names = sorted(self._records)
            raise RunbusError(
                ErrorCode.UNKNOWN_PROJECT,
                f"project {project[:80]!r} is not known; there are: {', '.join(names)}. "
                "'runbus project create NAME' makes one.",
                details={"project": project[:80], "known": names},
            )
        return record

    async def _take(self, name: str, record: ProjectRecord | None) -> None:
        if record is None:
            self._records.pop(name, None)
        else:
            self._records[name] = record
