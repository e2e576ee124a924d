"""Durable requests, ids that make a run idempotent, and sizes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from bus.connection import Bus
from schemas import catalog
from schemas.api import ExecutionView, JobListRequest, JobPutRequest, RunRequest
from schemas.codec import encode
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import Step
from schemas.states import ExecutionState
from tests.support.gate import Gate
from tests.support.system import System, refused, request, script
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
async def fleet(system: System) -> System:
    return await system.up("local", "a1:linux")


async def ended(system: System, execution: str) -> ExecutionState:
    """Wait for an execution that may not be known yet, and for its end."""
    await eventually(lambda: known(system, execution), what=f"{execution} is known")
    return (await system.end_of(execution)).state


async def known(system: System, execution: str) -> bool:
    subject = system.subjects.events_of_execution("default", execution)
    return await system.bus.last_message(system.subjects.events_stream, subject) is not None


async def test_a_request_made_while_no_dispatcher_runs_is_carried_out_once_one_does(
    system: System, tmp_path: Path
) -> None:
    await system.up("local")
    first = system._parts[1]
    assert await system.stop(first) == 0
    diary = tmp_path / "diary"
    for number in range(3):
        await system.client.submit(request(f"echo {number} >> {diary}", id=f"run-{number}"))
    assert not diary.exists()
    system.start_dispatcher()
    for number in range(3):
        assert await ended(system, f"run-{number}") is ExecutionState.SUCCEEDED
    assert sorted(diary.read_text().split()) == ["0", "1", "2"]
    await eventually(lambda: empty(system, system.subjects.requests_stream), what="the requests are done with")


async def empty(system: System, stream: str) -> bool:
    return await system.count(stream) == 0


async def test_a_request_without_an_id_is_named_by_its_place(fleet: System) -> None:
    seq = await fleet.bus.append(fleet.subjects.request("default"), encode(request("true")))
    assert await ended(fleet, f"q-{seq}") is ExecutionState.SUCCEEDED


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff\xfe", ErrorCode.INVALID_MESSAGE),
        (b'{"steps":[{"plugin":"command"}],"nonsense":1}', ErrorCode.INVALID_MESSAGE),
        (b'{"type":"runbus.run.v9"}', ErrorCode.UNSUPPORTED_VERSION),
        (b'{"job":"none"}', ErrorCode.UNKNOWN_JOB),
        (b'{"job":"none","id":"not a name"}', ErrorCode.UNKNOWN_JOB),
        (b'{"project":"other","job":"x"}', ErrorCode.INVALID_MESSAGE),
        (b'{"job":"x","options":{"' + b"o" * 1_000_000 + b'":""}}', ErrorCode.UNKNOWN_JOB),
    ],
)
async def test_a_refused_request_is_a_failed_execution_and_leaves_the_stream(
    fleet: System, data: bytes, code: ErrorCode
) -> None:
    seq = await fleet.bus.append(fleet.subjects.request("default"), data)
    assert await ended(fleet, f"q-{seq}") is ExecutionState.FAILED
    view = await fleet.show(f"q-{seq}")
    assert view.error is not None
    assert view.error.code is code
    assert view.error.error_id
    await eventually(lambda: empty(fleet, fleet.subjects.requests_stream), what="it leaves the stream")


async def test_a_refused_request_with_an_id_is_found_under_it(fleet: System) -> None:
    await fleet.client.submit(RunRequest(id="mine", job="none"))
    assert await ended(fleet, "mine") is ExecutionState.FAILED
    bad = b'{"id":"also-mine","job":"none","nonsense":1}'
    await fleet.bus.append(fleet.subjects.request("default"), bad)
    assert await ended(fleet, "also-mine") is ExecutionState.FAILED


async def test_the_same_id_twice_is_one_execution(fleet: System, tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    ask = request(f"echo x >> {diary}", id="once", wait_s=20.0)
    views = [await fleet.client.run(ask) for _ in range(3)]
    assert {view.state for view in views} == {ExecutionState.SUCCEEDED}
    assert diary.read_text() == "x\n"
    assert [name for _, name in await fleet.events("once")] == [
        "runbus.execution_queued.v1",
        "runbus.assignment_started.v1",
        "runbus.assignment_finished.v1",
    ]


async def test_the_same_id_many_times_at_once_and_both_ways_is_one_execution(fleet: System, tmp_path: Path) -> None:
    fleet.start_dispatcher()
    diary = tmp_path / "diary"
    ask = request(f"echo x >> {diary}", id="once", wait_s=20.0)
    plain = msgspec.structs.replace(ask, wait_s=0.0)
    views = await asyncio.gather(
        *(fleet.client.run(ask) for _ in range(10)), *(fleet.client.submit(plain) for _ in range(5))
    )
    assert {view.state for view in views if isinstance(view, ExecutionView)} == {ExecutionState.SUCCEEDED}
    await eventually(lambda: empty(fleet, fleet.subjects.requests_stream), what="the requests are done with")
    assert diary.read_text() == "x\n"


async def test_the_same_id_for_something_else_is_refused_running_or_ended(fleet: System, tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        await fleet.start(gate.command, id="mine")
        await refused(ErrorCode.ALREADY_EXISTS, lambda: fleet.start("true", id="mine"))
        gate.open()
    assert (await fleet.end_of("mine")).state is ExecutionState.SUCCEEDED
    error = await refused(ErrorCode.ALREADY_EXISTS, lambda: fleet.start("true", id="mine"))
    assert "'mine'" in error.message
    await refused(ErrorCode.ALREADY_EXISTS, lambda: fleet.start(gate.command, "linux", id="mine"))


async def test_a_durable_request_under_a_taken_id_leaves_the_first_as_it_is(fleet: System) -> None:
    await fleet.run("true", id="mine")
    await fleet.bus.append(fleet.subjects.request("default"), encode(request("false", id="mine")))
    await eventually(lambda: empty(fleet, fleet.subjects.requests_stream), what="it leaves the stream")
    assert (await fleet.show("mine")).state is ExecutionState.SUCCEEDED


async def test_a_request_larger_than_the_bus_takes_is_refused_before_it_is_sent(fleet: System, bus: Bus) -> None:
    error = await refused(ErrorCode.TOO_LARGE, lambda: fleet.start("#" * bus.max_payload_bytes))
    assert error.details["max_bytes"] == bus.max_payload_bytes
    await refused(ErrorCode.TOO_LARGE, lambda: fleet.client.submit(request("#" * bus.max_payload_bytes, id="x")))
    assert (await fleet.run("true")).state is ExecutionState.SUCCEEDED


async def test_what_is_accepted_can_be_shown_to_the_end_and_what_is_larger_is_refused(
    fleet: System, bus: Bus
) -> None:
    low, high = bus.max_payload_bytes - 40_000, bus.max_payload_bytes
    while high - low > 1:
        middle = (low + high) // 2
        try:
            started = await fleet.start(script("#" * middle))
        except RunbusError as error:
            assert error.code is ErrorCode.TOO_LARGE, error.message
            high = middle
        else:
            low = middle
            assert (await fleet.end_of(started.id)).state is ExecutionState.SUCCEEDED
    largest = await fleet.run(script("#" * low))
    assert len(largest.steps[0].config["script"]) == low
    assert await fleet.count(fleet.subjects.jobs_stream) == 0


async def test_more_steps_than_a_message_could_tell_the_outcomes_of_are_refused(fleet: System) -> None:
    steps = [Step(plugin="command", config={"command": ":"})] * 5000
    await refused(ErrorCode.TOO_LARGE, lambda: fleet.start(steps))


async def test_a_reply_that_would_be_too_large_is_a_typed_error(fleet: System) -> None:
    for number in range(3):
        text = f"- name: job{number}\n  sequence:\n    commands:\n      - exec: 'true {'x' * 500_000}'\n"
        await fleet.client.call(catalog.JOB_PUT, JobPutRequest(text=text))
    error = await refused(ErrorCode.TOO_LARGE, lambda: fleet.client.call(catalog.JOB_LIST, JobListRequest()))
    assert "job-list" in error.message


async def test_an_error_reply_that_would_be_too_large_still_comes(fleet: System) -> None:
    options = {"o" * 1_000_000: "", "p": ""}
    error = await refused(ErrorCode.UNKNOWN_OPTION, lambda: fleet.start("true", options=options))
    assert "has no option" in error.message
