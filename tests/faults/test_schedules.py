"""Schedules while parts die: no fire is run twice, none is lost, and one that was missed is said to be."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from bus.schedules import HeldMessages
from bus.server import EmbeddedServer
from schemas.codec import decode, encode
from schemas.errors import ErrorCode
from schemas.jobs import JobDefinition
from schemas.schedules import Fire
from schemas.states import FINAL, ExecutionState
from tests.support.parts import ProgramPart
from tests.support.schedules import (
    EVERY_SECOND,
    RARELY,
    assert_every_second,
    ended,
    executions,
    fire_of,
    held,
    is_held,
    runs_in,
    scheduled_job,
    store,
)
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


def diary_job(directory: Path) -> tuple[JobDefinition, Path]:
    """A job that writes itself down every second."""
    diary = directory / "diary"
    return scheduled_job(EVERY_SECOND, command=f"echo $RD_JOB_EXECID >> {diary}"), diary


async def serving(part: object) -> None:
    assert isinstance(part, ProgramPart)
    await eventually(lambda: '"ready"' in part.program.log, what="it serves")


async def test_one_of_two_dispatchers_is_killed(system: System, tmp_path: Path) -> None:
    system.start_registry()
    first = system.start_dispatcher(program=True, ack_wait_s=1.0)
    await serving(first)
    system.start_dispatcher(ack_wait_s=1.0)
    await system.ready()
    system.start_runner("local", local=True)
    await system.runners_ready("local")
    job, diary = diary_job(tmp_path)
    await store(system, job)
    await ended(system, job, 2)
    await system.kill(first)
    before = len(await executions(system, job))
    views = await ended(system, job, before + 4)
    assert_every_second(views)
    assert {view.state for view in views} == {ExecutionState.SUCCEEDED}
    assert len(runs_in(diary)) == len(set(runs_in(diary)))


@pytest.mark.parametrize("how", ["gracefully", "killed"])
async def test_the_server_is_started_again(
    server: EmbeddedServer, own_system: System, tmp_path: Path, how: str
) -> None:
    system = await own_system.up("local")
    system.start_dispatcher()
    job, diary = diary_job(tmp_path)
    await store(system, job)
    await ended(system, job, 2)
    if how == "killed":
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await server.ended()
    await server.stop()
    await server.start()
    await eventually(lambda: system.bus.client.is_connected, what="the client is connected again")
    await system.ready()
    before = len(await executions(system, job))
    views = await ended(system, job, before + 4, within_s=40.0)
    assert_every_second(views)
    assert {view.state for view in views} == {ExecutionState.SUCCEEDED}, "what was late was within the grace"
    assert len(runs_in(diary)) == len(set(runs_in(diary)))


async def test_what_was_missed_while_no_dispatcher_ran_is_recorded(system: System, tmp_path: Path) -> None:
    system.start_registry()
    first = system.start_dispatcher(schedule_grace_s=2.0)
    await system.ready()
    system.start_runner("local", local=True)
    await system.runners_ready("local")
    job, diary = diary_job(tmp_path)
    await store(system, job)
    await ended(system, job, 1)
    await system.stop(first)
    waiting = await eventually(lambda: due_of(system, job), what="a fire is due, and nobody takes it")
    assert waiting is not None
    await older(system, job, waiting)
    system.start_dispatcher(schedule_grace_s=2.0)
    await system.ready()

    async def went_on() -> bool:
        return any(fire_of(view) > waiting.at and view.state in FINAL for view in await executions(system, job))

    await eventually(went_on, what="it goes on")
    missed = [view for view in await executions(system, job) if view.state is ExecutionState.MISSED]
    first_fire = waiting.at - timedelta(seconds=3600)
    assert [fire_of(view) for view in missed] == [first_fire + timedelta(seconds=number) for number in range(11)]
    errors = [view.error for view in missed if view.error is not None]
    assert {error.code for error in errors} == {ErrorCode.MISSED}
    assert f"{first_fire:%Y-%m-%d %H:%M:%S} UTC" in errors[0].message
    assert [error.details["more"] for error in errors[:10]] == [0] * 10
    assert errors[10].details["more"] == 999
    assert not {view.id for view in missed} & set(runs_in(diary)), "what was missed was not run"
    assert len(runs_in(diary)) == len(set(runs_in(diary)))


async def test_fires_within_the_grace_are_run_late(system: System, tmp_path: Path) -> None:
    system.start_registry()
    first = system.start_dispatcher()
    await system.ready()
    system.start_runner("local", local=True)
    await system.runners_ready("local")
    job, diary = diary_job(tmp_path)
    await store(system, job)
    before = len(await ended(system, job, 1))
    await system.stop(first)
    await eventually(lambda: due_of(system, job), what="a fire is due, and nobody takes it")
    system.start_dispatcher()
    await system.ready()
    views = await ended(system, job, before + 4)
    assert_every_second(views)
    assert {view.state for view in views} == {ExecutionState.SUCCEEDED}
    assert len(runs_in(diary)) == len(set(runs_in(diary)))


async def test_a_fire_delivered_again_after_its_next_was_held_changes_nothing(system: System, tmp_path: Path) -> None:
    """What a dispatcher leaves that dies right before it acknowledges."""
    await system.up("local")
    job, diary = diary_job(tmp_path)
    await store(system, job)
    views = await ended(system, job, 2)
    fire = await eventually(lambda: held(system, job), what="one is held")
    assert fire is not None
    again = Fire(project="default", job=job.uuid, at=fire_of(views[0]), digest=fire.digest)
    await system.bus.append(system.subjects.due_fire("default", job.uuid), encode(again))
    assert_every_second(await ended(system, job, len(views) + 3))
    assert len(runs_in(diary)) == len(set(runs_in(diary)))


async def test_a_lost_held_fire_is_made_anew_by_whoever_starts(system: System) -> None:
    await system.up()
    job = await store(system, scheduled_job(RARELY))
    await is_held(system, job)
    await system.bus.purge(system.subjects.schedules_stream, system.subjects.job_schedule("*", "*"))
    system.start_dispatcher()
    await is_held(system, job)


async def due_of(system: System, job: JobDefinition) -> Fire | None:
    stored = await HeldMessages(system.bus, system.subjects.schedules_stream).last(
        system.subjects.due_fire(job.project, job.uuid)
    )
    return decode(stored.data, Fire) if stored is not None else None


async def older(system: System, job: JobDefinition, waiting: Fire) -> None:
    """Put one in its place that waits since an hour ago."""
    subject = system.subjects.due_fire(job.project, job.uuid)
    await system.bus.purge(system.subjects.schedules_stream, subject)
    fire = Fire(project=job.project, job=job.uuid, at=waiting.at - timedelta(hours=1), digest=waiting.digest)
    await system.bus.append(subject, encode(fire))
