"""Which projects there are, followed from the registry's bucket."""

from __future__ import annotations

from bus.bucket import Bucket
from bus.follow import Follower
from schemas.api import ProjectRecord
from schemas.errors import ErrorCode, RunbusError


class Projects:
    """Knows the projects by name."""

    def __init__(self, bucket: Bucket[ProjectRecord]) -> None:
        self._names: set[str] = set()
        self.following: Follower = bucket.watch(self._take)

    async def require(self, project: str) -> None:
        """Raise ``unknown_project`` unless it is there, also where it was made a moment ago."""
        if project in self._names:
            return
        await self.following.sync()
        if project not in self._names:
            raise RunbusError(
                ErrorCode.UNKNOWN_PROJECT,
                f"project {project[:80]!r} is not known; there are: {', '.join(sorted(self._names))}. "
                "'runbus project create NAME' makes one.",
                details={"project": project[:80], "known": sorted(self._names)},
            )

    async def _take(self, name: str, record: ProjectRecord | None) -> None:
        if record is None:
            self._names.discard(name)
        else:
            self._names.add(name)
