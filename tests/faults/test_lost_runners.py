"""Runners that die, freeze or are doubled: nothing is run twice, and every execution ends."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from schemas import catalog
from schemas.api import AbortRequest
from schemas.codec import encode
from schemas.errors import ErrorCode
from schemas.events import Assignment
from schemas.jobs import Step
from schemas.states import ExecutionState, RunnerStatus
from schemas.tokens import TagSet
from services.runner import assignment as life
from tests.support.gate import Gate
from tests.support.parts import ProgramPart
from tests.support.plugins import plugin_path
from tests.support.processes import alive
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

SHORT: dict[str, Any] = {"beat_interval_s": 0.1, "unknown_after_s": 0.5, "down_after_s": 1.5}
STARTED = "runbus.assignment_started.v1"
FINISHED = "runbus.assignment_finished.v1"


async def with_short_clocks(system: System, **dispatcher: Any) -> None:
    system.start_registry(**SHORT)
    system.start_dispatcher(**dispatcher)
    await system.ready()


async def runner_program(system: System, name: str, tags: str = "linux", **settings: object) -> ProgramPart:
    part = system.start_runner(name, tags, program=True, **settings)  # type: ignore[arg-type]
    assert isinstance(part, ProgramPart)
    await system.runners_ready(name)
    return part


async def starts_of(system: System, execution: str) -> int:
    return [name for _, name in await system.events(execution)].count(STARTED)


async def test_the_same_assignment_published_many_times_is_started_once(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "_LOSER_DELAY_S", 0.2)
    system.start_registry()
    system.start_dispatcher(ack_wait_s=1.0)
    await system.ready()
    for name in ("a1", "b1"):
        system.start_runner(name, "linux", ack_wait_s=1.0)
    await system.runners_ready("a1", "b1")
    diary = tmp_path / "diary"
    await system.run("true", "linux")
    assignment = Assignment(
        execution="twin", assignment="1", project="default", attempt=1, title="x",
        steps=[Step(plugin="command", config={"command": f"echo x >> {diary}"})],
    )  # fmt: skip
    subject = system.subjects.job("default", TagSet(["linux"]), "twin", "1")
    for _ in range(10):
        await system.bus.append(subject, encode(assignment))
    ended = await eventually(lambda: system.end_of("twin"), what="it is known and ends")
    assert ended.state is ExecutionState.SUCCEEDED

    async def done_with() -> bool:
        return await system.count(system.subjects.jobs_stream) == 0

    await eventually(done_with, within_s=15.0, what="every copy has left the stream")
    assert diary.read_text() == "x\n"
    assert await starts_of(system, "twin") == 1


async def test_a_lease_that_runs_out_starts_nothing_while_the_first_still_runs(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner believes in a long lease and does not renew the short one that the dispatcher gave."""
    monkeypatch.setattr(life, "_LOSER_DELAY_S", 0.2)
    system.start_registry()
    system.start_dispatcher(ack_wait_s=0.5)
    await system.ready()
    for name in ("a1", "b1"):
        system.start_runner(name, "linux", ack_wait_s=60.0)
    await system.runners_ready("a1", "b1")
    consumer = system.subjects.set_consumer("default", TagSet(["linux"]))

    async def deliveries() -> int:
        info = await system.bus.js.consumer_info(system.subjects.jobs_stream, consumer)
        return info.delivered.consumer_seq if info.delivered else 0

    with Gate(tmp_path) as gate:
        started = await system.start(gate.command, "linux")
        await eventually(lambda: gate.inside, what="it runs")

        async def three_times() -> bool:
            return await deliveries() >= 3

        await eventually(three_times, what="it was delivered three times")
        assert gate.entered == 1
        gate.open()
        ended = await system.end_of(started.id)
    assert (ended.state, ended.attempt) == (ExecutionState.SUCCEEDED, 1)
    assert gate.entered == 1
    assert await starts_of(system, started.id) == 1


@pytest.mark.slow
async def test_a_job_longer_than_its_lease_keeps_it(system: System, tmp_path: Path) -> None:
    system.start_registry()
    system.start_dispatcher(ack_wait_s=0.6)
    await system.ready()
    for name in ("a1", "b1"):
        system.start_runner(name, "linux", ack_wait_s=0.6)
    await system.runners_ready("a1", "b1")
    with Gate(tmp_path) as gate:
        started = await system.start(f"sleep 1.5; {gate.command}", "linux")
        await eventually(lambda: gate.inside, what="it runs")
        consumer = system.subjects.set_consumer("default", TagSet(["linux"]))
        info = await system.bus.js.consumer_info(system.subjects.jobs_stream, consumer)
        assert info.num_redelivered == 0
        gate.open()
        assert (await system.end_of(started.id)).state is ExecutionState.SUCCEEDED


@pytest.mark.slow
@pytest.mark.parametrize("restarted", [True, False])
async def test_a_runner_killed_between_claim_and_spawn_is_lost_and_never_run_twice(
    system: System, tmp_path: Path, restarted: bool
) -> None:
    await with_short_clocks(system, ack_wait_s=1.0)
    env = {"PYTHONPATH": plugin_path(tmp_path / "plugin")}
    part = await runner_program(system, "a1", env=env)
    diary = tmp_path / "diary"
    system.forget(part)
    started = await system.start([Step(plugin="kill-runner", config={"diary": str(diary)})], "linux")
    assert await part.program.ended() == -signal.SIGKILL
    if restarted:
        await runner_program(system, "a1", env=env)
    ended = await system.end_of(started.id)
    assert (ended.state, ended.runner, ended.attempt) == (ExecutionState.LOST, "a1", 1)
    assert ended.error is not None
    assert ended.error.code is ErrorCode.RUNNER_LOST
    assert ("restarted" if restarted else "went down") in ended.error.message

    async def done_with() -> bool:
        return await system.count(system.subjects.jobs_stream) == 0

    await eventually(done_with, what="the assignment has left the stream")
    assert diary.read_text().split() == [started.id]
    assert await starts_of(system, started.id) == 1
    if restarted:
        assert (await system.run("true", "linux")).runner == "a1"


@pytest.mark.slow
async def test_a_runner_killed_while_a_job_runs_is_lost_when_it_is_down(system: System, tmp_path: Path) -> None:
    await with_short_clocks(system)
    part = await runner_program(system, "a1")
    with Gate(tmp_path) as gate:
        started = await system.start(f"echo before; {gate.command}", "linux")
        await eventually(lambda: gate.inside, what="it runs")

        async def is_kept() -> bool:
            return await system.output(started.id) == b"before\n"

        await eventually(is_kept, what="what it said has reached the bus")
        await system.kill(part)
        ended = await system.end_of(started.id)
        assert ended.state is ExecutionState.LOST
        assert await is_kept(), "what was said before is kept"


@pytest.mark.slow
async def test_another_runner_does_not_run_it_again(system: System, tmp_path: Path) -> None:
    await with_short_clocks(system, ack_wait_s=0.5)
    part = await runner_program(system, "a1")
    with Gate(tmp_path) as gate:
        started = await system.start(gate.command, "linux")
        await eventually(lambda: gate.inside, what="it runs")
        system.start_runner("b1", "linux")
        await system.runners_ready("b1")
        await system.kill(part)
        assert (await system.end_of(started.id)).state is ExecutionState.LOST
        assert gate.entered == 1
    assert (await system.run("true", "linux")).runner == "b1"


@pytest.mark.slow
async def test_a_frozen_runner_is_fenced_off(system: System, tmp_path: Path) -> None:
    """Ended as lost while it was frozen; thawed, it reports its end, and that changes nothing."""
    await with_short_clocks(system)
    part = await runner_program(system, "a1")
    with Gate(tmp_path) as gate:
        started = await system.start(gate.command, "linux")
        await eventually(lambda: gate.inside, what="it runs")
        part.program.signal(signal.SIGSTOP)
        ended = await system.end_of(started.id)
        assert ended.state is ExecutionState.LOST
        gate.open()
        part.program.signal(signal.SIGCONT)
        await eventually(lambda: "assignment.superseded" in part.program.log, what="its end is refused")
    assert await system.show(started.id) == ended
    assert [each for each in await system.events(started.id) if each[1] == FINISHED] == [("dispatcher", FINISHED)]
    await system.runner_is("a1", RunnerStatus.HEALTHY)
    assert (await system.run("true", "linux")).state is ExecutionState.SUCCEEDED


@pytest.mark.slow
async def test_a_frozen_runner_keeps_its_claim_while_another_of_the_set_is_given_the_lease(
    system: System, tmp_path: Path
) -> None:
    """Its lease runs out again and again; nobody starts the job a second time, and thawed it goes on."""
    system.start_registry()
    system.start_dispatcher(ack_wait_s=0.5)
    await system.ready()
    frozen = await runner_program(system, "a1", ack_wait_s=0.5)
    with Gate(tmp_path) as gate:
        started = await system.start(gate.command, "linux")
        await eventually(lambda: gate.inside, what="it runs")
        other = await runner_program(system, "b1", ack_wait_s=0.5)
        frozen.program.signal(signal.SIGSTOP)
        await eventually(lambda: '"claim.lost"' in other.program.log, what="the other is given it, and refused")
        assert gate.entered == 1
        assert (await system.show(started.id)).state is ExecutionState.RUNNING
        frozen.program.signal(signal.SIGCONT)
        gate.open()
        ended = await system.end_of(started.id)
    assert (ended.state, ended.runner, ended.attempt) == (ExecutionState.SUCCEEDED, "a1", 1)
    assert gate.entered == 1
    assert await starts_of(system, started.id) == 1


@pytest.mark.slow
async def test_an_abort_of_a_frozen_runner_ends_the_execution_and_later_the_process(
    system: System, tmp_path: Path
) -> None:
    system.start_registry()
    system.start_dispatcher()
    await system.ready()
    part = await runner_program(system, "a1")
    with Gate(tmp_path) as gate:
        started = await system.start(gate.command, "linux")
        (pid,) = (await eventually(lambda: gate.inside, what="it runs")).values()
        part.program.signal(signal.SIGSTOP)
        ask = AbortRequest(execution=started.id, user="alice", wait_s=10.0)
        ended = await system.client.call(catalog.ABORT, ask, timeout_s=20.0)
        assert ended.state is ExecutionState.ABORTED
        assert ended.error is not None
        assert "did not answer" in ended.error.message
        part.program.signal(signal.SIGCONT)
        await eventually(lambda: not alive(pid), what="the process is ended by what was asked meanwhile")
    await eventually(lambda: "assignment.superseded" in part.program.log, what="the end that it reports is refused")
    assert await system.show(started.id) == ended
    assert [each for each in await system.events(started.id) if each[1] == FINISHED] == [("dispatcher", FINISHED)]
