"""What a runner answers to whoever asks its tag set for the nodes of a source."""

from __future__ import annotations

import asyncio
import hashlib
import time

import structlog

from bus.connection import Bus
from bus.nodes import lines_of, parked
from bus.parcels import Parcels
from domain.calm import let_go
from runbus.plugin import Discovered
from schemas.nodes import Node
from schemas.sources import DiscoverRequest, Discovery
from services.runner.discovery import Discoverer, Question

log = structlog.get_logger("runner")


class NodeAnswers:
    """Answers for one runner."""

    def __init__(self, bus: Bus, parcels_bucket: str, discoverer: Discoverer, runner: str) -> None:
        self._bus = bus
        self._parcels_bucket = parcels_bucket
        self._discoverer = discoverer
        self._runner = runner

    async def discover(self, request: DiscoverRequest) -> Discovery:
        """The nodes of a source, unless they are known. Raises what :meth:`Discoverer.discover` raises."""
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
        parcel = "" if unchanged else await parked(self._bus, Parcels(self._bus, self._parcels_bucket), lines)
        nodes = [] if unchanged or parcel else list(found.nodes)
        return Discovery(
            runner=self._runner, plugin_version=version, digest=digest, count=len(found.nodes), unchanged=unchanged,
            nodes=nodes, parcel=parcel, duration_s=took_s, warnings=list(found.warnings),
        )  # fmt: skip


def _lines(nodes: list[Node]) -> tuple[bytes, str]:
    lines = b"".join(lines_of(nodes))
    return lines, f"sha256:{hashlib.sha256(lines).hexdigest()}"
