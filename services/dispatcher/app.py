"""A dispatcher, put together: streams, job definitions, ledger, endpoints; how it starts and stops."""

from __future__ import annotations

import asyncio
import gc
from typing import Final

import structlog

from bus.connection import Bus, connect
from bus.endpoint import Answerer, answer_on, route, serve_api, stop_api
from bus.environment import taken
from bus.lifecycle import EXIT_OK, Background, StopSignal, notify
from bus.streams import ensure_consumer, ensure_stream
from schemas import catalog
from schemas.api import DEFAULT_PROJECT
from schemas.errors import ErrorCode, RunbusError
from schemas.subjects import Subjects
from schemas.tokens import TagSet
from schemas.version import VERSION
from services.dispatcher.ledger import Ledger
from services.dispatcher.notify.publishing import make_notify_stream
from services.dispatcher.parts import assemble
from services.dispatcher.schedules import make_schedules_stream
from services.dispatcher.settings import OWN_SECRETS, DispatcherSettings

NAME: Final = "dispatcher"

log = structlog.get_logger(NAME)


async def run(settings: DispatcherSettings, stop: StopSignal) -> int:
    """Serve until told to stop. Ready once its streams are there and its endpoints answer."""
    taken(OWN_SECRETS)  # they are read, and jobs beside this process could read them, too
    _make_data_dir(settings)
    async with connect(settings.nats_url, name=f"runbus-{NAME}", wait_s=settings.connect_wait_s) as bus:
        subjects = Subjects(settings.prefix)
        await make_streams(bus, subjects, replicas=settings.replicas, ack_wait_s=settings.ack_wait_s)
        async with Ledger.open(settings.ledger_path) as ledger:
            info = await bus.js.stream_info(subjects.events_stream)
            await ledger.bind_stream(str(info.created))
            await serve(bus, subjects, settings, ledger, stop)
    return EXIT_OK


async def make_streams(bus: Bus, subjects: Subjects, *, replicas: int, ack_wait_s: float) -> None:
    """The four streams, made by whichever dispatcher is first; ``ack_wait_s`` is how long one may hold a request."""
    names = subjects.requests_stream, subjects.jobs_stream, subjects.events_stream, subjects.logs_stream
    filters = (
        subjects.request("*"),
        f"{subjects.prefix}.*.tag.*.job.>",
        f"{subjects.prefix}.*.exec.>",
        f"{subjects.prefix}.*.log.>",
    )
    for name, subject in zip(names, filters, strict=True):
        work_queue = name in (subjects.requests_stream, subjects.jobs_stream)
        await ensure_stream(bus, name, subject, work_queue=work_queue, replicas=replicas)
    await make_notify_stream(bus, subjects, replicas=replicas, ack_wait_s=ack_wait_s)
    await ensure_consumer(
        bus, subjects.requests_stream, subjects.requests_consumer, subjects.request("*"), ack_wait_s=ack_wait_s
    )
    await make_schedules_stream(bus, subjects, replicas=replicas, ack_wait_s=ack_wait_s)


async def serve(bus: Bus, subjects: Subjects, settings: DispatcherSettings, ledger: Ledger, stop: StopSignal) -> None:
    """Run all parts. Stopping: no more requests are taken, those in hand are answered, then the rest ends."""
    parts = await assemble(bus, subjects, settings, ledger)
    await parts.sets.ensure(DEFAULT_PROJECT, TagSet.local())
    await bus.subscribe(subjects.fleet_changed(), parts.fleet.forget)
    await bus.subscribe(subjects.fleet_changed(), parts.losses.take_fleet_change)
    answerer = Answerer(bus, NAME)
    instance = parts.keeper.instance
    await answer_on(bus, route(subjects, catalog.SECRETS, parts.keeper.tell, runner=instance), answerer)
    run_sealed = route(subjects, catalog.RUN_SEALED, parts.handlers.run, runner=instance)
    take_no_more_sealed = await answer_on(bus, run_sealed, answerer)
    async with Background(*parts.background()) as background:
        await asyncio.gather(parts.jobs.following.caught_up.wait(), parts.projects.following.caught_up.wait())
        service = await serve_api(bus, f"runbus-{NAME}", VERSION, parts.handlers.routes(subjects), answerer)
        await bus.flush()
        # what is there now stays: looking through it each time would stop everything while many nodes are read
        gc.freeze()
        notify("READY=1")
        log.info("ready", prefix=subjects.prefix, ledger=str(settings.ledger_path), ledger_seq=ledger.last_seq)
        await background.until(stop)
        notify("STOPPING=1")
        log.info("stopping", reason=stop.reason)
        await take_no_more_sealed()
        await stop_api(bus, service)
        await parts.close()
        await answerer.finish(within_s=5.0)


def _make_data_dir(settings: DispatcherSettings) -> None:
    try:
        settings.ledger_path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise RunbusError(
            ErrorCode.UNAVAILABLE,
            f"the data directory {settings.data_dir} cannot be used ({cause.strerror}): "
            "name a writable one with --data-dir or RUNBUS_DATA_DIR.",
        ) from cause
