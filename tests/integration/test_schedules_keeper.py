"""What NATS holds of a job's schedule, kept by several at once: each case is one interleaving, on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from bus.bucket import Bucket
from bus.connection import StoredMessage, WrongLastSequenceError
from bus.lifecycle import Background
from bus.schedules import HeldMessages
from domain.schedule import Plan, plan_of
from schemas.codec import encode
from schemas.jobs import JobDefinition
from schemas.schedules import Fire
from services.dispatcher.jobs import JobStore
from services.dispatcher.schedule_keeper import ScheduleKeeper
from services.dispatcher.schedules import make_schedules_stream
from tests.support.schedules import RARELY, held, remove, scheduled_job, store
from tests.support.system import System
from tests.support.waiting import eventually

OTHER = "0 0 0 1 1 ? *"


class Interrupted(HeldMessages):
    """Does what a test says once, right after the next reading."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def last(self, subject: str) -> StoredMessage | None:
        found = await super().last(subject)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return found


class Copy:
    """A dispatcher's keeper, which does nothing by itself here."""

    def __init__(self, system: System, jobs: JobStore) -> None:
        self._jobs = jobs
        self.held = Interrupted(system.bus, system.subjects.schedules_stream)
        self.keeper = ScheduleKeeper(self.held, system.subjects, jobs, zone="UTC")

    async def refresh(self, job: JobDefinition, *, done_seq: int = 0) -> bool:
        """As at a change that was heard of: all that is stored by now has been."""
        await self._jobs.current(job.project, job.uuid)
        return await self.keeper.refresh(job.project, job.uuid, done_seq=done_seq)


@asynccontextmanager
async def copies(system: System) -> AsyncIterator[tuple[Copy, Copy]]:
    await make_schedules_stream(system.bus, system.subjects, replicas=1, ack_wait_s=30.0)
    bucket = await Bucket.open(system.bus, system.subjects.jobs_bucket, JobDefinition)
    one, other = JobStore(bucket), JobStore(bucket)
    async with Background(one.following.run(), other.following.run()):
        yield Copy(system, one), Copy(system, other)


def planned(job: JobDefinition) -> Plan:
    found = plan_of(job)
    assert found is not None
    return found


async def make_due(system: System, job: JobDefinition, at: datetime) -> int:
    fire = Fire(project=job.project, job=job.uuid, at=at, digest=planned(job).digest)
    return await system.bus.append(system.subjects.due_fire(job.project, job.uuid), encode(fire))


async def test_both_hold_the_same(system: System) -> None:
    job = scheduled_job(RARELY)
    async with copies(system) as (one, other):
        await store(system, job)
        assert await one.refresh(job)
        first = await held(system, job)
        assert await other.refresh(job)
        assert await held(system, job) == first


async def test_who_loses_a_race_takes_what_the_other_held(system: System) -> None:
    job = scheduled_job(RARELY)
    async with copies(system) as (one, other):
        await store(system, job)
        one.held.meanwhile = lambda: other.refresh(job)
        assert await one.refresh(job)
        assert await held(system, job) is not None
        assert await system.count(system.subjects.schedules_stream) == 1


async def test_a_change_between_reading_and_writing_is_not_overwritten(system: System) -> None:
    job = scheduled_job(RARELY)
    changed = scheduled_job(OTHER, uuid=job.uuid, name=job.name)

    async def change() -> None:
        await store(system, changed)
        await other.refresh(changed)

    async with copies(system) as (one, other):
        await store(system, job)
        one.held.meanwhile = change
        assert await one.refresh(job)
        fire = await held(system, job)
        assert fire is not None
        assert fire.digest == planned(changed).digest


async def test_a_copy_that_lags_removes_nothing_new(system: System) -> None:
    """It reads the old schedule's fire, the job is changed, and it would remove what it read."""
    job = scheduled_job(RARELY)
    off = msgspec.structs.replace(job, schedule_enabled=False)

    async def turn_on() -> None:
        await store(system, job)
        await other.refresh(job)

    async with copies(system) as (one, other):
        await store(system, job)
        assert await one.refresh(job)
        await store(system, off)
        one.held.meanwhile = turn_on
        await one.refresh(job)
        assert await held(system, job) is not None


async def test_a_fire_that_is_being_dealt_with_is_waited_for(system: System) -> None:
    job = scheduled_job(RARELY)
    async with copies(system) as (one, _):
        await store(system, job)
        seq = await make_due(system, job, datetime.now(UTC))
        assert not await one.refresh(job), "whoever has it holds the next one"
        assert await held(system, job) is None
        assert await one.refresh(job, done_seq=seq)
        assert await held(system, job) is not None


async def test_going_on_holds_the_next_fire_once(system: System) -> None:
    job = scheduled_job("0 0 * * * ?")
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    fire = Fire(project=job.project, job=job.uuid, at=noon, digest=planned(job).digest)
    async with copies(system) as (one, other):
        await store(system, job)
        later = datetime.now(UTC) + timedelta(days=1)
        await one.keeper.go_on(fire, planned(job), later)
        first = await held(system, job)
        assert first is not None
        assert later < first.at <= later + timedelta(hours=1)
        await other.keeper.go_on(fire, planned(job), datetime.now(UTC))
        assert await held(system, job) == first, "one behind it is held already"
        assert await one.keeper.superseded(fire)
        assert not await one.keeper.superseded(first)


async def test_going_on_leaves_a_changed_schedule_alone(system: System) -> None:
    job = scheduled_job(RARELY)
    changed = scheduled_job(OTHER, uuid=job.uuid, name=job.name)
    fire = Fire(project=job.project, job=job.uuid, at=datetime.now(UTC), digest=planned(job).digest)
    async with copies(system) as (one, other):
        await store(system, changed)
        assert await other.refresh(changed)
        await one.keeper.go_on(fire, planned(job), fire.at)
        now = await held(system, job)
        assert now is not None
        assert now.digest == planned(changed).digest
        assert not await one.keeper.superseded(fire), "it is of another schedule"


async def test_a_later_fire_that_is_due_supersedes(system: System) -> None:
    job = scheduled_job(RARELY)
    now = datetime.now(UTC)
    fire = Fire(project=job.project, job=job.uuid, at=now, digest=planned(job).digest)
    async with copies(system) as (one, _):
        await make_due(system, job, now)
        assert not await one.keeper.superseded(fire)
        await make_due(system, job, now + timedelta(seconds=1))
        assert await one.keeper.superseded(fire)


async def test_nothing_is_held_for_a_removed_job(system: System) -> None:
    job = scheduled_job(RARELY)
    async with copies(system) as (one, other):
        await store(system, job)
        assert await one.refresh(job)
        await remove(system, job)
        one.held.meanwhile = lambda: other.refresh(job)
        assert await one.refresh(job), "the other one removed it first"
        assert await held(system, job) is None


@pytest.mark.slow
async def test_held_messages_come_at_their_time_and_not_before(system: System) -> None:
    await make_schedules_stream(system.bus, system.subjects, replicas=1, ack_wait_s=30.0)
    messages = HeldMessages(system.bus, system.subjects.schedules_stream)
    subject, target = system.subjects.request_schedule("p", "e1"), system.subjects.due_request("p", "e1")
    at = datetime.now(UTC) + timedelta(seconds=1)
    await messages.hold(subject, b"first", at=at + timedelta(days=1), target=target)
    await messages.hold(subject, b"second", at=at, target=target)
    found = await eventually(lambda: messages.last(target), what="it is due")
    assert datetime.now(UTC) >= at
    assert found is not None
    assert found.data == b"second"
    assert await messages.last(subject) is None


async def test_a_condition_on_what_is_held(system: System) -> None:
    await make_schedules_stream(system.bus, system.subjects, replicas=1, ack_wait_s=30.0)
    messages = HeldMessages(system.bus, system.subjects.schedules_stream)
    subject, target = system.subjects.request_schedule("p", "e1"), system.subjects.due_request("p", "e1")
    at = datetime.now(UTC) + timedelta(days=1)
    await messages.hold(subject, b"first", at=at, target=target, after_seq=0)
    with pytest.raises(WrongLastSequenceError):
        await messages.hold(subject, b"second", at=at, target=target, after_seq=0)
    first = await messages.last(subject)
    assert first is not None
    await messages.hold(subject, b"third", at=at, target=target, after_seq=first.seq)
    assert await messages.subjects("*.*.schedule.*.*") == [subject]
    third = await messages.last(subject)
    assert third is not None
    await messages.drop(first.seq)
    assert await messages.last(subject) == third, "what was replaced is gone, and removing it again is no error"
    await messages.drop(third.seq)
    assert await messages.last(subject) is None
