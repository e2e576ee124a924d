"""Runners that are nodes of their projects, too: added to what was loaded."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog

from bus.connection import Bus, Heard
from domain.fleet import TAKES_WORK
from domain.nodes.selection import by_name
from schemas import catalog
from schemas.api import RunnerListRequest
from schemas.errors import RunbusError
from schemas.nodes import Node
from schemas.subjects import Subjects

_REMEMBER_S: Final = 5.0
"""Announcements are core messages and may be lost; nothing older than this is believed."""

log = structlog.get_logger("nodesource")


class RunnerNodes:
    """Asks the registry for the connected runners of a project that are nodes ("Runner as a node")."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self._bus = bus
        self._subjects = subjects
        self._known: dict[str, tuple[float, list[Node]]] = {}

    async def forget(self, _heard: Heard | None = None) -> None:
        """The registry announced a change: ask again."""
        self._known.clear()

    async def added_to(self, project: str, nodes: list[Node]) -> list[Node]:
        """The nodes of a project and its runners, sorted by name; of one name, the loaded node holds."""
        runners = await self._of(project)
        if not runners:
            return nodes
        return await asyncio.to_thread(_together, nodes, runners)

    async def _of(self, project: str) -> list[Node]:
        now_s = time.monotonic()
        known = self._known.get(project)
        if known is not None and now_s - known[0] < _REMEMBER_S:
            return known[1]
        try:
            reply = await self._bus.call(self._subjects, catalog.RUNNER_LIST, RunnerListRequest(project=project))
        except RunbusError as error:
            log.warning("runners.not_known", project=project, reason=error.message)
            return known[1] if known is not None else []
        nodes = [view.node for view in reply.runners if view.node is not None and view.status in TAKES_WORK]
        self._known[project] = (now_s, nodes)
        return nodes


def _together(nodes: list[Node], runners: list[Node]) -> list[Node]:
    names = {node.name for node in nodes}
    fresh = [node for node in runners if node.name not in names]
    return by_name([*nodes, *fresh]) if fresh else nodes
