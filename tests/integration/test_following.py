"""Following an execution whose end or log is not as a runner leaves it: the end is told, and nothing missed."""

from __future__ import annotations

import asyncio
import tracemalloc
from datetime import UTC, datetime
from typing import Final

import pytest

from bus.connection import StoredMessage
from runbus.client import LogPiece
from schemas.api import ExecutionView
from schemas.codec import encode
from schemas.errors import ErrorCode, ErrorInfo
from schemas.events import AssignmentFinished, AssignmentStarted, Event, ExecutionQueued, LogChunk, LogEntry
from schemas.jobs import Step
from schemas.states import ExecutionState
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

PROJECT, EXECUTION = "default", "made-by-hand"
CHUNK_CHARS: Final = 100_000
PROMPTLY_S: Final = 5.0


async def write_log(system: System, chunks: int) -> list[int]:
    """Store log chunks as a runner does; returns their sequences."""
    subject = system.subjects.log(PROJECT, EXECUTION, "1", "web-1")
    stored = []
    for number in range(1, chunks + 1):
        entry = LogEntry(at=0.0, stream="stdout", step=1, text=f"{number:06} {'x' * CHUNK_CHARS}\n")
        stored.append(await system.bus.append(subject, encode(LogChunk(chunk=number, attempt=1, entries=[entry]))))
    return stored


async def write_events(system: System) -> None:
    """Store the history of an execution whose runner was lost: a dispatcher writes the end, and knows of no log."""
    now = datetime.now(UTC)
    step = Step(plugin="command", config={"command": "true"})
    lost = ErrorInfo(code=ErrorCode.RUNNER_LOST, message="gone")
    queued = ExecutionQueued(execution=EXECUTION, project=PROJECT, at=now, title="true", steps=[step], set="linux")
    started = AssignmentStarted(
        execution=EXECUTION, assignment="1", project=PROJECT, attempt=1, at=now, runner="web-1", instance="i"
    )
    finished = AssignmentFinished(
        execution=EXECUTION, assignment="1", project=PROJECT, attempt=1, at=now, state=ExecutionState.LOST, error=lost
    )
    history: list[tuple[str, str, Event]] = [
        ("0", "dispatcher", queued), ("1", "web-1", started), ("1", "dispatcher", finished)
    ]  # fmt: skip
    for assignment, author, event in history:
        await system.bus.append(system.subjects.event(PROJECT, EXECUTION, assignment, author), encode(event))


async def followed(system: System, after_log_seq: int = 0) -> tuple[list[int], ExecutionView]:
    """The sequences of the log pieces, and the last item."""
    async with asyncio.timeout(PROMPTLY_S):
        items = [item async for item in system.client.follow(PROJECT, EXECUTION, after_log_seq=after_log_seq)]
    final = items[-1]
    assert isinstance(final, ExecutionView)
    assert final.state is ExecutionState.LOST
    return [item.seq for item in items if isinstance(item, LogPiece)], final


async def test_the_whole_log_is_told_where_a_dispatcher_wrote_the_end(system: System) -> None:
    await system.up()
    stored = await write_log(system, 100)
    await write_events(system)
    assert (await followed(system))[0] == stored
    assert (await followed(system, after_log_seq=stored[-2]))[0] == stored[-1:]


async def test_an_end_without_any_log_is_told_at_once(system: System) -> None:
    await system.up()
    await write_events(system)
    assert (await followed(system))[0] == []


@pytest.mark.parametrize("kept", [0, 2])
async def test_a_log_that_was_removed_is_not_waited_for(system: System, kept: int) -> None:
    await system.up("local")
    ended = await system.run("for i in 1 2 3 4; do head -c 200000 /dev/zero | tr '\\0' x; done")
    pieces = [piece.seq for piece in await system.log(ended.id)]
    assert len(pieces) > kept
    for seq in pieces[kept:]:
        await system.bus.js.delete_msg(system.subjects.logs_stream, seq)
    async with asyncio.timeout(PROMPTLY_S):
        items = [item async for item in system.client.follow(PROJECT, ended.id)]
    assert [item.seq for item in items if isinstance(item, LogPiece)] == pieces[:kept]
    assert isinstance(items[-1], ExecutionView)
    assert items[-1].last_log_seq == pieces[-1]


async def test_a_log_that_is_removed_while_it_is_read_is_not_waited_for(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the question for the last piece and its arrival: the log is longer than what is on its way."""
    await system.up()
    stored = await write_log(system, 200)
    ask = system.bus.last_message

    async def then_remove(stream: str, subject: str) -> StoredMessage | None:
        found = await ask(stream, subject)
        await system.bus.purge(stream, subject)
        return found

    monkeypatch.setattr(system.bus, "last_message", then_remove)
    async with asyncio.timeout(PROMPTLY_S):
        pieces = [piece.seq async for piece in system.client.log(PROJECT, EXECUTION)]
    assert pieces == stored[: len(pieces)]
    assert len(pieces) < len(stored)


async def test_a_long_log_is_read_in_bounded_memory(system: System) -> None:
    await system.up()
    stored = await write_log(system, 400)
    tracemalloc.start()
    try:
        pieces = [piece.seq async for piece in system.client.log(PROJECT, EXECUTION)]
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert pieces == stored
    assert peak_bytes < 200 * CHUNK_CHARS


async def test_a_reader_that_leaves_amid_a_long_log_holds_nobody_up(system: System) -> None:
    await system.up()
    stored = await write_log(system, 200)
    pieces = system.client.log(PROJECT, EXECUTION)
    async with asyncio.timeout(PROMPTLY_S):
        first = await anext(aiter(pieces))
        await pieces.aclose()  # type: ignore[attr-defined]
    assert first.seq == stored[0]


async def test_followers_that_are_done_leave_nothing_behind(system: System) -> None:
    """Each ends in its first millisecond, when its consumers are being made: none may hang, and none stay."""
    await system.up("local")
    ended = await system.run("echo x")
    streams = [system.subjects.events_stream, system.subjects.logs_stream]
    before = [(await system.bus.js.stream_info(stream)).state.consumer_count for stream in streams]
    for _ in range(50):
        async with asyncio.timeout(PROMPTLY_S):
            items = [item async for item in system.client.follow(PROJECT, ended.id, after_log_seq=ended.last_log_seq)]
        assert items[-1] == ended

    async def gone() -> bool:
        now = [(await system.bus.js.stream_info(stream)).state.consumer_count for stream in streams]
        assert now == before
        return True

    await eventually(gone, what="their consumers are gone")
