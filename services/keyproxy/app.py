"""The keyproxy, put together: the centre's keys, who may have them, and the endpoints."""

from __future__ import annotations

import gc
from contextlib import AsyncExitStack
from typing import Final

import structlog

from bus.audit import KeyAudit, make_audit_stream
from bus.bucket import Bucket
from bus.connection import Bus, connect
from bus.endpoint import Answerer, Route, route, serve_api, stop_api
from bus.environment import taken
from bus.lifecycle import EXIT_OK, Background, StopSignal, notify
from bus.sets import SetsInUse
from schemas import catalog
from schemas.api import SetRecord
from schemas.runners import RunnerRecord
from schemas.sources import ProjectSources
from schemas.subjects import Subjects
from schemas.version import VERSION
from services.keyproxy.asking import Asker
from services.keyproxy.claim import StoreClaim
from services.keyproxy.handlers import Handlers
from services.keyproxy.masterkey import ENV_NAME, NEW_ENV_NAME
from services.keyproxy.mastersource import master_keys_of
from services.keyproxy.opening import Opening
from services.keyproxy.sealed import Sealing
from services.keyproxy.settings import KeyproxySettings
from services.keyproxy.store import KeyStore

NAME: Final = "keyproxy"

log = structlog.get_logger(NAME)


async def run(settings: KeyproxySettings, stop: StopSignal) -> int:
    """Serve until told to stop. Ready once its endpoints answer."""
    masters = master_keys_of(
        text=settings.master_key, new_text=settings.new_master_key, file=settings.master_key_file,
        data_dir=settings.data_dir,
    )  # fmt: skip
    taken({ENV_NAME, NEW_ENV_NAME})  # they are read, and jobs beside this process could read them, too
    async with AsyncExitStack() as stack:
        connecting = connect(settings.nats_url, name=f"runbus-{NAME}", wait_s=settings.connect_wait_s)
        if is_new := not settings.keys_path.exists():
            bus = await stack.enter_async_context(connecting)
            await StoreClaim.require_free(bus, settings)
        opening = KeyStore.open(settings.keys_path, *masters.read(), source=masters)
        store = await stack.enter_async_context(opening)
        if not is_new:  # what is wrong with the file is told without NATS
            bus = await stack.enter_async_context(connecting)
        subjects, replicas = Subjects(settings.prefix), settings.replicas
        claim = await StoreClaim.open(bus, settings, store)
        await claim.make()
        await make_audit_stream(bus, subjects, replicas=replicas)
        sets = await Bucket.open(bus, subjects.sets_bucket, SetRecord, replicas=replicas)
        runners = await Bucket.open(bus, subjects.runners_bucket, RunnerRecord, replicas=replicas)
        sources = await Bucket.open(bus, subjects.sources_bucket, ProjectSources, replicas=replicas)
        handlers = Handlers(
            store,
            Asker(bus, subjects, SetsInUse(bus, subjects, sets, ack_wait_s=settings.ack_wait_s)),
            Opening(bus, subjects, runners, sources),
            Sealing(store),
            KeyAudit(bus, subjects, NAME),
        )
        await _serve(bus, subjects, handlers, claim, stop)
    return EXIT_OK


def routes_of(subjects: Subjects, handlers: Handlers) -> list[Route]:
    """Every verb and who answers it."""
    return [
        route(subjects, catalog.KEY_LIST, handlers.list_keys),
        route(subjects, catalog.KEY_SHOW, handlers.show_key),
        route(subjects, catalog.KEY_PUT, handlers.put_key),
        route(subjects, catalog.KEY_REMOVE, handlers.remove_key),
        route(subjects, catalog.KEY_SEALING, handlers.sealing_key),
        route(subjects, catalog.KEY_OPEN, handlers.open_key),
    ]


async def _serve(bus: Bus, subjects: Subjects, handlers: Handlers, claim: StoreClaim, stop: StopSignal) -> None:
    answerer = Answerer(bus, NAME)
    async with Background(claim.hold()) as background:
        service = await serve_api(bus, f"runbus-{NAME}", VERSION, routes_of(subjects, handlers), answerer)
        await bus.flush()
        gc.freeze()  # what is there now stays: looking through it takes 45 ms, which would be in the way of listings
        notify("READY=1")
        log.info("ready", prefix=subjects.prefix)
        try:
            await background.until(stop)
        finally:
            notify("STOPPING=1")
            log.info("stopping", reason=stop.reason or "another file of keys has taken the place of this one")
            await stop_api(bus, service)
            await answerer.finish(within_s=5.0)
