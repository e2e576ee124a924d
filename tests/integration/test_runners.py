"""Runners as the registry sees them: ids, statuses, graceful stops."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from schemas import catalog
from schemas.api import (
    DrainRequest,
    RunnerCreateRequest,
    RunnerRemoveRequest,
    RunnerShowRequest,
    RunnerTagsRequest,
)
from schemas.errors import ErrorCode, RunbusError
from schemas.states import ExecutionState, RunnerStatus
from tests.support.gate import Gate
from tests.support.parts import ProgramPart, TaskPart
from tests.support.system import System, refused
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

SHORT: dict[str, Any] = {"beat_interval_s": 0.1, "unknown_after_s": 0.5, "down_after_s": 1.5}


async def short_clocks(system: System) -> None:
    system.start_registry(**SHORT)
    system.start_dispatcher()
    await system.ready()


async def test_a_second_live_runner_of_an_id_is_refused(system: System) -> None:
    await system.up("a1:linux")
    instance = (await system.ping("a1")).instance
    second = system.start_runner("a1", "linux")
    assert isinstance(second, TaskPart)
    system.forget(second)
    with pytest.raises(RunbusError) as caught:
        await second.ended()
    assert caught.value.code is ErrorCode.RUNNER_ID_TAKEN
    assert instance in caught.value.message
    assert (await system.ping("a1")).instance == instance
    assert (await system.run("true", "linux")).state is ExecutionState.SUCCEEDED


async def test_a_second_one_ends_with_code_1_and_says_why(system: System) -> None:
    await system.up("a1:linux")
    second = system.start_runner("a1", "linux", program=True)
    assert isinstance(second, ProgramPart)
    system.forget(second)
    assert await second.program.ended() == 1
    assert "runner_id_taken" in second.program.log


async def test_the_id_of_a_killed_runner_is_free_at_once(system: System) -> None:
    await system.up()
    first = system.start_runner("a1", "linux", program=True)
    await system.runners_ready("a1")
    before = (await system.ping("a1")).instance
    await system.kill(first)
    system.start_runner("a1", "linux")
    await eventually(lambda: system.answering("a1"), within_s=5.0, what="the new one answers")
    assert (await system.ping("a1")).instance != before
    await system.runners_ready("a1")
    assert (await system.run("true", "linux")).runner == "a1"


async def test_of_several_that_start_at_the_same_moment_one_gets_the_id(system: System) -> None:
    await system.up()
    parts = [system.start_runner("a1", "linux") for _ in range(5)]

    def refusals() -> list[TaskPart]:
        return [part for part in parts if isinstance(part, TaskPart) and part.task.done()]

    await eventually(lambda: len(refusals()) == 4, within_s=10.0, what="all but one have ended")
    for part in refusals():
        system.forget(part)
        with pytest.raises(RunbusError) as caught:
            await part.ended()
        assert caught.value.code is ErrorCode.RUNNER_ID_TAKEN
    await system.runners_ready("a1")
    assert (await system.run("true", "linux")).state is ExecutionState.SUCCEEDED


async def test_one_that_stands_still_for_a_moment_has_its_id(system: System) -> None:
    await system.up()
    first = system.start_runner("a1", "linux", program=True)
    assert isinstance(first, ProgramPart)
    await system.runners_ready("a1")
    first.program.signal(signal.SIGSTOP)
    second = system.start_runner("a1", "linux")
    assert isinstance(second, TaskPart)
    system.forget(second)
    with pytest.raises(RunbusError) as caught:
        await second.ended()
    assert caught.value.code is ErrorCode.RUNNER_ID_TAKEN
    first.program.signal(signal.SIGCONT)
    await system.runners_ready("a1")


async def test_one_that_stands_still_has_its_id_until_it_is_down(system: System) -> None:
    await short_clocks(system)
    first = system.start_runner("a1", "linux", program=True)
    assert isinstance(first, ProgramPart)
    await system.runners_ready("a1")
    first.program.signal(signal.SIGSTOP)
    await system.runner_is("a1", RunnerStatus.DOWN)
    system.start_runner("a1", "linux")
    await system.runner_is("a1", RunnerStatus.HEALTHY)
    system.forget(first)
    await first.program.kill()


async def test_new_then_healthy_then_unhealthy_then_healthy(system: System, tmp_path: Path) -> None:
    await short_clocks(system)
    await system.client.call(catalog.RUNNER_CREATE, RunnerCreateRequest(runner="a1", tags=["linux"]))
    await system.runner_is("a1", RunnerStatus.NEW)
    system.start_runner("a1", "", max_running=1)
    view = await system.runner_is("a1", RunnerStatus.HEALTHY)
    assert view.tags == ["linux"]
    with Gate(tmp_path) as gate:
        started = await system.start(gate.command, "linux")
        view = await system.runner_is("a1", RunnerStatus.UNHEALTHY)
        assert (view.running, view.max_running) == (1, 1)
        gate.open()
    await system.end_of(started.id)
    await system.runner_is("a1", RunnerStatus.HEALTHY)


async def test_a_silent_runner_is_unknown_then_down_and_back_when_it_beats(system: System) -> None:
    await short_clocks(system)
    part = system.start_runner("a1", "linux", program=True)
    assert isinstance(part, ProgramPart)
    await system.runners_ready("a1")
    part.program.signal(signal.SIGSTOP)
    await system.runner_is("a1", RunnerStatus.UNKNOWN)
    error = await refused(ErrorCode.NO_RUNNER, lambda: system.run("true", "linux"))
    assert "a1 is Unknown" in error.message
    await system.runner_is("a1", RunnerStatus.DOWN)
    part.program.signal(signal.SIGCONT)
    await system.runner_is("a1", RunnerStatus.HEALTHY)
    assert (await system.run("true", "linux")).state is ExecutionState.SUCCEEDED


async def test_a_graceful_stop_is_down_at_once(system: System) -> None:
    await system.up()
    part = system.start_runner("a1", "linux", program=True)
    await system.runners_ready("a1")
    assert await system.stop(part) == 0
    await system.runner_is("a1", RunnerStatus.DOWN, within_s=2.0)
    error = await refused(ErrorCode.NO_RUNNER, lambda: system.run("true", "linux"))
    assert "a1 is Down" in error.message


@pytest.mark.parametrize("by", ["signal", "drain"])
async def test_a_draining_runner_finishes_what_runs_and_takes_nothing_new(
    system: System, tmp_path: Path, by: str
) -> None:
    await system.up("b1:linux,other")
    part = system.start_runner("a1", "linux", program=True)
    assert isinstance(part, ProgramPart)
    await system.runners_ready("a1")
    with Gate(tmp_path) as gate:
        started = [await system.start(gate.command, "linux") for _ in range(8)]
        await eventually(lambda: len(gate.inside) == 8, what="all run")
        mine = [each.id for each in started if (await system.show(each.id)).runner == "a1"]
        assert mine
        system.forget(part)
        if by == "signal":
            part.program.signal(signal.SIGTERM)
        else:
            assert (await system.client.call(catalog.DRAIN, DrainRequest(), runner="a1")).found
        await eventually(lambda: drained(system, "a1"), what="it has let go of its sets")
        fresh = [await system.run("true", "linux") for _ in range(8)]
        assert {view.runner for view in fresh} == {"b1"}
        assert part.program.exit_code is None
        gate.open()
        assert await part.program.ended() == 0
    ended = [await system.end_of(each) for each in mine]
    assert {(view.state, view.runner) for view in ended} == {(ExecutionState.SUCCEEDED, "a1")}
    await system.runner_is("a1", RunnerStatus.DOWN, within_s=2.0)


async def drained(system: System, runner: str) -> bool:
    return (await system.ping(runner)).bound_sets == []


async def test_what_outlasts_the_drain_is_aborted(system: System, tmp_path: Path) -> None:
    await system.up()
    part = system.start_runner("a1", "linux", drain_s=0.2)
    await system.runners_ready("a1")
    with Gate(tmp_path) as gate:
        started = await system.start(gate.command, "linux")
        await eventually(lambda: gate.inside, what="it runs")
        assert await system.stop(part) == 0
    ended = await system.end_of(started.id)
    assert ended.state is ExecutionState.ABORTED
    assert ended.error is not None
    assert "a1 was stopped" in ended.error.message


async def test_a_second_signal_ends_a_draining_runner_at_once(system: System, tmp_path: Path) -> None:
    await system.up()
    part = system.start_runner("a1", "linux", program=True)
    assert isinstance(part, ProgramPart)
    await system.runners_ready("a1")
    with Gate(tmp_path) as gate:
        await system.start(gate.command, "linux")
        await eventually(lambda: gate.inside, what="it runs")
        system.forget(part)
        part.program.signal(signal.SIGTERM)
        await eventually(lambda: '"draining"' in part.program.log, what="it drains")
        part.program.signal(signal.SIGTERM)
        assert await part.program.ended() == 130


async def test_a_connected_runner_is_not_removed_and_a_stopped_one_is(system: System) -> None:
    await system.up()
    part = system.start_runner("a1", "linux")
    await system.runners_ready("a1")
    remove = RunnerRemoveRequest(runner="a1")
    error = await refused(ErrorCode.RUNNER_CONNECTED, lambda: system.client.call(catalog.RUNNER_REMOVE, remove))
    assert "'runbus runner drain a1'" in error.message
    await system.stop(part)
    await system.runner_is("a1", RunnerStatus.DOWN)
    await system.client.call(catalog.RUNNER_REMOVE, remove)
    await refused(
        ErrorCode.UNKNOWN_RUNNER, lambda: system.client.call(catalog.RUNNER_SHOW, RunnerShowRequest(runner="a1"))
    )
    await refused(ErrorCode.UNKNOWN_RUNNER, lambda: system.client.call(catalog.RUNNER_REMOVE, remove))


async def test_tags_of_an_unknown_runner_are_refused_with_the_number_of_those_known(system: System) -> None:
    await system.up()
    tags = RunnerTagsRequest(runner="nix", add=["x"])
    none = await refused(ErrorCode.UNKNOWN_RUNNER, lambda: system.client.call(catalog.RUNNER_TAGS, tags))
    assert "No runner is known yet: 'runbus runner start --id ID' starts one." in none.message
    for count in (1, 2):
        await system.client.call(catalog.RUNNER_CREATE, RunnerCreateRequest(runner=f"a{count}", tags=[]))
        some = await refused(ErrorCode.UNKNOWN_RUNNER, lambda: system.client.call(catalog.RUNNER_TAGS, tags))
        assert f"'runbus runner list' shows the {count} that {'is' if count == 1 else 'are'} known." in some.message


async def test_a_runner_is_created_once(system: System) -> None:
    await system.up()
    create = RunnerCreateRequest(runner="a1", tags=["linux"])
    results = await asyncio.gather(
        *(system.client.call(catalog.RUNNER_CREATE, create) for _ in range(5)), return_exceptions=True
    )
    refusals = [each for each in results if isinstance(each, RunbusError)]
    assert len(refusals) == 4
    assert {each.code for each in refusals} == {ErrorCode.ALREADY_EXISTS}


async def test_a_runner_of_a_project_that_is_not_there_says_so(system: System) -> None:
    await system.up()
    part = system.start_runner("a1", "linux", runner_projects="none")
    assert isinstance(part, TaskPart)
    system.forget(part)
    with pytest.raises(RunbusError) as caught:
        await part.ended()
    assert caught.value.code is ErrorCode.UNKNOWN_PROJECT


async def test_a_restarted_registry_knows_its_runners_at_once(system: System) -> None:
    registry = system.start_registry()
    system.start_dispatcher()
    await system.ready()
    system.start_runner("a1", "linux")
    await system.runners_ready("a1")
    await system.stop(registry)
    system.start_registry()
    await system.ready()
    await system.runner_is("a1", RunnerStatus.HEALTHY, within_s=3.0)
