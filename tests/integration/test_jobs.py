"""Stored jobs: put, list, show, run, remove; what a run may change."""

from __future__ import annotations

import pytest

from schemas import catalog
from schemas.api import (
    ExecutionListRequest,
    JobListRequest,
    JobPutReply,
    JobPutRequest,
    JobRemoveRequest,
    JobShowRequest,
    ResultRequest,
    RunRequest,
)
from schemas.errors import ErrorCode
from schemas.jobs import RunnerSelector, SelectorMode, Step
from schemas.states import ExecutionState
from tests.support.system import System, refused
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

DEPLOY = """
- uuid: 11111111-1111-4111-8111-111111111111
  name: deploy
  group: web
  description: Put it out
  sequence:
    commands:
      - exec: echo deployed by $RD_JOB_GROUP/$RD_JOB_NAME
  runnerSelector:
    runnerFilterMode: TAGS
    filter: LINUX,DEV
"""
CLEAN = """
- uuid: 22222222-2222-4222-8222-222222222222
  name: clean
  sequence:
    commands:
      - exec: echo clean
"""


@pytest.fixture(autouse=True)
async def fleet(system: System) -> None:
    await system.up("local", "a1:linux,dev", "b1:linux,prod")


async def put(system: System, text: str) -> JobPutReply:
    return await system.client.call(catalog.JOB_PUT, JobPutRequest(text=text, file="jobs.yaml"))


async def names(system: System) -> list[str]:
    reply = await system.client.call(catalog.JOB_LIST, JobListRequest())
    return [job.ref.path for job in reply.jobs]


def filtered(tags: str) -> RunnerSelector:
    return RunnerSelector(mode=SelectorMode.FILTER, filter=tags)


async def test_put_list_show_run_remove(system: System) -> None:
    reply = await put(system, DEPLOY + CLEAN)
    assert [job.name for job in reply.created] == ["deploy", "clean"]
    assert reply.updated == []
    assert await names(system) == ["clean", "web/deploy"]

    shown = await system.client.call(catalog.JOB_SHOW, JobShowRequest(job="web/deploy"))
    assert shown.description == "Put it out"

    ended = await system.client.run(RunRequest(job="web/deploy", wait_s=20.0))
    assert (ended.state, ended.runner, ended.title) == (ExecutionState.SUCCEEDED, "a1", "web/deploy")
    assert await system.output(ended.id) == b"deployed by web/deploy\n"
    assert (await system.client.run(RunRequest(job=shown.uuid, wait_s=20.0))).job == shown.ref

    await system.client.call(catalog.JOB_REMOVE, JobRemoveRequest(job="web/deploy"))
    assert await names(system) == ["clean"]
    await refused(ErrorCode.UNKNOWN_JOB, lambda: system.client.run(RunRequest(job="web/deploy")))
    page = await system.client.call(catalog.EXECUTION_LIST, ExecutionListRequest(job=shown.uuid))
    assert len(page.executions) == 2, "executions outlive their job"


async def test_a_job_without_selection_runs_on_the_local_runner(system: System) -> None:
    await put(system, CLEAN)
    ended = await system.client.run(RunRequest(job="clean", wait_s=20.0))
    assert (ended.runner, ended.set) == ("local", "local")


async def test_putting_it_again_updates_it(system: System) -> None:
    await put(system, DEPLOY)
    reply = await put(system, DEPLOY.replace("name: deploy", "name: roll-out"))
    assert ([job.name for job in reply.updated], reply.created) == (["roll-out"], [])
    assert await names(system) == ["web/roll-out"]


async def test_runners_bind_to_the_set_of_a_job_when_it_is_put(system: System) -> None:
    await put(system, DEPLOY)
    await eventually(lambda: bound(system, "a1"), what="a1 is bound")
    assert not await bound(system, "b1")


async def bound(system: System, runner: str) -> bool:
    return "default/dev+linux" in (await system.ping(runner)).bound_sets


async def test_a_target_that_nobody_serves_today_is_a_warning(system: System) -> None:
    reply = await put(system, DEPLOY.replace("LINUX,DEV", "solaris"))
    assert len(reply.created) == 1
    assert any("solaris" in warning for warning in reply.warnings), reply.warnings


@pytest.mark.parametrize(
    "bad",
    [
        DEPLOY + CLEAN.replace("name: clean", "nam: clean"),
        DEPLOY + "- [",
        "",
        "just words",
        DEPLOY + CLEAN.replace("exec: echo clean", "exec: [7]"),
        DEPLOY.replace("LINUX,DEV", "LINUX,,DEV"),
        DEPLOY + CLEAN.replace("22222222-2222-4222-8222-222222222222", "11111111-1111-4111-8111-111111111111"),
    ],
)
async def test_an_invalid_file_stores_nothing(system: System, bad: str) -> None:
    error = await refused(ErrorCode.INVALID_JOB, lambda: put(system, bad))
    assert error.details
    assert await names(system) == []


async def test_a_path_that_another_job_has_stores_nothing(system: System) -> None:
    await put(system, CLEAN)
    other = CLEAN.replace("22222222", "33333333")
    await refused(ErrorCode.ALREADY_EXISTS, lambda: put(system, DEPLOY + other))
    assert await names(system) == ["clean"]


async def test_another_target_at_run_time_is_refused_unless_the_job_allows_it(system: System) -> None:
    await put(system, DEPLOY)
    ask = RunRequest(job="web/deploy", runner=filtered("linux+prod"), wait_s=20.0)
    error = await refused(ErrorCode.RUNNER_CHANGE_REFUSED, lambda: system.client.run(ask))
    assert "web/deploy" in error.message
    same = await system.client.run(RunRequest(job="web/deploy", runner=filtered("dev,LINUX"), wait_s=20.0))
    assert same.runner == "a1", "the job's own target is no change"

    await put(system, DEPLOY.rstrip() + "\n  runnerSelectorEditable: true\n")
    assert (await system.client.run(ask)).runner == "b1"
    assert (await system.client.run(RunRequest(job="web/deploy", wait_s=20.0))).runner == "a1"


async def test_what_is_not_there_is_named(system: System) -> None:
    await put(system, DEPLOY)
    client = system.client
    error = await refused(ErrorCode.UNKNOWN_JOB, lambda: client.run(RunRequest(job="web/deplyo")))
    assert "Did you mean 'web/deploy'?" in error.message
    await refused(ErrorCode.UNKNOWN_JOB, lambda: client.call(catalog.JOB_SHOW, JobShowRequest(job="x")))
    await refused(ErrorCode.UNKNOWN_JOB, lambda: client.call(catalog.JOB_REMOVE, JobRemoveRequest(job="x")))
    error = await refused(
        ErrorCode.UNKNOWN_OPTION, lambda: client.run(RunRequest(job="web/deploy", options={"colour": "red"}))
    )
    assert "'colour'" in error.message
    steps = [Step(plugin="command", config={"command": "true"})]
    for ask in (RunRequest(job="web/deploy", project="none"), RunRequest(steps=steps, project="none")):
        error = await refused(ErrorCode.UNKNOWN_PROJECT, lambda ask=ask: client.run(ask))  # type: ignore[misc]
        assert "default" in error.message
    for endpoint in (catalog.RESULT, catalog.EXECUTION_SHOW):
        await refused(
            ErrorCode.UNKNOWN_EXECUTION,
            lambda endpoint=endpoint: client.call(endpoint, ResultRequest(execution="none")),  # type: ignore[misc]
        )


async def test_a_run_of_a_job_brings_no_steps(system: System) -> None:
    await put(system, CLEAN)
    ask = RunRequest(job="clean", steps=[Step(plugin="command", config={"command": "true"})])
    await refused(ErrorCode.INVALID_MESSAGE, lambda: system.client.run(ask))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, ErrorCode.INVALID_MESSAGE),
        ({"timeout_s": 0.0}, ErrorCode.INVALID_MESSAGE),
        ({"timeout_s": -1.0}, ErrorCode.INVALID_MESSAGE),
        ({"deadline_s": 0.0}, ErrorCode.INVALID_MESSAGE),
        ({"deadline_s": 1e12}, ErrorCode.INVALID_MESSAGE),
        ({"id": "a.b"}, ErrorCode.INVALID_NAME),
        ({"id": "x" * 65}, ErrorCode.INVALID_NAME),
        ({"id": "*"}, ErrorCode.INVALID_NAME),
        ({"project": "de fault"}, ErrorCode.UNKNOWN_PROJECT),
        ({"runner": RunnerSelector(mode=SelectorMode.TAGS)}, ErrorCode.INVALID_SELECTOR),
        ({"runner": RunnerSelector(mode=SelectorMode.LOCAL, filter="x")}, ErrorCode.INVALID_SELECTOR),
        ({"runner": RunnerSelector(mode=SelectorMode.TAGS, filter="a,,b")}, ErrorCode.INVALID_TAG),
        ({"runner": RunnerSelector(mode=SelectorMode.TAGS, filter="local")}, ErrorCode.INVALID_TAG),
    ],
)
async def test_a_run_that_makes_no_sense_is_refused_and_leaves_nothing(
    system: System, fields: dict[str, object], code: ErrorCode
) -> None:
    steps = [Step(plugin="command", config={"command": "true"})]
    base: dict[str, object] = {"steps": steps} if fields else {}
    ask = RunRequest(**{**base, **fields})  # type: ignore[arg-type]
    await refused(code, lambda: system.client.run(ask))
    assert await system.count(system.subjects.events_stream) == 0
    assert await system.count(system.subjects.jobs_stream) == 0
