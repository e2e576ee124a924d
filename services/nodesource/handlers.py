"""What the nodesource answers. Each handler is one verb."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import structlog

from bus.bucket import Bucket
from bus.connection import Bus
from bus.nodes import lines_of, parked
from bus.parcels import Parcels
from domain.nodes.formats import read_document
from domain.nodes.formats.parts import MAX_BYTES, Document, text_of
from domain.nodes.listing import listed_nodes
from schemas.api import ProjectRecord
from schemas.errors import ErrorCode, RunbusError
from schemas.nodes import (
    NodeListReply,
    NodeListRequest,
    NodeLoadReply,
    NodeLoadRequest,
    StoredNodes,
)
from schemas.sources import LOADED
from schemas.tokens import project_name
from services.nodesource.inventories import Inventories, Place
from services.nodesource.runners import RunnerNodes

_MAX_READING: Final = 2
"""Documents read at a time: the largest take a processor for seconds, and memory."""

log = structlog.get_logger("nodesource")


class Handlers:
    """The nodesource's verbs, on the inventories."""

    def __init__(
        self,
        bus: Bus,
        inventories: Inventories,
        *,
        projects: Bucket[ProjectRecord],
        parcels: Parcels,
        runners: RunnerNodes,
        place: Callable[[str], Awaitable[Place]],
    ) -> None:
        self._bus = bus
        self._inventories = inventories
        self._projects = projects
        self._parcels = parcels
        self._runners = runners
        self._place = place
        self._known_projects: set[str] = set()
        self._reading = asyncio.Semaphore(_MAX_READING)

    async def load(self, request: NodeLoadRequest) -> NodeLoadReply:
        """Replace the nodes of a project. A document with a fault changes nothing (``invalid_message``)."""
        await self.require_project(request.project)
        document = await self._document(request)
        async with self._reading:
            nodes, warnings = await asyncio.to_thread(_read, request, document)
            digest = await asyncio.to_thread(lambda: hashlib.sha256(document).hexdigest())
        now = datetime.now(UTC)
        facts = StoredNodes(
            source=LOADED, parcel="", count=0, loaded_at=now,
            format=request.format, file=request.file, digest=f"sha256:{digest}",
        )  # fmt: skip
        revision, before = await self._inventories.put(nodes, facts, await self._place(request.project))
        log.info("nodes.loaded", project=request.project, count=len(nodes), revision=revision)
        return NodeLoadReply(
            project=request.project,
            count=len(nodes),
            previous_count=before.count if before else 0,
            revision=revision,
            loaded_at=now,
            warnings=warnings,
        )

    async def list_nodes(self, request: NodeListRequest) -> NodeListReply:
        """The nodes that a filter selects, in order; where a message does not hold them, the parcel that does."""
        await self.require_project(request.project)
        held = await self._inventories.current(request.project)
        every = await self._runners.added_to(request.project, held.nodes)
        nodes, matched = await asyncio.to_thread(listed_nodes, every, request)
        lines = await asyncio.to_thread(lambda: b"".join(lines_of(nodes)))
        parcel = await parked(self._bus, self._parcels, lines)
        loaded_at = max((source.loaded_at for source in held.record.sources), default=None)
        return NodeListReply(
            nodes=[] if parcel else nodes,
            parcel=parcel,
            matched=matched,
            total=len(every),
            revision=held.revision,
            loaded_at=loaded_at,
            age_s=max(0.0, (datetime.now(UTC) - loaded_at).total_seconds()) if loaded_at else None,
        )

    async def _document(self, request: NodeLoadRequest) -> bytes:
        if not request.parcel:
            return request.text.encode()
        if request.text:
            raise RunbusError(
                ErrorCode.INVALID_MESSAGE, "the request has both a text and a parcel: leave one of them out."
            )
        return await self._parcels.get(request.parcel)

    async def require_project(self, project: str) -> None:
        """Raises ``unknown_project``."""
        if project in self._known_projects:
            return
        if await self._projects.get(project_name(project)) is None:
            raise RunbusError(
                ErrorCode.UNKNOWN_PROJECT,
                f"project {project!r} is not known: 'runbus project list' shows those there are, "
                "'runbus project create NAME' makes one.",
                details={"project": project},
            )
        self._known_projects.add(project)


def _read(request: NodeLoadRequest, document: bytes) -> Document:
    try:
        # as text: what an XML document declares of its encoding held before it was sent
        return read_document(request.format, text_of(document, request.format, MAX_BYTES))
    except RunbusError as error:
        if request.file:
            error.message = f"{request.file}: {error.message}"
            error.details["file"] = request.file
        raise
