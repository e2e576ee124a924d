"""The parts of a dispatcher, put together."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import msgspec

from bus.bucket import Bucket
from bus.connection import Bus
from bus.sets import SetsInUse
from domain.ids import new_execution_id
from schemas.api import ProjectRecord, RunningRecord, SetRecord
from schemas.jobs import JobDefinition
from schemas.runners import RunnerRecord
from schemas.subjects import Subjects
from services.dispatcher.accept import Acceptance
from services.dispatcher.ending import Ending
from services.dispatcher.fleet import Fleet
from services.dispatcher.handlers import Handlers
from services.dispatcher.handout import HandOut
from services.dispatcher.jobs import JobStore
from services.dispatcher.ledger import Ledger
from services.dispatcher.ledger_feed import LedgerFeed
from services.dispatcher.live import LiveExecutions
from services.dispatcher.lookups import BusLookups
from services.dispatcher.losses import LossWatch
from services.dispatcher.notify.service import Notifications
from services.dispatcher.orchestrator import Orchestrator
from services.dispatcher.overlap import Overlap
from services.dispatcher.plan_removal import PlanRemoval
from services.dispatcher.projects import Projects
from services.dispatcher.requests import DurableRequests
from services.dispatcher.resolve import Resolver
from services.dispatcher.retries import Retries
from services.dispatcher.schedule_zone import zone_in_force
from services.dispatcher.schedules import Schedules
from services.dispatcher.secrets import SecretKeeper
from services.dispatcher.settings import DispatcherSettings
from services.dispatcher.unassigned import UnassignedWatch


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that runs or answers in a dispatcher."""

    ledger: Ledger
    feed: LedgerFeed
    live: LiveExecutions
    sets: SetsInUse
    jobs: JobStore
    projects: Projects
    fleet: Fleet
    keeper: SecretKeeper
    losses: LossWatch
    unassigned: UnassignedWatch
    requests: DurableRequests
    schedules: Schedules
    notifications: Notifications
    orchestrator: Orchestrator
    retries: Retries
    plans: PlanRemoval
    handlers: Handlers

    def background(self) -> list[Coroutine[Any, Any, None]]:
        """What runs beside the answering of requests."""
        return [
            self.jobs.following.run(),
            self.projects.following.run(),
            self.live.following.run(),
            self.feed.run(),
            self.live.adopt_older(),
            self.losses.run(),
            self.unassigned.run(),
            self.requests.run(),
            self.schedules.run(),
            self.notifications.run(),
            self.orchestrator.run(),
            self._retry_what_was_left(),
        ]

    async def close(self) -> None:
        """Take nothing more, and finish what is in hand."""
        await self.requests.close()
        await self.schedules.close()
        await self.notifications.close()
        await self.retries.close()
        await self.plans.close()

    async def _retry_what_was_left(self) -> None:
        await self.feed.caught_up.wait()
        await self.retries.catch_up(self.ledger.list)


async def assemble(bus: Bus, subjects: Subjects, settings: DispatcherSettings, ledger: Ledger) -> Parts:
    """Open the buckets, make the parts, and tell those who follow of one another. Nothing runs yet."""
    replicas = settings.replicas
    sets = SetsInUse(
        bus, subjects, await Bucket.open(bus, subjects.sets_bucket, SetRecord, replicas=replicas),
        ack_wait_s=settings.ack_wait_s,
    )  # fmt: skip
    jobs = JobStore(await Bucket.open(bus, subjects.jobs_bucket, JobDefinition, replicas=replicas))
    projects = Projects(await Bucket.open(bus, subjects.projects_bucket, ProjectRecord, replicas=replicas))
    running = await Bucket.open(bus, subjects.running_bucket, RunningRecord, replicas=replicas)
    runners = await Bucket.open(bus, subjects.runners_bucket, RunnerRecord, replicas=replicas)
    fleet = Fleet(bus, subjects)
    start_seq = max(ledger.last_seq, await bus.last_seq(subjects.events_stream))
    feed = LedgerFeed(bus, subjects, ledger, start_seq=start_seq)
    live = LiveExecutions(bus, subjects, ledger, feed, start_seq=start_seq)
    ending = Ending(bus, subjects, live, fleet)
    keeper = SecretKeeper(bus, subjects, new_execution_id(), runners)
    resolver = Resolver(
        jobs=jobs, fleet=fleet, projects=projects, lookups=BusLookups(bus, subjects, jobs), instance=keeper.instance
    )
    acceptance = Acceptance(
        bus, subjects, resolver=resolver, sets=sets, overlap=Overlap(running, live.get), keeper=keeper,
        get_view=live.get,
    )  # fmt: skip
    zone = zone_in_force(settings.time_zone)
    schedules = Schedules(
        bus, subjects, jobs=jobs, accept=acceptance.accept, zone=zone,
        grace_s=settings.schedule_grace_s, ack_wait_s=settings.ack_wait_s,
    )  # fmt: skip
    notifications = Notifications(bus, subjects, settings, find_job=jobs.find, average_s=ledger.average_duration_s)
    hand_out = HandOut(bus, subjects, sets)
    orchestrator = Orchestrator(bus, subjects, live=live, ending=ending, hand_out=hand_out)
    plans = PlanRemoval(bus, subjects)
    retries = Retries(
        bus, subjects, acceptance=acceptance, keeper=keeper, delay_request=schedules.delay_request
    )  # fmt: skip
    handlers = Handlers(
        acceptance=acceptance, keeper=keeper, ending=ending, live=live, ledger=ledger, jobs=jobs, fleet=fleet,
        sets=sets,
        projects=projects, notifications=notifications, zone=zone, max_view_bytes=bus.max_payload_bytes,
    )  # fmt: skip
    live.on_view(ending.watch_deadline)
    live.on_event(notifications.take)
    live.on_event(orchestrator.take)
    live.on_end(retries.take)
    live.on_end(plans.take)
    return Parts(
        ledger=ledger, feed=feed, live=live, sets=sets, jobs=jobs, projects=projects, fleet=fleet, keeper=keeper,
        losses=LossWatch(bus, subjects, live=live, ending=ending, record_of=runners.get),
        unassigned=UnassignedWatch(bus, subjects, live=live, sets=sets, ending=ending),
        requests=DurableRequests(bus, subjects, acceptance), schedules=schedules, notifications=notifications,
        orchestrator=orchestrator, retries=retries, plans=plans, handlers=handlers,
    )  # fmt: skip
