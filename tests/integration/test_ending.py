"""Ends that somebody or some clock brings about: abort, timeout, deadline."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas import catalog
from schemas.api import AbortRequest, ExecutionView
from schemas.errors import ErrorCode
from schemas.states import ExecutionState
from tests.support.gate import Gate
from tests.support.processes import alive
from tests.support.system import System, refused
from tests.support.waiting import eventually


@pytest.fixture
async def a1(system: System) -> System:
    return await system.up("a1:linux", max_running=1)


async def abort(system: System, execution: str) -> ExecutionView:
    return await system.client.call(
        catalog.ABORT, AbortRequest(execution=execution, user="alice", reason="no more", wait_s=10.0), timeout_s=15.0
    )


async def test_abort_ends_what_runs_and_says_who_and_why(a1: System, tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        started = await a1.start(gate.command, "linux")
        (pid,) = (await eventually(lambda: gate.inside, what="the job runs")).values()
        ended = await abort(a1, started.id)
        assert not alive(pid)
    assert (ended.state, ended.abort_requested_by) == (ExecutionState.ABORTED, "alice")
    assert ended.error is not None
    assert ended.error.code is ErrorCode.ABORTED
    assert "alice: no more" in ended.error.message
    assert (ended.signal, ended.exit_code) == ("SIGTERM", None)
    assert [(each.state, each.signal) for each in ended.outcomes] == [(ExecutionState.ABORTED, "SIGTERM")]


async def test_abort_of_what_is_queued_never_starts_it(a1: System, tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        running = await a1.start(gate.command, "linux")
        await eventually(lambda: gate.inside, what="the slot is taken")
        queued = await a1.start(f"touch {tmp_path}/never", "linux")
        ended = await abort(a1, queued.id)
        assert (ended.state, ended.runner, ended.started_at) == (ExecutionState.ABORTED, "", None)
        assert await a1.count(a1.subjects.jobs_stream) == 1
        gate.open()
        assert (await a1.end_of(running.id)).state is ExecutionState.SUCCEEDED
    assert (await a1.run("true", "linux")).state is ExecutionState.SUCCEEDED
    assert not (tmp_path / "never").exists()


@pytest.mark.slow
async def test_grandchildren_die_on_abort(a1: System, tmp_path: Path) -> None:
    """One that ignores SIGTERM, in the background of a shell in the background."""
    pids = tmp_path / "pids"
    inner = f"trap '' TERM; echo $$ >> {pids}; while :; do sleep 0.05; done"
    started = await a1.start(
        f'(sh -c "{inner.replace("$", chr(92) + "$")}" &) ; echo $$ >> {pids}; sleep 60', "linux"
    )
    found = await eventually(
        lambda: pids.exists() and len(pids.read_text().split()) == 2 and list(map(int, pids.read_text().split())),
        what="both processes run",
    )
    assert isinstance(found, list)
    ended = await abort(a1, started.id)
    assert ended.state is ExecutionState.ABORTED
    assert not [pid for pid in found if alive(pid)]
    assert ended.signal == "SIGTERM", "that of the step's own process"


@pytest.mark.slow
async def test_an_abort_that_needs_sigkill_says_so(a1: System, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    started = await a1.start(f"trap '' TERM; touch {ready}; while :; do sleep 0.02; done", "linux")
    await eventually(ready.exists, what="the trap is set")
    ended = await abort(a1, started.id)
    assert (ended.state, ended.signal, ended.exit_code) == (ExecutionState.ABORTED, "SIGKILL", None)


async def test_abort_of_what_has_ended_is_refused(a1: System) -> None:
    ended = await a1.run("true", "linux")
    error = await refused(ErrorCode.ALREADY_ENDED, lambda: abort(a1, ended.id))
    assert error.details["state"] == "succeeded"


async def test_abort_of_what_is_not_there_is_refused(a1: System) -> None:
    await refused(ErrorCode.UNKNOWN_EXECUTION, lambda: abort(a1, "nothing"))


async def test_a_job_that_ends_well_on_sigterm_is_aborted_all_the_same(a1: System, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    command = f"trap 'echo bye; exit 0' TERM; touch {ready}; while :; do sleep 0.02; done"
    started = await a1.start(command, "linux")
    await eventually(ready.exists, what="the trap is set")
    ended = await abort(a1, started.id)
    assert (ended.state, ended.exit_code, ended.signal) == (ExecutionState.ABORTED, 0, None)
    assert await a1.output(started.id) == b"bye\n"


async def test_a_job_that_runs_longer_than_its_limit_is_timed_out(a1: System) -> None:
    ended = await a1.run("echo before; sleep 60", "linux", timeout_s=0.3)
    assert ended.state is ExecutionState.TIMEDOUT
    assert ended.error is not None
    assert ended.error.code is ErrorCode.TIMEOUT
    assert "0.3 s" in ended.error.message
    assert (ended.signal, ended.outcomes[0].signal) == ("SIGTERM", "SIGTERM")
    assert ended.duration_s is not None
    assert 0.3 <= ended.duration_s < 5.0
    assert await a1.output(ended.id) == b"before\n"


async def test_the_deadline_passes_while_queued_and_the_text_says_why(a1: System) -> None:
    queued = await a1.start("true", "windows", when_no_runner="wait", deadline_s=0.3)
    ended = await a1.end_of(queued.id)
    assert ended.state is ExecutionState.TIMEDOUT
    assert ended.error is not None
    assert ended.error.code is ErrorCode.DEADLINE_EXCEEDED
    assert "while queued" in ended.error.message
    assert "bears windows" in ended.error.message
    assert await a1.count(a1.subjects.jobs_stream) == 0


async def test_the_deadline_passes_while_every_runner_is_full(a1: System, tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        await a1.start(gate.command, "linux")
        await eventually(lambda: gate.inside, what="the slot is taken")
        ended = await a1.run("true", "linux", deadline_s=0.3)
    assert ended.state is ExecutionState.TIMEDOUT
    assert ended.error is not None
    assert "while queued" in ended.error.message


@pytest.mark.slow
async def test_the_deadline_passes_while_it_runs(a1: System, tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        started = await a1.start(gate.command, "linux", deadline_s=1.0)
        (pid,) = (await eventually(lambda: gate.inside, what="the job runs")).values()
        ended = await a1.end_of(started.id)
        assert not alive(pid)
    assert (ended.state, ended.runner) == (ExecutionState.TIMEDOUT, "a1")
    assert ended.error is not None
    assert ended.error.code is ErrorCode.DEADLINE_EXCEEDED
    assert "while it ran" in ended.error.message
    assert ended.signal == "SIGTERM"
