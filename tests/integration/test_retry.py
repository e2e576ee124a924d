"""Retries: how often, after how long, of what, and what the scripts of an attempt see of those before."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas import catalog
from schemas.api import AbortRequest, ExecutionListRequest, ExecutionView, JobPutRequest, RunRequest
from schemas.errors import ErrorCode
from schemas.states import ExecutionState
from schemas.tokens import identifier
from services.dispatcher.retries import retry_id
from tests.support.automatic import automatic, diary_of, line, on_nodes
from tests.support.gate import Gate
from tests.support.system import WAIT_S, System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

AGAIN = ExecutionState.FAILED_WITH_RETRY
SEEN = "$RD_JOB_RETRYATTEMPT $RD_JOB_WASRETRY $RD_JOB_RETRYPREVEXECID $RD_JOB_RETRYINITIALEXECID"


async def put(system: System, retry: str, script: str = "exit 3", more: str = "") -> None:
    text = f"""\
- name: flaky
  uuid: flaky
  {more}
  retry: {retry}
  sequence:
    commands:
    - script: {json.dumps(f"#!/bin/sh{chr(10)}{script}")}
"""
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=text))


async def run(system: System, **fields: Any) -> ExecutionView:
    return await system.client.run(RunRequest(job="flaky", **{"wait_s": WAIT_S, **fields}))


async def attempt(system: System, first: str, number: int, *, within_s: float = 10.0) -> ExecutionView:
    """An attempt, once it has ended."""

    async def ended() -> ExecutionView | None:
        page = await system.client.call(catalog.EXECUTION_LIST, ExecutionListRequest(limit=100))
        known = {view.id for view in page.executions}
        return await system.end_of(retry_id(first, number)) if retry_id(first, number) in known else None

    view = await eventually(ended, within_s=within_s, what=f"attempt {number}")
    assert view is not None
    return view


async def executions(system: System) -> list[str]:
    page = await system.client.call(catalog.EXECUTION_LIST, ExecutionListRequest(limit=100))
    return [view.id for view in reversed(page.executions)]


async def test_a_run_is_tried_again_as_often_as_its_job_says(system: System) -> None:
    await system.up("local")
    await put(system, "2")
    first = await run(system, user="ada")
    assert (first.state, first.exit_code) == (AGAIN, 3)
    assert first.retry is not None
    assert (first.retry.attempt, first.retry.most) == (0, 2)
    second, third = await attempt(system, first.id, 1), await attempt(system, first.id, 2)
    assert (second.state, third.state) == (AGAIN, ExecutionState.FAILED)
    assert third.retry is not None
    assert (third.retry.attempt, third.retry.previous, third.retry.initial) == (2, second.id, first.id)
    assert {view.user for view in (second, third)} == {"ada"}
    assert await executions(system) == [first.id, second.id, third.id]


async def test_scripts_see_which_attempt_they_are(system: System) -> None:
    await system.up("local")
    await put(system, "1", f"echo {SEEN}; [ $RD_JOB_RETRYATTEMPT = 1 ]")
    first = await run(system)
    second = await attempt(system, first.id, 1)
    assert (first.state, second.state) == (AGAIN, ExecutionState.SUCCEEDED)
    assert (await system.output(first.id)).decode() == "0 false 0 0\n"
    assert (await system.output(second.id)).decode() == f"1 true {first.id} {first.id}\n"


async def test_the_count_may_be_an_option_and_the_values_of_options_hold(system: System) -> None:
    await system.up("local")
    options = "options:\n  - {name: times, value: '0'}\n  - {name: what, multivalued: true, delimiter: ',', value: a}"
    await put(system, "${option.times}", "echo $RD_OPTION_WHAT; false", options)
    plain = await run(system)
    assert plain.state is ExecutionState.FAILED
    first = await run(system, options={"times": "1", "what": ["x", "y"]})
    assert first.state is AGAIN
    second = await attempt(system, first.id, 1)
    assert (second.state, second.options) == (ExecutionState.FAILED, first.options)
    assert await system.output(second.id) == await system.output(first.id) == b"x,y\n"


async def test_what_exceeded_its_limit_is_tried_again_and_what_was_aborted_is_not(system: System) -> None:
    await system.up("local")
    await put(system, "1", "sleep 60", "timeout: '1'")
    first = await run(system)
    assert first.state is AGAIN
    assert first.error is not None
    assert first.error.code is ErrorCode.TIMEOUT
    second = await attempt(system, first.id, 1)
    assert second.state is ExecutionState.TIMEDOUT
    third = await run(system, wait_s=0.0)
    await system.state_is(third.id, ExecutionState.RUNNING)
    aborted = await system.client.call(catalog.ABORT, AbortRequest(execution=third.id))
    assert aborted.state is ExecutionState.ABORTED
    late = await run(system, deadline_s=0.5)
    assert late.state is ExecutionState.TIMEDOUT, "a deadline is not to be passed by another attempt"
    await run(system, wait_s=0.0, deadline_s=0.5)
    assert len([name for name in await executions(system) if "-r" in name]) == 1


async def test_a_delay_is_kept_while_every_dispatcher_is_down(system: System, tmp_path: Path) -> None:
    system.start_registry()
    first_dispatcher = system.start_dispatcher()
    await system.ready()
    system.start_runner("local", local=True)
    await system.runners_ready("local")
    await put(system, "{retry: 1, delay: 2s}")
    first = await run(system)
    assert first.state is AGAIN

    async def held() -> bool:
        return await system.count(system.subjects.schedules_stream) == 1

    await eventually(held, what="the retry rests on the bus")
    await system.stop(first_dispatcher)
    system.start_dispatcher(data_dir=str(tmp_path / "another"))
    await system.ready()
    second = await attempt(system, first.id, 1, within_s=15.0)
    assert first.finished_at is not None
    assert second.queued_at is not None
    assert 1.5 < (second.queued_at - first.finished_at).total_seconds() < 6.0
    assert await executions(system) == [first.id, second.id]


async def test_several_dispatchers_begin_one_retry(system: System) -> None:
    await system.up("local")
    for _ in range(2):
        system.start_dispatcher()
    await put(system, "1", more="multipleExecutions: true")
    firsts = await asyncio.gather(*(run(system) for _ in range(5)))
    for first in firsts:
        await attempt(system, first.id, 1)
    assert len(await executions(system)) == 10
    for first in firsts:
        events = [name for _, name in await system.events(retry_id(first.id, 1))]
        assert events.count("runbus.assignment_started.v1") == 1


async def test_what_failed_while_no_dispatcher_ran_is_tried_again(system: System, tmp_path: Path) -> None:
    system.start_registry()
    dispatcher = system.start_dispatcher()
    await system.ready()
    system.start_runner("local", local=True)
    await system.runners_ready("local")
    with Gate(tmp_path) as gate:
        await put(system, "1", f"{gate.command}; exit 3")
        first = await run(system, wait_s=0.0)
        await eventually(lambda: gate.inside, what="it is at it")
        await system.stop(dispatcher)
        gate.open()

        async def over() -> bool:
            return "runbus.assignment_finished.v1" in [name for _, name in await system.events(first.id)]

        await eventually(over, what="it has failed")
        system.start_dispatcher(data_dir=str(tmp_path / "another"))
        await system.ready()
        second = await attempt(system, first.id, 1)
        assert second.state is ExecutionState.FAILED
    assert await executions(system) == [first.id, second.id]


async def test_a_restart_tries_nothing_again_that_was_tried(system: System, tmp_path: Path) -> None:
    await system.up("local")
    await put(system, "1")
    first = await run(system)
    second = await attempt(system, first.id, 1)
    system.start_dispatcher(data_dir=str(tmp_path / "another"))
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text="- {name: n, sequence: {commands: [{exec: ls}]}}"))
    ended = await run(system)
    await attempt(system, ended.id, 1)
    assert await executions(system) == [first.id, second.id, ended.id, retry_id(ended.id, 1)]


async def test_a_retry_that_is_refused_says_so_as_an_execution(system: System) -> None:
    await system.up("local")
    await put(system, "{retry: 1, delay: 1s}")
    first = await run(system)
    await put(system, "1", more="executionEnabled: false")
    second = await attempt(system, first.id, 1)
    assert second.state is ExecutionState.FAILED
    assert second.error is not None
    assert second.error.code is ErrorCode.JOB_DISABLED


async def test_an_execution_of_several_runners_is_tried_again_as_a_whole(system: System, tmp_path: Path) -> None:
    await automatic(system, "a", "b", nodes=1)
    diary = tmp_path / "diary"
    text = f"""\
- name: flaky
  uuid: flaky
  retry: 1
  nodefilters: {{filter: 'name: .*'}}
  sequence:
    commands:
    - exec: sh -c 'echo ${{node.name}} >> {diary}; false'
"""
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=text))
    first = await run(system)
    assert (first.state, first.orchestrated) == (AGAIN, True)
    second = await attempt(system, first.id, 1)
    assert (second.state, len(second.parts)) == (ExecutionState.FAILED, 2)
    assert sorted(diary_of(diary)) == ["a1", "a1", "b1", "b1"]


@pytest.mark.parametrize("initial", ["a" * 64, "b" * 57, "c"])
def test_the_id_of_a_retry_is_a_name_and_of_its_own(initial: str) -> None:
    name = retry_id(initial, 1000)
    assert identifier("execution id", name) == name
    assert retry_id(initial[:-1] + "z", 1000) != name


async def test_an_ad_hoc_run_has_no_retry(system: System) -> None:
    await system.up("local")
    request = msgspec.structs.replace(on_nodes(line("exit 1")), nodes=None, wait_s=WAIT_S)
    assert (await system.client.run(request)).state is ExecutionState.FAILED
