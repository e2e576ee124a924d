"""What the nodesource answers about sources. Each handler is one verb."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from domain.calm import let_go
from domain.discovery.definition import checked_source
from schemas.api import Done
from schemas.errors import RunbusError
from schemas.sources import (
    Bearer,
    SourceDefinition,
    SourceList,
    SourceListRequest,
    SourcePutRequest,
    SourceRefreshed,
    SourceRefreshRequest,
    SourceRemoveRequest,
    SourceReply,
    SourceTested,
    SourceTestRequest,
    SourceView,
)
from services.nodesource.asking import Asker, Reach
from services.nodesource.inventories import Inventories
from services.nodesource.refreshing import Refresher
from services.nodesource.store import SourceStore

SAMPLE: Final = 10

RequireProject = Callable[[str], Awaitable[None]]


class SourceHandlers:
    """The verbs of sources."""

    def __init__(
        self,
        store: SourceStore,
        asker: Asker,
        refresher: Refresher,
        inventories: Inventories,
        require_project: RequireProject,
    ) -> None:
        self._store = store
        self._asker = asker
        self._refresher = refresher
        self._inventories = inventories
        self._require_project = require_project

    async def put(self, request: SourcePutRequest) -> SourceReply:
        """Store a source; one that no runner could be asked for is refused, and changes nothing."""
        await self._require_project(request.project)
        source = checked_source(request.source)
        reach = await self._asker.reach(request.project, source)
        if source.enabled:
            reach.chosen()
        created = await self._store.put(
            request.project, source, position=request.position, fresh=request.fresh
        )  # fmt: skip
        await self._inventories.arrange(await self._refresher.place(request.project))
        view = await self._view(request.project, source, reach)
        return SourceReply(source=view, created=created, warnings=reach.warnings)

    async def list_sources(self, request: SourceListRequest) -> SourceList:
        """All sources in order, or one of them."""
        await self._require_project(request.project)
        if request.name:
            sources = [await self._store.require(request.project, request.name)]
        else:
            sources = await self._store.of(request.project)
        views = await asyncio.gather(*(self._view(request.project, source) for source in sources))
        return SourceList(sources=list(views))

    async def remove(self, request: SourceRemoveRequest) -> Done:
        """Remove a source, and its nodes from the inventory."""
        await self._require_project(request.project)
        await self._store.remove(request.project, request.name)
        await self._inventories.arrange(await self._refresher.place(request.project))
        return Done()

    async def test(self, request: SourceTestRequest) -> SourceTested:
        """Ask, and keep nothing."""
        await self._require_project(request.project)
        source = checked_source(request.source)
        reach = await self._asker.reach(request.project, source)
        found = (await self._asker.ask(reach, source)).found
        sample = found.nodes[:SAMPLE]
        await asyncio.to_thread(let_go, found.nodes)
        return SourceTested(
            count=found.count,
            sample=sample,
            runner=found.runner,
            plugin_version=found.plugin_version,
            duration_s=found.duration_s,
            warnings=[*reach.warnings, *found.warnings],
            bearers=reach.bearers,
        )

    async def refresh(self, request: SourceRefreshRequest) -> SourceRefreshed:
        """Ask now, and say what came of it."""
        await self._require_project(request.project)
        return SourceRefreshed(state=await self._refresher.refresh(request.project, request.name))

    async def _view(self, project: str, source: SourceDefinition, reach: Reach | None = None) -> SourceView:
        state, _ = await self._store.state(project, source.name)
        age_s = (datetime.now(UTC) - state.succeeded_at).total_seconds() if state.succeeded_at else None
        return SourceView(
            definition=source,
            state=state,
            age_s=None if age_s is None else max(0.0, age_s),
            bearers=await self._bearers(project, source, reach),
        )

    async def _bearers(self, project: str, source: SourceDefinition, reach: Reach | None) -> list[Bearer]:
        """None where the registry does not answer: a list of sources is worth having without them."""
        try:
            return (reach or await self._asker.reach(project, source)).bearers
        except RunbusError:
            return []
