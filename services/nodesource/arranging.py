"""A project's setting of how its nodes are put together holds from when it is set, not from their next change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from bus.bucket import Bucket
from bus.follow import Follower
from schemas.api import ProjectRecord
from schemas.errors import RunbusError
from services.nodesource.inventories import Inventories, Place

log = structlog.get_logger("nodesource")


class Arranger:
    """Follows the projects, and arranges their inventories anew. Every copy does; the first to come writes."""

    def __init__(
        self,
        projects: Bucket[ProjectRecord],
        inventories: Inventories,
        place: Callable[[str], Awaitable[Place]],
    ) -> None:
        self._inventories = inventories
        self._place = place
        self.following: Final[Follower] = projects.watch(self._hear)

    async def _hear(self, project: str, record: ProjectRecord | None) -> None:
        if record is None:
            return
        try:
            await self._inventories.arrange(await self._place(project))
        except RunbusError as error:
            log.warning("inventory.not_arranged", project=project, error=error.message)
