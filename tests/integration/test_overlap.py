"""Jobs that run once at a time, or so many times at a time, whatever number of dispatchers begins them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bus.bucket import Bucket
from schemas import catalog
from schemas.api import ExecutionView, JobPutRequest, RunningRecord, RunningRun, RunRequest
from schemas.errors import ErrorCode, RunbusError
from schemas.states import ExecutionState
from tests.support.automatic import end_of
from tests.support.gate import Gate
from tests.support.system import System, refused
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path) as opened:
        yield opened


async def put(system: System, gate: Gate, more: str = "") -> None:
    command = gate.command.replace("\\", "\\\\").replace('"', '\\"')
    text = f"""\
- name: nightly
  group: ops
  uuid: nightly
  {more}
  sequence:
    commands:
    - script: "#!/bin/sh\\n{command}"
"""
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=text))


async def start(system: System, **fields: Any) -> ExecutionView:
    return await system.client.run(RunRequest(job="nightly", **fields))


async def attempts(system: System, count: int) -> list[ExecutionView | RunbusError]:
    """So many begin a run at the same moment."""
    found = await asyncio.gather(*(start(system) for _ in range(count)), return_exceptions=True)
    assert all(isinstance(each, ExecutionView | RunbusError) for each in found)
    return found  # type: ignore[return-value]


async def test_a_second_run_is_refused_until_the_first_has_ended(system: System, gate: Gate) -> None:
    await system.up("local")
    await put(system, gate)
    first = await start(system)
    error = await refused(ErrorCode.ALREADY_RUNNING, lambda: start(system))
    assert "ops/nightly" in error.message
    assert error.details == {"job": "nightly", "execution": first.id, "most": 1}
    gate.open()
    await system.end_of(first.id)
    second = await start(system)
    assert (await system.end_of(second.id)).state is ExecutionState.SUCCEEDED


async def test_the_same_request_again_is_the_same_execution_and_no_second_run(system: System, gate: Gate) -> None:
    await system.up("local")
    await put(system, gate)
    first = await start(system, id="mine")
    assert (await start(system, id="mine")).id == first.id
    gate.open()
    ended = await system.end_of("mine")
    second = gate._opened.parent / "second"
    second.mkdir()
    with Gate(second) as other:
        await put(system, other)
        await start(system)
        await refused(ErrorCode.ALREADY_EXISTS, lambda: start(system, id="mine"))
    assert await system.show("mine") == ended


async def test_a_repeated_request_meets_its_ended_execution_while_another_runs(system: System, gate: Gate) -> None:
    await system.up("local")
    await put(system, gate)
    gate.open()
    await system.end_of((await start(system, id="mine")).id)
    gate._opened.unlink()
    await start(system)
    assert (await start(system, id="mine")).state is ExecutionState.SUCCEEDED


async def test_so_many_run_at_a_time_as_the_job_allows(system: System, gate: Gate) -> None:
    await system.up("local")
    await put(system, gate, "multipleExecutions: true\n  maxMultipleExecutions: 2")
    found = await attempts(system, 5)
    assert sum(isinstance(each, ExecutionView) for each in found) == 2
    await eventually(lambda: len(gate.inside) == 2, what="two run")


async def test_any_number_runs_where_the_job_says_no_more(system: System, gate: Gate) -> None:
    await system.up("local")
    await put(system, gate, "multipleExecutions: true")
    assert all(isinstance(each, ExecutionView) for each in await attempts(system, 4))


async def test_of_two_dispatchers_at_the_same_moment_one_is_let_through(system: System, gate: Gate) -> None:
    await system.up("local")
    for _ in range(2):
        system.start_dispatcher()
    await put(system, gate)
    for _ in range(3):
        found = await attempts(system, 12)
        (through,) = [each for each in found if isinstance(each, ExecutionView)]
        codes = {each.code for each in found if isinstance(each, RunbusError)}
        assert codes <= {ErrorCode.ALREADY_RUNNING, ErrorCode.BUSY}
        gate.open()
        await system.end_of(through.id)
        gate._opened.unlink()


@pytest.mark.parametrize(("age_s", "blocks"), [(1.0, True), (60.0, False)])
async def test_a_dispatcher_that_died_before_it_stored_its_run_blocks_the_job_for_a_moment_only(
    system: System, gate: Gate, age_s: float, blocks: bool
) -> None:
    await system.up("local")
    await put(system, gate)
    bucket = await Bucket.open(system.bus, system.subjects.running_bucket, RunningRecord)
    noted = RunningRun(execution="never-stored", at=datetime.now(UTC) - timedelta(seconds=age_s))
    await bucket.put("default.nightly", RunningRecord(runs=[noted]))
    if blocks:
        error = await refused(ErrorCode.ALREADY_RUNNING, lambda: start(system))
        assert error.details["execution"] == "never-stored"
    else:
        await start(system)


async def test_a_run_that_was_refused_after_all_does_not_block_the_job(system: System, gate: Gate) -> None:
    await system.up("local")
    names = [f"what{number}" for number in range(8)]
    await put(system, gate, f"options: [{', '.join(f'{{name: {name}}}' for name in names)}]")
    large = dict.fromkeys(names, "x" * 127_500)  # each fits a variable, and all together fit no message
    await refused(ErrorCode.TOO_LARGE, lambda: start(system, options=large))
    await start(system, options={"what0": "x"})


async def test_a_durable_request_that_comes_too_early_is_an_execution_that_failed(system: System, gate: Gate) -> None:
    await system.up("local")
    await put(system, gate)
    first = await start(system)
    await system.client.submit(RunRequest(job="nightly", id="late"))
    ended = await end_of(system, "late")
    assert ended.state is ExecutionState.FAILED
    assert ended.error is not None
    assert ended.error.details["execution"] == first.id


async def test_a_job_that_is_switched_off_does_not_run(system: System, gate: Gate) -> None:
    await system.up("local")
    await put(system, gate, "executionEnabled: false")
    error = await refused(ErrorCode.JOB_DISABLED, lambda: start(system))
    assert "ops/nightly" in error.message
