"""A killed runner's processes: its next run ends them before anybody calls their executions lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from schemas.errors import ErrorCode
from schemas.states import ExecutionState, RunnerStatus
from tests.support.gate import Gate
from tests.support.parts import ProgramPart
from tests.support.processes import alive
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


async def runner(system: System) -> ProgramPart:
    part = system.start_runner("a1", "linux", program=True, grace_s=0.5)
    assert isinstance(part, ProgramPart)
    await system.runners_ready("a1")
    return part


@pytest.fixture
async def killed(system: System) -> ProgramPart:
    """To be killed by the test."""
    await system.up()
    return await runner(system)


def running(path: Path) -> list[int]:
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


@pytest.mark.parametrize("heeds", [True, False])
async def test_what_still_runs_is_ended_before_the_loss_is_told(
    system: System, killed: ProgramPart, tmp_path: Path, heeds: bool
) -> None:
    """Shell and grandchild, which print nothing and so would not notice that nobody listens."""
    pids = tmp_path / "pids"
    ignore = "" if heeds else "trap '' TERM; "
    loop = f"{ignore}echo $$ >> {pids}; while :; do sleep 0.05; done"
    (tmp_path / "inner").write_text(loop)
    started = await system.start(f"sh {tmp_path}/inner & {loop}", "linux")
    await eventually(lambda: len(running(pids)) == 2, what="both run")
    await system.kill(killed)
    assert all(map(alive, running(pids))), "nothing else ends them"
    await runner(system)
    ended = await system.end_of(started.id)
    assert not any(map(alive, running(pids))), "lost, and nothing of it runs"
    assert (ended.state, ended.runner) == (ExecutionState.LOST, "a1")
    assert ended.error is not None
    assert ended.error.code is ErrorCode.RUNNER_LOST
    assert "was restarted" in ended.error.message
    how = "ended them (SIGTERM)" if heeds else "killed them (SIGKILL)"
    assert f"still running, and the runner {how}" in ended.error.message
    await system.runner_is("a1", RunnerStatus.HEALTHY)
    assert (await system.run("true", "linux")).state is ExecutionState.SUCCEEDED


async def test_what_had_ended_by_itself_is_said_to_be_gone(
    system: System, killed: ProgramPart, tmp_path: Path
) -> None:
    with Gate(tmp_path) as gate:
        started = await system.start(gate.command, "linux")
        (pid,) = (await eventually(lambda: gate.inside, what="it runs")).values()
        await system.kill(killed)
        gate.open()
        await eventually(lambda: not alive(pid), what="it has ended")
    await runner(system)
    ended = await system.end_of(started.id)
    assert ended.state is ExecutionState.LOST
    assert ended.error is not None
    assert "gone when the runner was back" in ended.error.message
    assert ended.duration_s is not None
    assert ended.duration_s > 0


async def test_a_daemon_of_a_job_that_had_ended_well_is_left_alone(
    system: System, killed: ProgramPart, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    ended = await system.run(f"sleep 100 >/dev/null 2>&1 & echo $! > {pids}", "linux")
    assert ended.state is ExecutionState.SUCCEEDED
    (daemon,) = running(pids)
    with Gate(tmp_path) as gate:
        started = await system.start(gate.command, "linux")
        await eventually(lambda: gate.inside, what="another job runs")
        await system.kill(killed)
        await runner(system)
    assert (await system.end_of(started.id)).state is ExecutionState.LOST
    assert alive(daemon)
    os.kill(daemon, signal.SIGKILL)


async def test_a_second_runner_of_the_same_id_ends_nothing_of_the_first(
    system: System, killed: ProgramPart, tmp_path: Path
) -> None:
    """It is refused by the registry, and until then it must not touch what the first one runs."""
    with Gate(tmp_path) as gate:
        started = await system.start(gate.command, "linux")
        (pid,) = (await eventually(lambda: gate.inside, what="it runs")).values()
        second = system.start_runner("a1", "linux", program=True, grace_s=0.5)
        assert isinstance(second, ProgramPart)
        system.forget(second)
        assert await second.program.ended() == 1
        assert alive(pid)
        gate.open()
        assert (await system.end_of(started.id)).state is ExecutionState.SUCCEEDED
    assert killed.program.exit_code is None


async def test_a_runner_that_leaves_in_order_leaves_no_file(system: System, killed: ProgramPart) -> None:
    await system.run("true", "linux")
    assert list(system.directory.glob("*.groups"))
    await system.stop(killed)
    assert not list(system.directory.glob("*.groups"))
