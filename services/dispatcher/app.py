"""A dispatcher, put together: streams, job definitions, ledger, endpoints; how it starts and stops."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from bus.bucket import Bucket
from bus.connection import Bus, connect
from bus.endpoint import Answerer, serve_api
from bus.lifecycle import EXIT_OK, Background, StopSignal, notify
from bus.streams import ensure_consumer, ensure_stream
from schemas.api import DEFAULT_PROJECT, ProjectRecord, SetRecord
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import JobDefinition
from schemas.runners import RunnerRecord
from schemas.subjects import Subjects
from schemas.tokens import TagSet
from schemas.version import VERSION
from services.dispatcher.accept import Acceptance
from services.dispatcher.ending import Ending
from services.dispatcher.fleet import Fleet
from services.dispatcher.handlers import Handlers
from services.dispatcher.jobs import JobStore
from services.dispatcher.ledger import Ledger
from services.dispatcher.ledger_feed import LedgerFeed
from services.dispatcher.live import LiveExecutions
from services.dispatcher.losses import LossWatch
from services.dispatcher.projects import Projects
from services.dispatcher.requests import DurableRequests
from services.dispatcher.sets import SetsInUse
from services.dispatcher.settings import DispatcherSettings
from services.dispatcher.unassigned import UnassignedWatch

NAME: Final = "dispatcher"

log = structlog.get_logger(NAME)


async def run(settings: DispatcherSettings, stop: StopSignal) -> int:
    """Serve until told to stop. Ready once its streams are there and its endpoints answer."""
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
    await ensure_consumer(
        bus, subjects.requests_stream, subjects.requests_consumer, subjects.request("*"), ack_wait_s=ack_wait_s
    )


async def serve(bus: Bus, subjects: Subjects, settings: DispatcherSettings, ledger: Ledger, stop: StopSignal) -> None:
    """Run all parts. Stopping: no more requests are taken, those in hand are answered, then the rest ends."""
    replicas = settings.replicas
    sets = SetsInUse(
        bus, subjects, await Bucket.open(bus, subjects.sets_bucket, SetRecord, replicas=replicas),
        ack_wait_s=settings.ack_wait_s,
    )  # fmt: skip
    jobs = JobStore(await Bucket.open(bus, subjects.jobs_bucket, JobDefinition, replicas=replicas))
    projects = Projects(await Bucket.open(bus, subjects.projects_bucket, ProjectRecord, replicas=replicas))
    fleet = Fleet(bus, subjects)
    start_seq = max(ledger.last_seq, await bus.last_seq(subjects.events_stream))
    feed = LedgerFeed(bus, subjects, ledger, start_seq=start_seq)
    live = LiveExecutions(bus, subjects, ledger, feed, start_seq=start_seq)
    ending = Ending(bus, subjects, live, fleet)
    runners = await Bucket.open(bus, subjects.runners_bucket, RunnerRecord, replicas=replicas)
    losses = LossWatch(bus, subjects, live=live, ending=ending, record_of=runners.get)
    unassigned = UnassignedWatch(bus, subjects, live=live, sets=sets, ending=ending)
    acceptance = Acceptance(bus, subjects, jobs=jobs, fleet=fleet, sets=sets, require_project=projects.require)
    requests = DurableRequests(bus, subjects, acceptance)
    handlers = Handlers(
        acceptance=acceptance, ending=ending, live=live, ledger=ledger, jobs=jobs, fleet=fleet, sets=sets,
        projects=projects,
    )  # fmt: skip
    live.on_view(ending.watch_deadline)
    await sets.ensure(DEFAULT_PROJECT, TagSet.local())
    await bus.subscribe(subjects.fleet_changed(), fleet.forget)
    await bus.subscribe(subjects.fleet_changed(), losses.take_fleet_change)
    answerer = Answerer(bus, NAME)
    async with Background(
        jobs.following.run(), projects.following.run(), live.following.run(), feed.run(), live.adopt_older(),
        losses.run(), unassigned.run(), requests.run(),
    ) as background:  # fmt: skip
        await asyncio.gather(jobs.following.caught_up.wait(), projects.following.caught_up.wait())
        service = await serve_api(bus, f"runbus-{NAME}", VERSION, handlers.routes(subjects), answerer)
        await bus.flush()
        notify("READY=1")
        log.info("ready", prefix=subjects.prefix, ledger=str(settings.ledger_path), ledger_seq=ledger.last_seq)
        await background.until(stop)
        notify("STOPPING=1")
        log.info("stopping", reason=stop.reason)
        await service.stop()
        await requests.close()
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
