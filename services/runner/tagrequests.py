"""Requests to a tag set that are no jobs: one runner of the set answers, at once or never."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable

import structlog

from bus.connection import Bus
from bus.endpoint import Answerer, Route, answer_on
from bus.nodes import lines_of, parked
from bus.parcels import Parcels
from domain.calm import let_go
from runbus.plugin import Discovered
from schemas import catalog
from schemas.nodes import Node
from schemas.sources import DiscoverRequest, Discovery
from schemas.subjects import Subjects
from schemas.tokens import TagSet
from services.runner.discovery import Discoverer, Question
from services.runner.keyanswers import KeyAnswers

log = structlog.get_logger("runner")

SetKey = tuple[str, TagSet]
"""Project and tag set."""


class TagRequests:
    """Answers on the subjects of the sets that the runner is bound to."""

    def __init__(
        self, bus: Bus, subjects: Subjects, answerer: Answerer, discoverer: Discoverer, keys: KeyAnswers, runner: str
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._answerer = answerer
        self._discoverer = discoverer
        self._keys = keys
        self._runner = runner
        self._bound: dict[SetKey, list[Callable[[], Awaitable[None]]]] = {}

    async def bind(self, project: str, tags: TagSet) -> None:
        """Answer for a set, too."""
        self._bound[project, tags] = [
            await answer_on(self._bus, route, self._answerer, queue=catalog.RUNNERS_QUEUE_GROUP)
            for route in self._routes(project, tags)
        ]

    def _routes(self, project: str, tags: TagSet) -> list[Route]:
        discover, browse, look = catalog.DISCOVER, catalog.KEY_BROWSE, catalog.KEY_LOOK
        nodes, keys = self._subjects.nodes_of_set, self._subjects.keys_of_set
        return [
            Route(discover.verb, nodes(project, tags, discover.verb), discover.request, self._discover),
            Route(browse.verb, keys(project, tags, browse.verb), browse.request, self._keys.browse),
            Route(look.verb, keys(project, tags, look.verb), look.request, self._keys.look),
        ]

    async def unbind(self, project: str, tags: TagSet) -> None:
        """Answer for a set no longer; what is being answered is."""
        for end in self._bound.pop((project, tags), []):
            await end()

    async def _discover(self, request: DiscoverRequest) -> Discovery:
        started_s = time.monotonic()
        question = Question(
            project=request.project, source=request.source, type=request.plugin, config=request.config,
            timeout_s=request.timeout_s,
        )  # fmt: skip
        found = await self._discoverer.discover(question)
        version = self._discoverer.version(request.plugin)
        answer = await self._answer(request, found, version, time.monotonic() - started_s)
        log.info(
            "nodes.discovered", project=request.project, source=request.source, plugin=request.plugin,
            count=answer.count, unchanged=answer.unchanged, duration_s=round(answer.duration_s, 3),
        )  # fmt: skip
        if not answer.nodes:
            mine = list(found.nodes)
            del found
            await asyncio.to_thread(let_go, mine)
        return answer

    async def _answer(self, request: DiscoverRequest, found: Discovered, version: str, took_s: float) -> Discovery:
        """The nodes, unless they are known; as a parcel where a message does not hold them."""
        lines, digest = await asyncio.to_thread(_lines, list(found.nodes))
        unchanged = digest == request.known_digest
        parcel = "" if unchanged else await parked(self._bus, self._parcels, lines)
        nodes = [] if unchanged or parcel else list(found.nodes)
        return Discovery(
            runner=self._runner, plugin_version=version, digest=digest, count=len(found.nodes), unchanged=unchanged,
            nodes=nodes, parcel=parcel, duration_s=took_s, warnings=list(found.warnings),
        )  # fmt: skip

    @property
    def _parcels(self) -> Parcels:
        return Parcels(self._bus, self._subjects.parcels_bucket)


def _lines(nodes: list[Node]) -> tuple[bytes, str]:
    lines = b"".join(lines_of(nodes))
    return lines, f"sha256:{hashlib.sha256(lines).hexdigest()}"
