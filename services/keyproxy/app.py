"""The keyproxy, put together: the centre's keys, who may have them, and the endpoints."""

from __future__ import annotations

from typing import Final

import structlog

from bus.audit import KeyAudit, make_audit_stream
from bus.bucket import Bucket
from bus.connection import Bus, connect
from bus.endpoint import Answerer, Route, route, serve_api
from bus.lifecycle import EXIT_OK, StopSignal, notify
from bus.sealing import SealingKey
from bus.sets import SetsInUse
from schemas import catalog
from schemas.api import SetRecord
from schemas.runners import RunnerRecord
from schemas.sources import ProjectSources
from schemas.subjects import Subjects
from schemas.version import VERSION
from services.keyproxy.asking import Asker
from services.keyproxy.handlers import Handlers
from services.keyproxy.masterkey import master_key_of
from services.keyproxy.opening import Opening
from services.keyproxy.settings import KeyproxySettings
from services.keyproxy.store import KeyStore

NAME: Final = "keyproxy"
_SEALING: Final = "runbus keyproxy requests"

log = structlog.get_logger(NAME)


async def run(settings: KeyproxySettings, stop: StopSignal) -> int:
    """Serve until told to stop. Ready once its endpoints answer."""
    master = master_key_of(settings.master_key, settings.master_key_file, settings.data_dir)
    async with (
        KeyStore.open(settings.keys_path, master) as store,
        connect(settings.nats_url, name=f"runbus-{NAME}", wait_s=settings.connect_wait_s) as bus,
    ):
        subjects, replicas = Subjects(settings.prefix), settings.replicas
        await make_audit_stream(bus, subjects, replicas=replicas)
        sets = await Bucket.open(bus, subjects.sets_bucket, SetRecord, replicas=replicas)
        runners = await Bucket.open(bus, subjects.runners_bucket, RunnerRecord, replicas=replicas)
        sources = await Bucket.open(bus, subjects.sources_bucket, ProjectSources, replicas=replicas)
        handlers = Handlers(
            store,
            Asker(bus, subjects, SetsInUse(bus, subjects, sets, ack_wait_s=settings.ack_wait_s)),
            Opening(bus, subjects, runners, sources),
            SealingKey.derived(master.secret, _SEALING),
            KeyAudit(bus, subjects, NAME),
        )
        await _serve(bus, subjects, handlers, stop)
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


async def _serve(bus: Bus, subjects: Subjects, handlers: Handlers, stop: StopSignal) -> None:
    answerer = Answerer(bus, NAME)
    service = await serve_api(bus, f"runbus-{NAME}", VERSION, routes_of(subjects, handlers), answerer)
    await bus.flush()
    notify("READY=1")
    log.info("ready", prefix=subjects.prefix)
    await stop.wait()
    notify("STOPPING=1")
    log.info("stopping", reason=stop.reason)
    await service.stop()
    await answerer.finish(within_s=5.0)
