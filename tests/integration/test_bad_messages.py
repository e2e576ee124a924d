"""What cannot be understood: answered with a typed error whose id is in the log, or ended, and never believed."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
import pytest

from bus.connection import HEADER_ERROR_CODE
from schemas import catalog
from schemas.api import ExecutionListRequest
from schemas.catalog import ERROR_TEXT_HEADER, AnyEndpoint
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, ErrorInfo, ErrorReply
from schemas.events import Assignment
from schemas.states import ExecutionState
from schemas.tokens import TagSet
from tests.support.parts import ProgramPart
from tests.support.system import System, request
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

ENDPOINTS = (*catalog.DISPATCHER_ENDPOINTS, *catalog.REGISTRY_ENDPOINTS, *catalog.RUNNER_ENDPOINTS)


@pytest.fixture
async def fleet(system: System) -> System:
    return await system.up("a1:linux")


async def error_of(system: System, endpoint: AnyEndpoint, data: bytes) -> ErrorInfo:
    reply = await system.bus.client.request(endpoint.subject(system.subjects, "a1"), data, timeout=5.0)
    assert reply.headers is not None, reply.data
    error = decode(reply.data, ErrorReply).error
    assert reply.headers[HEADER_ERROR_CODE] == error.code
    assert reply.headers[ERROR_TEXT_HEADER]
    assert error.origin
    assert re.fullmatch(r"[0-9a-f]{12}", error.error_id)
    return error


BAD = {
    "undecodable": b"\xff\xfe\x00",
    "empty": b"",
    "no object": b"[1]",
    "cut off": b'{"project":"defau',
    "deeply nested": b'{"project":' + b"[" * 100_000,
    "surrogate": b'{"project":"\\ud800"}',
}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
async def test_every_endpoint_refuses_what_it_cannot_read(fleet: System, endpoint: AnyEndpoint) -> None:
    for name, data in BAD.items():
        error = await error_of(fleet, endpoint, data)
        assert error.code in {ErrorCode.INVALID_MESSAGE, ErrorCode.UNKNOWN_PROJECT}, name
    for version in ("v2", "v99"):
        data = msgspec.json.encode({"type": catalog.type_of(endpoint.request).replace("v1", version)})
        error = await error_of(fleet, endpoint, data)
        assert error.code is ErrorCode.UNSUPPORTED_VERSION
        assert catalog.type_of(endpoint.request) in error.message
    if endpoint.request.__struct_config__.forbid_unknown_fields:
        error = await error_of(fleet, endpoint, b'{"nonsense":1}')
        assert error.code is ErrorCode.INVALID_MESSAGE


async def test_the_id_of_an_error_is_in_the_log_of_whoever_replied(system: System) -> None:
    parts = {
        "registry": system.start_registry(program=True),
        "dispatcher": system.start_dispatcher(program=True),
        "runner": system.start_runner("a1", "linux", program=True),
    }
    await system.ready()
    await system.runners_ready("a1")
    for endpoint in (catalog.RUN, catalog.MATCH, catalog.PING):
        part = parts[endpoint.service]
        assert isinstance(part, ProgramPart)
        error = await error_of(system, endpoint, b"\xff")
        await eventually(lambda: error.error_id in part.program.log, what="the id is in the log")  # noqa: B023
        line = next(line for line in part.program.log.splitlines() if error.error_id in line)
        assert msgspec.json.decode(line)["part"] == endpoint.service


async def test_a_request_without_a_reply_subject_does_no_harm(fleet: System) -> None:
    for endpoint in ENDPOINTS:
        await fleet.bus.client.publish(endpoint.subject(fleet.subjects, "a1"), b"\xff")
    assert (await fleet.run("true", "linux")).state is ExecutionState.SUCCEEDED


ASSIGNMENT = Assignment(execution="e1", assignment="1", project="default", attempt=1, steps=[], title="x")


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe",
        b"{}",
        b'{"type":"runbus.assignment.v9"}',
        encode(ASSIGNMENT),
        encode(msgspec.structs.replace(ASSIGNMENT, execution="other", steps=request("true").steps)),
        encode(msgspec.structs.replace(ASSIGNMENT, execution="a.b.>", steps=request("true").steps)),
    ],
    ids=["bytes", "empty", "version", "no steps", "another execution", "no name"],
)
async def test_a_malformed_assignment_is_ended_by_an_event_and_not_delivered_again(
    fleet: System, data: bytes
) -> None:
    await fleet.run("true", "linux")
    subject = fleet.subjects.job("default", TagSet(["linux"]), "e1", "1")
    await fleet.bus.append(subject, data)

    async def done_with() -> bool:
        return await fleet.count(fleet.subjects.jobs_stream) == 0

    await eventually(done_with, what="it leaves the stream")
    view = await fleet.show("e1")
    assert view.state is ExecutionState.FAILED
    assert view.error is not None
    assert view.error.code in {ErrorCode.INVALID_MESSAGE, ErrorCode.UNSUPPORTED_VERSION}
    assert view.error.error_id
    pong = await fleet.ping("a1")
    assert pong.running == 0
    assert (await fleet.run("true", "linux")).state is ExecutionState.SUCCEEDED


async def test_an_event_that_nobody_understands_is_passed_over(fleet: System) -> None:
    for data in (b"\xff", b'{"type":"runbus.assignment_paused.v1"}'):
        await fleet.bus.append(fleet.subjects.event("default", "e1", "1", "x"), data)
    ended = await fleet.run("true", "linux")
    assert ended.state is ExecutionState.SUCCEEDED
    page = await fleet.client.call(catalog.EXECUTION_LIST, ExecutionListRequest())
    assert [view.id for view in page.executions] == [ended.id]


async def test_a_beat_that_nobody_understands_is_passed_over(fleet: System) -> None:
    for data in (b"\xff", b'{"type":"runbus.runner_beat.v9"}', b"{}"):
        await fleet.bus.client.publish(fleet.subjects.beat("a1"), data)
    await fleet.runners_ready("a1")


async def test_rubbish_in_a_bucket_stops_no_service(fleet: System) -> None:
    """Someone wrote into the buckets by hand; a service that starts afterwards is ready all the same."""
    subjects = fleet.subjects
    for bucket, key in (
        (subjects.jobs_bucket, "default.x"),
        (subjects.sets_bucket, "default.x"),
        (subjects.runners_bucket, "x"),
        (subjects.projects_bucket, "x"),
    ):
        store: Any = await fleet.bus.js.key_value(bucket)
        await store.put(key, b"\xff")
    fleet.start_registry()
    fleet.start_dispatcher()
    fleet.start_runner("b1", "linux")
    await fleet.runners_ready("b1")
    ended = await asyncio.gather(*(fleet.run("true", "linux") for _ in range(6)))
    assert {view.state for view in ended} == {ExecutionState.SUCCEEDED}
