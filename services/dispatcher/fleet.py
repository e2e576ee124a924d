"""Who could take an assignment now: asked of the registry, remembered until it announces a change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from bus.connection import Bus, Heard
from domain.fleet import TAKES_WORK, why_nobody
from schemas import catalog
from schemas.api import MatchReply, MatchRequest, RunnerListRequest, WhenNoRunner
from schemas.errors import ErrorCode, RunbusError, plugin_not_found
from schemas.runners import RunnerView
from schemas.subjects import Subjects
from schemas.tokens import TagSet

_REMEMBER_S: Final = 5.0
"""Announcements are core messages and may be lost; nothing older than this is believed."""


class Fleet:
    """Answers "who matches", and refuses what nobody could carry out."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self._bus = bus
        self._subjects = subjects
        self._matches: dict[tuple[str, TagSet], tuple[float, MatchReply]] = {}

    async def forget(self, _heard: Heard | None = None) -> None:
        """The registry announced a change: ask again."""
        self._matches.clear()

    async def match(self, project: str, tags: TagSet) -> MatchReply:
        """The runner set, at most 5 s old."""
        now_s = asyncio.get_running_loop().time()
        found = self._matches.get((project, tags))
        if found is not None and now_s - found[0] < _REMEMBER_S:
            return found[1]
        request = MatchRequest(project=project, tags=list(tags))
        reply = await self._bus.call(self._subjects, catalog.MATCH, request)
        self._matches[project, tags] = (now_s, reply)
        return reply

    async def serving(self, project: str) -> list[RunnerView]:
        """The runners of a project, as they are now."""
        request = RunnerListRequest(project=project)
        return (await self._bus.call(self._subjects, catalog.RUNNER_LIST, request)).runners

    async def require(self, project: str, tags: TagSet, plugins: Iterable[str], when_none: WhenNoRunner) -> None:
        """Return if a connected runner matches and bears every plugin.

        Raises ``no_runner`` (unless the request would rather wait) or ``plugin_not_found``, each saying what is
        missing where.
        """
        reply = await self.match(project, tags)
        connected = [runner for runner in reply.runners if runner.status in TAKES_WORK]
        if connected:
            _require_plugins(connected, list(plugins))
        elif when_none is WhenNoRunner.FAIL:
            raise RunbusError(
                ErrorCode.NO_RUNNER,
                f"{why_nobody(project, tags, reply)} Start such a runner, select other tags, or let the run wait "
                "for one (when_no_runner: wait; --wait-for-runner).",
                details={
                    "project": project,
                    "tags": list(tags),
                    "borne_by_none": reply.borne_by_none,
                    "not_connected": [runner.id for runner in reply.runners],
                },
            )


def _require_plugins(connected: list[RunnerView], plugins: list[str]) -> None:
    """Some one runner must bear them all; the text names the one that would have been preferred."""
    borne = {
        runner.id: {plugin.name for plugin in runner.plugins if plugin.kind == "step" and not plugin.problem}
        for runner in connected
    }
    if any(borne[runner.id].issuperset(plugins) for runner in connected):
        return
    first = connected[0].id
    missing = next(plugin for plugin in plugins if plugin not in borne[first])
    error = plugin_not_found(missing, first)
    error.details["runners"] = [runner.id for runner in connected]
    raise error
