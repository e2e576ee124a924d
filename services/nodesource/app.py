"""The nodesource, put together: the inventories, what follows their records, and the endpoints."""

from __future__ import annotations

from typing import Final

import structlog

from bus.bucket import Bucket
from bus.connection import Bus, connect
from bus.endpoint import Answerer, route, serve_api
from bus.lifecycle import EXIT_OK, Background, StopSignal, notify
from bus.parcels import Parcels
from schemas import catalog
from schemas.api import ProjectRecord
from schemas.nodes import Inventory
from schemas.subjects import Subjects
from schemas.version import VERSION
from services.nodesource.handlers import Handlers
from services.nodesource.inventories import Inventories
from services.nodesource.runners import RunnerNodes
from services.nodesource.settings import NodesourceSettings

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
        inventories = Inventories(records, store)
        runners = RunnerNodes(bus, subjects)
        await bus.subscribe(subjects.fleet_changed(), runners.forget)
        handlers = Handlers(bus, inventories, projects=projects, parcels=parcels, runners=runners)
        await _serve(bus, subjects, inventories, handlers, stop)
    return EXIT_OK


async def _serve(
    bus: Bus, subjects: Subjects, inventories: Inventories, handlers: Handlers, stop: StopSignal
) -> None:
    """Follow the records, answer; stop answering first, then close."""
    answerer = Answerer(bus, NAME)
    routes = [
        route(subjects, catalog.NODE_LOAD, handlers.load),
        route(subjects, catalog.NODE_LIST, handlers.list_nodes),
    ]
    async with Background(inventories.following.run()) as background:
        await inventories.following.caught_up.wait()
        await inventories.remove_orphans()
        service = await serve_api(bus, f"runbus-{NAME}", VERSION, routes, answerer)
        await bus.flush()
        notify("READY=1")
        log.info("ready", prefix=subjects.prefix)
        await background.until(stop)
        notify("STOPPING=1")
        log.info("stopping", reason=stop.reason)
        await service.stop()
        await answerer.finish(within_s=5.0)
        await inventories.finish()
