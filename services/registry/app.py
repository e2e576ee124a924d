"""The registry, put together: buckets, heartbeats, endpoints, and the watch over silent runners."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from bus.bucket import Bucket
from bus.connection import Bus, Heard, connect
from bus.endpoint import Answerer, Route, route, serve_api, stop_api
from bus.lifecycle import EXIT_OK, Background, StopSignal, notify
from schemas import catalog
from schemas.api import DEFAULT_PROJECT, ProjectRecord, RollCall
from schemas.codec import decode
from schemas.errors import RunbusError
from schemas.runners import RunnerBeat, RunnerRecord
from schemas.subjects import Subjects
from schemas.version import VERSION
from services.registry.handlers import Handlers
from services.registry.holders import Holders
from services.registry.projects import Projects
from services.registry.registration import Registration
from services.registry.roster import Roster
from services.registry.settings import RegistrySettings

NAME: Final = "registry"
_LOOK_EVERY_S: Final = 1.0

log = structlog.get_logger(NAME)


async def run(settings: RegistrySettings, stop: StopSignal) -> int:
    """Serve until told to stop. Ready once its endpoints answer and runners were asked to report."""
    async with connect(settings.nats_url, name=f"runbus-{NAME}", wait_s=settings.connect_wait_s) as bus:
        subjects = Subjects(settings.prefix)
        runners = await Bucket.open(bus, subjects.runners_bucket, RunnerRecord, replicas=settings.replicas)
        projects = await Bucket.open(bus, subjects.projects_bucket, ProjectRecord, replicas=settings.replicas)
        await Registry(bus, settings, runners, projects).serve(stop)
    return EXIT_OK


class Registry:
    """The parts of one copy, and the order in which they start and stop."""

    def __init__(
        self,
        bus: Bus,
        settings: RegistrySettings,
        runners: Bucket[RunnerRecord],
        projects: Bucket[ProjectRecord],
    ) -> None:
        self._bus = bus
        self._settings = settings
        self._subjects = Subjects(settings.prefix)
        self._runners = runners
        self._projects = Projects(projects)
        self._projects_bucket = projects
        self._roster = Roster(runners, settings.clocks)
        self._handlers = Handlers(bus, self._subjects, self._roster, self._projects)
        holders = Holders(bus, self._subjects, self._roster, beat_interval_s=settings.beat_interval_s)
        self._registration = Registration(
            self._roster, self._projects, holders, beat_interval_s=settings.beat_interval_s
        )
        self._answerer = Answerer(bus, NAME)
        self._configuring: dict[str, asyncio.Task[bool]] = {}

    async def serve(self, stop: StopSignal) -> None:
        """Follow the buckets, listen to beats, answer; stop answering first, then close."""
        await self._make_default_project()
        runners = self._runners.watch(self._roster.take_record)
        projects = self._projects_bucket.watch(self._projects.take)
        async with Background(runners.run(), projects.run(), self._watch_statuses()) as background:
            await asyncio.gather(runners.caught_up.wait(), projects.caught_up.wait())
            await self._bus.subscribe(self._subjects.beat("*"), self._take_beat)
            service = await serve_api(self._bus, f"runbus-{NAME}", VERSION, self._routes(), self._answerer)
            await self._call_the_roll()
            self._bus.on_reconnect(self._listen_anew)
            await self._bus.flush()
            notify("READY=1")
            log.info("ready", prefix=self._settings.prefix)
            await background.until(stop)
            notify("STOPPING=1")
            log.info("stopping", reason=stop.reason)
            await stop_api(self._bus, service)
            await self._answerer.finish(within_s=5.0)

    def _routes(self) -> list[Route]:
        handlers = self._handlers
        projects = self._projects
        subjects = self._subjects
        return [
            route(subjects, catalog.REGISTER, self._registration.register),
            route(subjects, catalog.RUNNER_LIST, handlers.list_runners),
            route(subjects, catalog.RUNNER_SHOW, handlers.show_runner),
            route(subjects, catalog.RUNNER_TAGS, handlers.set_tags),
            route(subjects, catalog.RUNNER_NODES, handlers.set_nodes),
            route(subjects, catalog.RUNNER_CREATE, handlers.create_runner),
            route(subjects, catalog.RUNNER_REMOVE, handlers.remove_runner),
            route(subjects, catalog.MATCH, handlers.match),
            route(subjects, catalog.PROJECT_CREATE, projects.create),
            route(subjects, catalog.PROJECT_LIST, projects.list_all),
            route(subjects, catalog.PROJECT_SHOW, projects.show),
            route(subjects, catalog.PROJECT_SET, projects.change),
        ]

    async def _make_default_project(self) -> None:
        record = ProjectRecord(name=DEFAULT_PROJECT, created_at=datetime.now(UTC))
        if not await self._projects.make(record):
            log.debug("project.there", project=DEFAULT_PROJECT)

    async def _take_beat(self, heard: Heard) -> None:
        try:
            beat = decode(heard.data, RunnerBeat)
        except RunbusError as error:
            log.warning("beat.refused", subject=heard.subject, error=error.message)
            return
        record = self._roster.take_beat(beat)
        if record is None:
            return
        if beat.leaving:
            await self._note_leaving(beat)
        elif beat.tags_revision < record.tags_revision and record.id not in self._configuring:
            task = asyncio.ensure_future(self._handlers.configure(record))
            self._configuring[record.id] = task
            task.add_done_callback(lambda _: self._configuring.pop(record.id, None))

    async def _note_leaving(self, beat: RunnerBeat) -> None:
        def change(before: RunnerRecord | None) -> RunnerRecord:
            base = before or RunnerRecord(id=beat.runner)
            if base.instance != beat.instance:
                return base
            return msgspec.structs.replace(base, left_at=datetime.now(UTC))

        await self._roster.update(beat.runner, change)
        log.info("runner.left", runner=beat.runner)
        await self._announce_changes()

    async def _call_the_roll(self) -> None:
        await self._bus.publish(self._subjects.roll_call(), RollCall())

    async def _listen_anew(self) -> None:
        """Whoever could not hear the runners cannot call them silent."""
        self._roster.listen_anew()
        await self._call_the_roll()

    async def _watch_statuses(self) -> None:
        while True:
            if self._bus.client.is_connected:
                await self._announce_changes()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _announce_changes(self) -> None:
        for view in self._roster.changed_statuses():
            log.info("runner.status", runner=view.id, status=view.status)
            await self._handlers.announce(view)
