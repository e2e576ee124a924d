"""Schedules: jobs that run by themselves, once a fire, whatever number of dispatchers there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from bus.bucket import Bucket
from schemas.api import ExecutionView, RunRequest
from schemas.codec import encode
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import JobDefinition, RunnerSelector, SelectorMode
from schemas.schedules import Fire
from schemas.states import ExecutionState
from services.dispatcher.jobs import JobStore
from services.dispatcher.schedules import Schedules
from tests.support.gate import Gate
from tests.support.parts import Part, TaskPart
from tests.support.schedules import (
    EVERY_SECOND,
    RARELY,
    assert_every_second,
    ended,
    executions,
    fire_of,
    held,
    is_held,
    remove,
    runs_in,
    scheduled_job,
    store,
)
from tests.support.system import System, refused, request
from tests.support.waiting import eventually, never

pytestmark = pytest.mark.slow


async def nobody_accepts(_request: RunRequest, _fresh_id: str) -> ExecutionView:
    raise AssertionError("this copy takes nothing")


async def delayer(system: System) -> Schedules:
    """A copy that only stores."""
    bucket = await Bucket.open(system.bus, system.subjects.jobs_bucket, JobDefinition)
    return Schedules(
        system.bus, system.subjects, jobs=JobStore(bucket), accept=nobody_accepts, zone="UTC", grace_s=60.0
    )


async def test_a_job_fires_every_second_once_with_two_dispatchers(system: System, tmp_path: Path) -> None:
    await system.up("local")
    system.start_dispatcher()
    diary = tmp_path / "diary"
    job = await store(system, scheduled_job(EVERY_SECOND, command=f"echo $RD_JOB_EXECID >> {diary}"))
    views = await ended(system, job, 4)
    assert_every_second(views)
    assert {(view.state, view.user, view.job) for view in views} == {(ExecutionState.SUCCEEDED, "schedule", job.ref)}
    assert all(0 <= (view.queued_at - fire_of(view)).total_seconds() < 1.0 for view in views if view.queued_at)
    runs = runs_in(diary)
    assert len(runs) == len(set(runs))
    assert {view.id for view in views} <= set(runs)


@pytest.mark.parametrize("switch", ["schedule_enabled", "execution_enabled", "schedule"])
async def test_a_job_whose_switch_is_turned_off_fires_no_more(system: System, switch: str) -> None:
    await system.up("local")
    job = await store(system, scheduled_job(EVERY_SECOND))
    await ended(system, job, 1)
    await store(system, msgspec.structs.replace(job, **{switch: None if switch == "schedule" else False}))
    await eventually(lambda: is_free(system, job), what="nothing is held")
    before = await executions(system, job)
    await never(lambda: grown(system, job, len(before)), for_s=1.5, what="another fire")
    await store(system, job)
    again = await ended(system, job, len(before) + 1)
    assert fire_of(again[len(before)]) - fire_of(again[len(before) - 1]) >= timedelta(seconds=2)
    assert {view.state for view in again} == {ExecutionState.SUCCEEDED}, "while it was off nothing was missed"


async def test_a_changed_crontab_and_zone_replace_what_is_held(system: System) -> None:
    await system.up()
    job = await store(system, scheduled_job(RARELY))
    await is_held(system, job)
    changed = scheduled_job("0 30 12 1 1 ? *", uuid=job.uuid, name=job.name, time_zone="Asia/Tokyo")
    await store(system, changed)

    async def replaced() -> bool:
        fire = await held(system, job)
        return fire is not None and fire.at.astimezone(UTC).strftime("%m-%d %H:%M:%S") == "01-01 03:30:00"

    await eventually(replaced, what="the new one is held")
    before = await held(system, job)
    await store(system, msgspec.structs.replace(changed, description="another text"))
    await store(system, changed)
    assert await held(system, job) == before, "the schedule itself did not change"


async def test_a_removed_job_leaves_nothing_behind(system: System) -> None:
    await system.up()
    job = await store(system, scheduled_job(RARELY))
    await is_held(system, job)
    await remove(system, job)
    await eventually(lambda: is_free(system, job), what="nothing is held")


async def test_a_dispatcher_that_starts_brings_all_in_step(system: System) -> None:
    """What changed while none ran: a job came, one went, one was changed."""
    system.start_registry()
    first = await start_alone(system)
    kept, gone, changed = [await store(system, scheduled_job(RARELY)) for _ in range(3)]
    for job in (kept, gone, changed):
        await is_held(system, job)
    as_kept = await held(system, kept)
    await system.stop(first)
    await remove(system, gone)
    await store(system, scheduled_job("0 0 0 1 1 ? *", uuid=changed.uuid, name=changed.name))
    fresh = await store(system, scheduled_job(RARELY))
    await start_alone(system)
    await is_held(system, fresh)
    await eventually(lambda: is_free(system, gone), what="that of the removed job is gone")

    async def in_step() -> bool:
        fire = await held(system, changed)
        return fire is not None and (fire.at.month, fire.at.day) == (1, 1)

    await eventually(in_step, what="that of the changed job is replaced")
    assert await held(system, kept) == as_kept


async def test_a_schedule_that_cannot_be_read_hinders_no_other(system: System) -> None:
    await system.up()
    broken = await store(system, scheduled_job("every now and then"))
    nowhere = await store(system, scheduled_job(RARELY, time_zone="Europe/Atlantis"))
    over = await store(system, scheduled_job("0 0 0 1 1 ? 2020"))
    job = await store(system, scheduled_job(RARELY))
    await is_held(system, job)
    for each in (broken, nowhere, over):
        assert await held(system, each) is None


async def test_a_fire_of_a_replaced_schedule_is_dropped(system: System) -> None:
    await system.up("local")
    job = await store(system, scheduled_job(RARELY))
    await is_held(system, job)
    stale = Fire(project="default", job=job.uuid, at=datetime.now(UTC), digest="of-another")
    await system.bus.append(system.subjects.due_fire("default", job.uuid), encode(stale))
    await eventually(lambda: nothing_due(system), what="it is dealt with")
    assert await executions(system, job) == []
    assert await held(system, job) is not None


async def test_what_is_not_a_fire_is_dropped(system: System) -> None:
    await system.up()
    await system.bus.client.publish(system.subjects.due_fire("default", "nobody"), b"not a fire")
    await system.bus.flush()
    await eventually(lambda: nothing_due(system), what="it is dealt with")


async def test_a_run_that_is_refused_is_an_execution_that_failed(system: System) -> None:
    await system.up()
    selector = RunnerSelector(mode=SelectorMode.TAGS, filter="nobody-bears-this")
    job = await store(system, scheduled_job(EVERY_SECOND, runner=selector))
    first, second = (await ended(system, job, 2))[:2]
    assert {first.state, second.state} == {ExecutionState.FAILED}
    assert first.error is not None
    assert first.error.code is ErrorCode.NO_RUNNER
    assert first.job == job.ref


async def test_a_fire_is_skipped_while_a_job_runs_that_may_run_once(system: System, tmp_path: Path) -> None:
    await system.up("local")
    with Gate(tmp_path) as gate:
        job = await store(system, scheduled_job(EVERY_SECOND, command=gate.command, multiple_executions=False))
        await eventually(lambda: gate.inside, what="it runs")
        first = (await executions(system, job))[0]

        async def passed_by() -> bool:
            fire = await held(system, job)
            return fire is not None and fire.at >= fire_of(first) + timedelta(seconds=3)

        await eventually(passed_by, what="three more fires have passed")
        assert [view.id for view in await executions(system, job)] == [first.id]
        gate.open()
    views = await ended(system, job, 3)
    assert {view.state for view in views} == {ExecutionState.SUCCEEDED}
    assert gate.most_inside == 1


async def test_a_delayed_request_runs_at_its_time_and_once(system: System, tmp_path: Path) -> None:
    await system.up("local")
    diary = tmp_path / "diary"
    schedules = await delayer(system)
    at = datetime.now(UTC) + timedelta(seconds=1)
    later = request(f"echo $RD_JOB_EXECID >> {diary}", id="retry-1")
    for _ in range(2):
        await schedules.delay_request(later, at)
    view = await eventually(lambda: shown(system, "retry-1"), what="it is accepted")
    assert view is not None
    assert view.queued_at is not None
    assert view.queued_at >= at
    assert (await system.end_of("retry-1")).state is ExecutionState.SUCCEEDED
    await schedules.delay_request(later, datetime.now(UTC))
    await eventually(lambda: nothing_left(system), what="the third one is taken, too")
    assert runs_in(diary) == ["retry-1"]


async def test_a_delayed_request_survives_that_nobody_is_there(system: System) -> None:
    system.start_registry()
    alone = await start_alone(system)
    system.start_runner("local", local=True)
    await system.runners_ready("local")
    schedules = await delayer(system)
    await system.stop(alone)
    await schedules.delay_request(request("true", id="later"), datetime.now(UTC) - timedelta(seconds=5))
    await start_alone(system)
    assert await eventually(lambda: shown(system, "later"), what="it is accepted")
    assert (await system.end_of("later")).state is ExecutionState.SUCCEEDED


async def test_a_delayed_request_needs_an_id(system: System) -> None:
    await system.up()
    schedules = await delayer(system)
    await refused_by(ErrorCode.INVALID_MESSAGE, schedules, RunRequest(steps=[]))
    await refused_by(ErrorCode.INVALID_NAME, schedules, RunRequest(id="a.b"))


async def test_an_unknown_zone_of_the_dispatcher_is_an_error_at_its_start(system: System) -> None:
    part = system.start_dispatcher(time_zone="Europe/Berlim")
    system.forget(part)
    assert isinstance(part, TaskPart)
    with pytest.raises(RunbusError, match="Europe/Berlin"):
        await part.ended()


async def refused_by(code: ErrorCode, schedules: Schedules, request_: RunRequest) -> None:
    await refused(code, lambda: schedules.delay_request(request_, datetime.now(UTC)))


async def start_alone(system: System) -> Part:
    """The only dispatcher there is; it answers."""
    part = system.start_dispatcher()
    await system.ready()
    return part


async def is_free(system: System, job: JobDefinition) -> bool:
    return await held(system, job) is None


async def grown(system: System, job: JobDefinition, count: int) -> bool:
    return len(await executions(system, job)) > count


async def shown(system: System, execution: str) -> ExecutionView | None:
    try:
        return await system.show(execution)
    except RunbusError as error:
        assert error.code in (ErrorCode.UNKNOWN_EXECUTION, ErrorCode.UNAVAILABLE), error.message
        return None


async def nothing_due(system: System) -> bool:
    return await system.count(system.subjects.schedules_stream, system.subjects.due_fire("*", "*")) == 0


async def nothing_left(system: System) -> bool:
    return (
        await system.count(system.subjects.schedules_stream) == 0
        and await system.count(system.subjects.requests_stream) == 0
    )
