"""Which runner gets a job: tag sets are ANDed, no selection is the Local Runner, tags change at run time."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from schemas import catalog
from schemas.api import MatchRequest, ProjectRequest, RunnerTagsRequest
from schemas.errors import ErrorCode
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.states import ExecutionState
from tests.support.gate import Gate
from tests.support.system import System, refused, request
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


async def test_a_job_for_two_tags_runs_only_where_both_are_borne(system: System) -> None:
    await system.up("both:linux,dev", "more:linux,dev,gpu", "one:linux", "other:dev")
    ran = Counter([(await system.run("true", "linux+dev")).runner for _ in range(12)])
    assert set(ran) <= {"both", "more"}
    assert (await system.ping("one")).bound_sets == []


async def test_a_runner_with_one_of_the_tags_never_gets_it_though_nobody_else_is_there(system: System) -> None:
    await system.up("one:linux", "other:dev")
    queued = await system.start("true", "linux+dev", when_no_runner="wait", deadline_s=0.5)
    ended = await system.end_of(queued.id)
    assert (ended.state, ended.runner) == (ExecutionState.TIMEDOUT, "")


@pytest.mark.parametrize("selector", [None, RunnerSelector(mode=SelectorMode.LOCAL)])
async def test_without_selection_the_local_runner_runs_it(system: System, selector: RunnerSelector | None) -> None:
    await system.up("local", "a1:linux")
    ended = await system.run("true", runner=selector)
    assert (ended.runner, ended.set, ended.state) == ("local", "local", ExecutionState.SUCCEEDED)


@pytest.mark.parametrize("text", ["LINUX+DEV", "dev,linux", " Dev , LINUX ", "linux+dev,linux"])
async def test_a_typed_filter_takes_commas_and_pluses_in_any_case(system: System, text: str) -> None:
    await system.up("a1:Linux,DEV", "b1:linux")
    ended = await system.run("true", runner=RunnerSelector(mode=SelectorMode.FILTER, filter=text))
    assert (ended.runner, ended.set) == ("a1", "dev+linux")


async def test_tags_that_no_subject_could_hold_still_work(system: System) -> None:
    await system.up("a1:Büro 3.OG,*")
    ended = await system.run("true", "büro 3.og,*")
    assert ended.runner == "a1"


async def test_a_change_of_tags_rebinds_without_a_restart_and_leaves_the_old_set(system: System) -> None:
    await system.up("a1:linux", "b1:linux")
    await system.run("true", "linux")
    instance = (await system.ping("a1")).instance
    changed = await system.client.call(catalog.RUNNER_TAGS, RunnerTagsRequest(runner="a1", set=["windows"]))
    assert changed.rebound
    assert (await system.ping("a1")).bound_sets == []
    assert {(await system.run("true", "linux")).runner for _ in range(6)} == {"b1"}
    assert (await system.run("true", "windows")).runner == "a1"
    assert (await system.ping("a1")).instance == instance


async def test_tags_are_added_and_removed_and_outlive_a_restart_of_the_runner(system: System) -> None:
    await system.up()
    part = system.start_runner("a1", "linux")
    await system.runners_ready("a1")
    asked = RunnerTagsRequest(runner="a1", add=["DEV"], remove=["Linux"])
    reply = await system.client.call(catalog.RUNNER_TAGS, asked)
    assert reply.runner.tags == ["dev"]
    assert await system.stop(part) == 0
    system.start_runner("a1", "linux")
    await system.runners_ready("a1")
    assert (await system.runners())["a1"].tags == ["dev"]
    assert (await system.run("true", "dev")).runner == "a1"


async def test_a_runner_gets_no_jobs_of_a_project_that_is_not_its_own(system: System) -> None:
    await system.up()
    await system.client.call(catalog.PROJECT_CREATE, ProjectRequest(project="other"))
    system.start_runner("a1", "linux")
    system.start_runner("b1", "linux", runner_projects="other")
    await system.runners_ready("a1", "b1")
    assert {(await system.run("true", "linux", project="other")).runner for _ in range(4)} == {"b1"}
    assert {(await system.run("true", "linux")).runner for _ in range(4)} == {"a1"}


async def test_a_full_runner_is_not_sent_more(system: System, tmp_path: Path) -> None:
    await system.up("a1:linux", "b1:linux", max_running=1)
    with Gate(tmp_path) as gate:
        first = await system.start(gate.command, "linux")
        await eventually(lambda: len(gate.inside) == 1, what="the first job runs")
        second = await system.start(gate.command, "linux")
        await eventually(lambda: len(gate.inside) == 2, what="the second job runs")
        views = [await system.show(each.id) for each in (first, second)]
        assert {view.runner for view in views} == {"a1", "b1"}
        third = await system.start("true", "linux")
        assert (await system.show(third.id)).state is ExecutionState.QUEUED
        gate.open()
        assert (await system.end_of(third.id)).state is ExecutionState.SUCCEEDED


async def test_the_slots_are_never_exceeded_though_several_sets_are_bound(system: System, tmp_path: Path) -> None:
    await system.up("a1:linux,dev,gpu", max_running=3)
    with Gate(tmp_path) as gate:
        sets = ["linux", "dev", "gpu", "linux+dev", "dev+gpu"]
        started = [await system.start(gate.command, tags) for tags in sets * 3]
        await eventually(lambda: len(gate.inside) == 3, what="all slots are used")
        assert (await system.ping("a1")).running == 3
        gate.open()
        ended = await asyncio.gather(*(system.end_of(each.id) for each in started))
        assert {view.state for view in ended} == {ExecutionState.SUCCEEDED}
        assert gate.most_inside <= 3
        assert gate.entered == 15


async def test_a_hundred_jobs_on_three_runners_run_exactly_once_each(system: System, tmp_path: Path) -> None:
    await system.up("a1:linux", "b1:linux", "c1:linux", max_running=4)
    diary = tmp_path / "diary"
    ended = await asyncio.gather(
        *(system.run(f"echo {number} >> {diary}", "linux", wait_s=40.0) for number in range(100))
    )
    assert {view.state for view in ended} == {ExecutionState.SUCCEEDED}
    assert sorted(map(int, diary.read_text().split())) == list(range(100))
    assert {view.runner for view in ended} == {"a1", "b1", "c1"}
    assert all(view.attempt == 1 for view in ended)
    assert await system.count(system.subjects.jobs_stream) == 0


async def test_nobody_with_the_tags_is_refused_and_the_tags_are_named(system: System) -> None:
    await system.up("a1:linux,dev")
    error = await refused(ErrorCode.NO_RUNNER, lambda: system.run("true", "linux+prod+gpu"))
    assert "bears gpu and prod" in error.message
    assert error.details["borne_by_none"] == ["gpu", "prod"]
    assert await system.count(system.subjects.events_stream) == 0


async def test_tags_borne_apart_but_not_together_are_told_as_that(system: System) -> None:
    await system.up("a1:linux", "b1:dev")
    error = await refused(ErrorCode.NO_RUNNER, lambda: system.run("true", "linux+dev"))
    assert "each tag is borne by some" in error.message
    match = await system.client.call(catalog.MATCH, MatchRequest(project="default", tags=["linux", "dev"]))
    assert (match.runners, match.borne_by_none) == ([], [])


async def test_no_local_runner_is_told(system: System) -> None:
    await system.up("a1:linux")
    error = await refused(ErrorCode.NO_RUNNER, lambda: system.run("true"))
    assert "No Local Runner" in error.message


async def test_a_job_waits_for_a_runner_that_comes_later(system: System) -> None:
    await system.up()
    queued = await system.start("echo late", "linux", when_no_runner="wait")
    assert queued.state is ExecutionState.QUEUED
    system.start_runner("a1", "linux")
    ended = await system.end_of(queued.id)
    assert (ended.state, ended.runner) == (ExecutionState.SUCCEEDED, "a1")


async def test_a_plugin_that_nobody_has_is_refused_with_the_text_of_the_original(system: System) -> None:
    await system.up("US-WEST-1-QA:linux")
    wanted = request("x", "linux").steps[0]
    steps = [type(wanted)(plugin="datadog-resource-model", config={})]
    error = await refused(ErrorCode.PLUGIN_NOT_FOUND, lambda: system.run(steps, "linux"))
    assert error.message == (
        "Reason: The datadog-resource-model plugin was not found on Runner ID = US-WEST-1-QA. "
        "You may need to upgrade your Runner or select a different Runner."
    )
