"""The runner, put together: register, bind, beat, carry out, obey; leave in order."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from datetime import UTC, datetime
from typing import Final

import structlog

from bus.audit import KeyAudit
from bus.connection import Bus, Heard, connect
from bus.endpoint import Answerer, Route, answer_on, route
from bus.follow import Follower
from bus.lifecycle import EXIT_OK, Background, StopSignal, notify
from bus.logs import hide
from bus.sealing import SealingKey
from domain.context.masking import Masker
from domain.ids import new_execution_id
from schemas import catalog
from schemas.api import (
    ConfigureRequest,
    Done,
    DrainRequest,
    PingRequest,
    Pong,
    Registered,
    RegisterRequest,
    RunnerAbortRequest,
)
from schemas.errors import ErrorCode, RunbusError
from schemas.runners import RunnerBeat
from schemas.subjects import Subjects
from schemas.tokens import own_tag
from schemas.version import VERSION
from services.runner import keyhealth
from services.runner.assignment import carry_out
from services.runner.discovery import Discoverer
from services.runner.environment import inherited, secrets_of
from services.runner.intake import Intake, open_sets
from services.runner.inventory import PluginInventory
from services.runner.keyanswers import KeyAnswers
from services.runner.keystorage.guarded import RunnerKeys
from services.runner.keystorage.opening import open_storage
from services.runner.keyuse import CentreKeys, Keys
from services.runner.losses import settle_losses
from services.runner.nodeanswers import NodeAnswers
from services.runner.process import GroupFile
from services.runner.scope import own_node
from services.runner.settings import RunnerSettings
from services.runner.slots import Slots
from services.runner.tagrequests import TagRequests
from services.runner.workdir import WorkDirs, require_writable
from services.runner.workplace import Workplace

NAME: Final = "runner"
_REGISTRY_WITHIN_S: Final = 30.0
_RETRY_S: Final = 0.05
_TURN_S: Final = 0.001
"""How long a thread that computes may keep the event loop waiting, each time. With Python's 5 ms a ping beside one
that reads 100,000 nodes took 59 ms, with this 17 ms."""

log = structlog.get_logger(NAME)


async def run(settings: RunnerSettings, stop: StopSignal) -> int:
    """Work until told to stop. Ready once registered and bound to the sets in use."""
    sys.setswitchinterval(_TURN_S)
    require_writable(settings.work_dir)
    plugins = PluginInventory(settings.runner_id)
    plugins.load()
    storage = open_storage(settings, plugins)
    name = f"runbus-{NAME}-{settings.runner_id}"
    async with connect(settings.nats_url, name=name, wait_s=settings.connect_wait_s) as bus:
        await Runner(bus, settings, stop, plugins, storage).run()
    return EXIT_OK


class Runner:
    """The parts of one runner, and the order in which they start and stop.

    Starting: what an earlier run left behind is ended before the registry hears of this one, and may call it lost.

    Stopping, by signal or by ``drain``: (1) no new work is taken and what was sent is handed back; (2) what runs
    is finished, within ``drain_s``, then aborted; (3) a last heartbeat says that it leaves, so that it is Down at
    once; (4) the connection is closed.
    """

    def __init__(
        self, bus: Bus, settings: RunnerSettings, stop: StopSignal, plugins: PluginInventory, storage: RunnerKeys
    ) -> None:
        self._bus = bus
        self._settings = settings
        self._stop = stop
        self._subjects = Subjects(settings.prefix)
        self._id = settings.runner_id
        self._instance = new_execution_id()
        self._started_s = time.monotonic()
        self._beat_interval_s = 5.0
        self._tags_revision = 0
        self._registered = False
        self._plugins = plugins
        self._storage = storage
        self._sealing = SealingKey.make()
        self._slots = Slots(settings.max_running)
        self._work_dirs = WorkDirs(settings.work_dir)
        self._answerer = Answerer(bus, f"{NAME} {self._id}")
        self._groups = GroupFile.open(settings.group_file)
        env = inherited(without=storage.variables)
        env_secrets = [*secrets_of(variables=storage.variables, nats_url=settings.nats_url), *storage.secrets]
        centre = CentreKeys(bus, self._subjects, self._sealing, self._id, self._instance)
        keys = Keys(self._storage, centre, KeyAudit(bus, self._subjects, self._id), self._id)
        self._workplace = Workplace(
            bus=bus, subjects=self._subjects, runner=self._id, instance=self._instance, sealing=self._sealing,
            keys=keys, plugins=self._plugins, slots=self._slots,
            work_dirs=self._work_dirs, groups=self._groups, env=env, env_secrets=env_secrets,
            masker=Masker(env_secrets), own_node=own_node(self._id, settings.tags), grace_s=settings.grace_s,
        )  # fmt: skip
        hide(self._workplace.masker.mask)
        discoverer = Discoverer(
            runner=self._id, plugins=self._plugins, keys=keys, env=env, groups=self._groups, env_secrets=env_secrets,
        )  # fmt: skip
        self._intake = Intake(
            bus, self._subjects, self._slots, lambda delivery: carry_out(delivery, self._workplace),
            requests=TagRequests(
                bus, self._subjects, self._answerer,
                NodeAnswers(bus, self._subjects.parcels_bucket, discoverer, self._id),
                KeyAnswers(self._storage, self._id),
            ),
            local=settings.runner_local,
        )  # fmt: skip

    async def run(self) -> None:
        """Start in order, work, stop in order; however it ends, it leaves."""
        try:
            await asyncio.to_thread(self._workplace.masker.prepare)
            await settle_losses(self._workplace)
            self._adopt(await self._register())
            await self._work()
        finally:
            await self._leave()

    async def _work(self) -> None:
        for each in self._routes():
            await answer_on(self._bus, each, self._answerer)
        await self._bus.subscribe(self._subjects.roll_call(), self._answer_roll_call)
        sets = (await open_sets(self._bus, self._subjects)).watch(self._intake.take_set)
        background = Background(
            sets.run(), self._intake.run(), self._beat_regularly(), self._renew_leases(), self._check_keys()
        )
        async with background:
            if await self._stop.outlasts(self._get_ready(sets)):
                await background.until(self._stop)
            notify("STOPPING=1")
            await self._drain()

    async def _get_ready(self, sets: Follower) -> None:
        await sets.caught_up.wait()
        await self._intake.settle()
        await self._beat()
        await self._bus.flush()
        self._bus.on_reconnect(self._register_again)
        # what is there now stays: looking through it each time would stop everything while thousands of nodes run
        gc.freeze()
        notify("READY=1")
        log.info("ready", runner=self._id, instance=self._instance, sets=self._intake.bound_sets)

    def _routes(self) -> list[Route]:
        subjects, runner = self._subjects, self._id
        return [
            route(subjects, catalog.PING, self._ping, runner=runner),
            route(subjects, catalog.RUNNER_ABORT, self._abort, runner=runner),
            route(subjects, catalog.CONFIGURE, self._configure, runner=runner),
            route(subjects, catalog.DRAIN, self._drain_asked, runner=runner),
        ]

    async def _register(self) -> Registered:
        """Report for work; a registry that is not there yet is waited for, a refusal is final."""
        request = RegisterRequest(
            runner=self._id,
            instance=self._instance,
            tags=self._settings.tags,
            projects=self._settings.projects,
            version=VERSION,
            max_running=self._slots.max_running,
            plugins=self._plugins.infos,
            local=self._settings.runner_local,
            node=self._workplace.own_node if self._settings.runner_as_node else None,
            sealing_key=self._sealing.public,
            key_storage=self._storage.infos,
        )
        deadline_s = time.monotonic() + _REGISTRY_WITHIN_S
        while True:
            try:
                return await self._bus.call(self._subjects, catalog.REGISTER, request)
            except RunbusError as error:
                if error.code is not ErrorCode.UNAVAILABLE or time.monotonic() > deadline_s:
                    raise
                log.info("registry.awaited", reason=error.message)
                await asyncio.sleep(_RETRY_S)

    def _adopt(self, registered: Registered) -> None:
        self._registered = True
        self._beat_interval_s = registered.beat_interval_s
        self._tags_revision = registered.tags_revision
        self._serve(registered.tags, registered.projects)

    def _serve(self, tags: list[str], projects: list[str]) -> None:
        """The tags in force, and the one that it bears by its id."""
        self._intake.configure(frozenset((*tags, own_tag(self._id))), frozenset(projects))

    async def _register_again(self) -> None:
        """After a reconnect: the bus may be a new one that knows nothing of us."""
        try:
            self._adopt(await self._register())
        except RunbusError as error:
            log.warning("register.failed", code=error.code, error=error.message)
            if error.code is not ErrorCode.UNAVAILABLE:
                self._stop.set(error.message)
            return
        await self._beat()

    async def _beat(self, *, leaving: bool = False) -> None:
        await self._bus.publish(
            self._subjects.beat(self._id),
            RunnerBeat(
                runner=self._id,
                instance=self._instance,
                at=datetime.now(UTC),
                running=self._slots.taken,
                max_running=self._slots.max_running,
                uptime_s=time.monotonic() - self._started_s,
                tags_revision=self._tags_revision,
                leaving=leaving,
                plugins=self._plugins.infos,
                key_storage=self._storage.infos,
            ),
        )

    async def _beat_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._beat_interval_s)
            await self._beat()

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._settings.ack_wait_s / 3)
            for delivery in self._slots.deliveries():
                await delivery.extend()

    async def _check_keys(self) -> None:
        """A change is told at once: an operator wants to know of a sealed vault before the next job does."""
        while True:
            before = self._storage.infos
            await self._storage.check()
            if keyhealth.tell(before, self._storage.infos):
                await self._beat()
            await asyncio.sleep(self._settings.key_check_s)

    async def _answer_roll_call(self, _heard: Heard) -> None:
        await self._beat()

    async def _ping(self, _request: PingRequest) -> Pong:
        return Pong(
            runner=self._id,
            instance=self._instance,
            version=VERSION,
            running=self._slots.taken,
            max_running=self._slots.max_running,
            uptime_s=time.monotonic() - self._started_s,
            bound_sets=self._intake.bound_sets,
        )

    async def _abort(self, request: RunnerAbortRequest) -> Done:
        running = self._slots.find((request.project, request.execution, request.assignment))
        if running is None:
            return Done(found=False)
        who = f" by {request.user}" if request.user else ""
        reason = request.reason or f"aborted{who}."
        running.stopper.stop(request.state, reason)
        return Done()

    async def _configure(self, request: ConfigureRequest) -> Done:
        if request.instance != self._instance:
            return Done(found=False)
        if request.tags_revision > self._tags_revision:
            self._tags_revision = request.tags_revision
            self._serve(request.tags, request.projects)
            await self._intake.settle()
            await self._beat()
        return Done()

    async def _drain_asked(self, request: DrainRequest) -> Done:
        self._stop.set(request.reason or "drain")
        return Done()

    async def _drain(self) -> None:
        log.info("draining", runner=self._id, running=self._slots.taken, reason=self._stop.reason)
        await self._intake.close()
        if not await self._intake.finish(within_s=self._settings.drain_s):
            self._slots.stop_all(f"runner {self._id} was stopped.")
            await self._intake.finish(within_s=self._settings.grace_s * 2)
        await self._answerer.finish(within_s=2.0)

    async def _leave(self) -> None:
        """Let go of what is ours, and say so: whoever starts under this id next finds it free."""
        await self._plugins.close()
        await self._storage.close()
        self._work_dirs.close()
        self._groups.close()
        if not self._registered:
            return
        if self._bus.client.is_connected:
            await self._beat(leaving=True)
        log.info("left", runner=self._id)
