"""The nodesource, put together: the inventories, what follows their records, and the endpoints."""

from __future__ import annotations

from typing import Final, NamedTuple

import structlog

from bus.bucket import Bucket
from bus.connection import Bus, connect
from bus.endpoint import Answerer, Route, route, serve_api, stop_api
from bus.lifecycle import EXIT_OK, Background, StopSignal, notify
from bus.parcels import Parcels
from bus.sets import SetsInUse
from schemas import catalog
from schemas.api import ProjectRecord, SetRecord
from schemas.nodes import Inventory
from schemas.sources import ProjectSources, SourceState
from schemas.subjects import Subjects
from schemas.version import VERSION
from services.nodesource.arranging import Arranger
from services.nodesource.asking import Asker
from services.nodesource.handlers import Handlers
from services.nodesource.inventories import Inventories
from services.nodesource.keeper import Keeper
from services.nodesource.refreshing import Refresher
from services.nodesource.runners import RunnerNodes
from services.nodesource.settings import NodesourceSettings
from services.nodesource.sourcehandlers import SourceHandlers
from services.nodesource.store import SourceStore

NAME: Final = "nodesource"

log = structlog.get_logger(NAME)


async def run(settings: NodesourceSettings, stop: StopSignal) -> int:
    """Serve until told to stop. Ready once its endpoints answer."""
    async with connect(settings.nats_url, name=f"runbus-{NAME}", wait_s=settings.connect_wait_s) as bus:
        subjects, replicas = Subjects(settings.prefix), settings.replicas
        projects = await Bucket.open(bus, subjects.projects_bucket, ProjectRecord, replicas=replicas)
        records = await Bucket.open(bus, subjects.nodes_bucket, Inventory, replicas=replicas)
        store = await Parcels.open(bus, subjects.inventories_bucket, ttl_s=0, replicas=replicas)
        parcels = await Parcels.open(bus, subjects.parcels_bucket, replicas=replicas)
        sets = await Bucket.open(bus, subjects.sets_bucket, SetRecord, replicas=replicas)
        inventories = Inventories(records, store)
        sources = await _sources(bus, subjects, replicas)
        asker = Asker(bus, subjects, SetsInUse(bus, subjects, sets, ack_wait_s=settings.ack_wait_s), parcels)
        refresher = Refresher(sources, asker, inventories, projects)
        keeper = Keeper(sources, refresher)
        sources.on_change = keeper.look
        runners = RunnerNodes(bus, subjects)
        await bus.subscribe(subjects.fleet_changed(), runners.forget)
        await bus.subscribe(subjects.fleet_changed(), keeper.fleet_changed)
        handlers = Handlers(
            bus, inventories, projects=projects, parcels=parcels, runners=runners, place=refresher.place
        )  # fmt: skip
        of_sources = SourceHandlers(sources, asker, refresher, inventories, handlers.require_project)
        arranger = Arranger(projects, inventories, refresher.place)
        parts = Parts(inventories, sources, keeper, arranger, routes_of(subjects, handlers, of_sources))
        await _serve(bus, subjects, parts, stop)
    return EXIT_OK


class Parts(NamedTuple):
    """What runs beside one another."""

    inventories: Inventories
    sources: SourceStore
    keeper: Keeper
    arranger: Arranger
    routes: list[Route]


def routes_of(subjects: Subjects, handlers: Handlers, of_sources: SourceHandlers) -> list[Route]:
    """Every verb and who answers it."""
    return [
        route(subjects, catalog.NODE_LOAD, handlers.load),
        route(subjects, catalog.NODE_LIST, handlers.list_nodes),
        route(subjects, catalog.SOURCE_PUT, of_sources.put),
        route(subjects, catalog.SOURCE_LIST, of_sources.list_sources),
        route(subjects, catalog.SOURCE_REMOVE, of_sources.remove),
        route(subjects, catalog.SOURCE_TEST, of_sources.test),
        route(subjects, catalog.SOURCE_REFRESH, of_sources.refresh),
    ]


async def _sources(bus: Bus, subjects: Subjects, replicas: int) -> SourceStore:
    return SourceStore(
        await Bucket.open(bus, subjects.sources_bucket, ProjectSources, replicas=replicas),
        await Bucket.open(bus, subjects.source_states_bucket, SourceState, replicas=replicas),
    )


async def _serve(bus: Bus, subjects: Subjects, parts: Parts, stop: StopSignal) -> None:
    """Follow what is stored, answer, keep sources fresh; stop answering first, then close."""
    answerer = Answerer(bus, NAME)
    followers = [parts.inventories.following, *parts.sources.following]
    running = (*(each.run() for each in followers), parts.keeper.run(), parts.arranger.following.run())
    async with Background(*running) as background:
        for each in followers:
            await each.caught_up.wait()
        await parts.inventories.remove_orphans()
        service = await serve_api(bus, f"runbus-{NAME}", VERSION, parts.routes, answerer)
        await bus.flush()
        notify("READY=1")
        log.info("ready", prefix=subjects.prefix)
        await background.until(stop)
        notify("STOPPING=1")
        log.info("stopping", reason=stop.reason)
        await stop_api(bus, service)
        await answerer.finish(within_s=5.0)
        await parts.inventories.finish()
