"""Where a run goes: the tag of one runner, the runner named at run time, a tag that an option gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas import catalog
from schemas.api import ExecutionView, RunnerTagsRequest, RunRequest
from schemas.errors import ErrorCode
from schemas.events import ExecutionQueued
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.states import ExecutionState
from services.dispatcher import unassigned
from services.dispatcher.assignments import Assignments
from tests.support.automatic import end_of, load, on_nodes, put, run, tags
from tests.support.system import WAIT_S, System, output_of, refused
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

LOCAL = RunnerSelector(mode=SelectorMode.LOCAL)


def job(selector: str, more: str = "") -> str:
    return f"""\
- name: where
  uuid: where
  {more}
  runnerSelector: {{filter: '{selector}', runnerFilterMode: FILTER, runnerFilterType: TAG_FILTER_AND}}
  sequence: {{commands: [{{exec: hostname}}]}}
"""


async def where(system: System, **fields: Any) -> ExecutionView:
    return await system.client.run(RunRequest(job="where", wait_s=WAIT_S, **fields))


async def test_the_tag_of_a_runners_id_reaches_that_runner_alone(system: System) -> None:
    await system.up("web-1:linux", "Web-1:linux", "web-2:linux")
    for name in ("web-1", "Web-1", "web-2"):
        for _ in range(3):
            assert (await system.run("true", f"@{name}")).runner == name
    assert (await system.run("true", "@web-2,linux")).runner == "web-2"
    error = await refused(ErrorCode.NO_RUNNER, lambda: system.run("true", "@WEB-1"))
    assert "@WEB-1" in error.message
    await refused(ErrorCode.NO_RUNNER, lambda: system.run("true", "@web-1,@web-2"))


async def test_no_runner_can_take_the_tag_of_another(system: System) -> None:
    await system.up("web-1", "web-2")
    for change in ({"set": ["@web-1"]}, {"add": ["@web-1"]}):
        request = RunnerTagsRequest(runner="web-2", **change)
        await refused(ErrorCode.INVALID_TAG, lambda: system.client.call(catalog.RUNNER_TAGS, request))  # noqa: B023
    assert (await system.run("true", "@web-1")).runner == "web-1"


async def test_the_runner_may_be_named_at_run_time_where_the_job_says_so(system: System) -> None:
    await system.up("local", "a1:a", "b1:b")
    await put(system, job("a"))
    assert (await where(system)).runner == "a1"
    assert (await where(system, runner=tags("a"))).runner == "a1", "that is no change"
    for other in (tags("b"), LOCAL):
        await refused(ErrorCode.RUNNER_CHANGE_REFUSED, lambda: where(system, runner=other))  # noqa: B023
    await put(system, job("a", "runnerSelectorEditable: true"))
    for target, wanted in ((tags("b"), "b1"), (tags("@b1"), "b1"), (LOCAL, "local"), (None, "a1")):
        assert (await where(system, runner=target)).runner == wanted


async def test_an_option_may_name_the_runner(system: System) -> None:
    await system.up("a1:a", "b1:b")
    await put(system, job("${option.runnerTag}", "options: [{name: runnerTag}]"))
    assert (await where(system, options={"runnerTag": "a"})).runner == "a1"
    assert (await where(system, options={"runnerTag": "b"})).runner == "b1"
    error = await refused(ErrorCode.INVALID_SELECTOR, lambda: where(system))
    assert "${option.runnerTag}" in error.message


async def with_nodes(system: System) -> None:
    system.start_registry()
    system.start_nodesource()
    system.start_dispatcher()
    await system.ready()
    system.start_runner("local", local=True)
    await system.runners_ready("local")
    await load(system, {f"n{number}": {"rank": str(number)} for number in range(3)})


async def test_a_durable_request_runs_a_job_with_options_on_nodes(system: System) -> None:
    await with_nodes(system)
    text = """\
- name: everywhere
  uuid: everywhere
  options: [{name: what, required: true}]
  nodefilters: {filter: 'name: n${option.which}', dispatch: {threadcount: 3}}
  sequence: {commands: [{exec: "echo ${option.what} on ${node.name}"}]}
"""
    await put(system, text.replace("{name: what,", "{name: which, value: '.'}, {name: what,"))
    await system.client.submit(RunRequest(job="everywhere", id="q1", options={"what": "x"}))
    view = await end_of(system, "q1")
    assert view.nodes == {"succeeded": ["n0", "n1", "n2"]}
    lines = sorted(output_of(await system.log("q1")).decode().splitlines())
    assert lines == ["x on n0", "x on n1", "x on n2"]
    await system.client.submit(RunRequest(job="everywhere", id="q2", options={"what": "x", "which": "9"}))
    failed = await end_of(system, "q2")
    assert failed.error is not None
    assert (failed.state, failed.error.code) == (ExecutionState.FAILED, ErrorCode.NO_MATCHED_NODES)


async def test_a_planned_run_that_was_not_handed_on_is_handed_on_by_another(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unassigned, "_LOOK_EVERY_S", 0.1)
    publish = Assignments.publish
    deaths: list[str] = []

    async def dies_once(self: Assignments, queued: ExecutionQueued) -> None:
        if not deaths:
            deaths.append(queued.plan)
            return
        await publish(self, queued)

    monkeypatch.setattr(Assignments, "publish", dies_once)
    await with_nodes(system)
    view = await run(system, on_nodes(f"touch {tmp_path}/seen-${{node.name}}", flow=None))
    assert deaths == [deaths[0]]
    assert deaths[0], "it has a plan"
    assert view.nodes == {"succeeded": ["n0", "n1", "n2"]}
    assert len(list(tmp_path.glob("seen-*"))) == 3

    async def gone() -> bool:
        return await system.count(system.subjects.parcels_bucket) == 0

    await eventually(gone, what="the plan is gone")
