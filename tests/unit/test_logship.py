"""The way of a log to the bus: complete, in order, within a message's size, whatever the bus does."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from schemas.codec import decode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import LogChunk
from services.runner import logship
from services.runner.logship import LogLabel, LogShip
from tests.support.eventlog import FakeEventLog

SUBJECT = "rb.p.log.e1.1.a1"
OUT = LogLabel(stream="stdout", step=1)
ERR = LogLabel(stream="stderr", step=1)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logship, "_RETRY_S", 0.0)


class ShutLog(FakeEventLog):
    """Takes nothing until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = asyncio.Event()

    async def append(self, *args: Any, **fields: Any) -> int:
        await self.opened.wait()
        return await super().append(*args, **fields)


def ship_to(log: FakeEventLog) -> LogShip:
    bus: Any = log
    return LogShip(bus, SUBJECT, attempt=1, msg_id="m")


def chunks(log: FakeEventLog) -> list[LogChunk]:
    return [decode(each.data, LogChunk) for each in log.messages]


def stream_of(log: FakeEventLog, stream: str) -> bytes:
    return b"".join(
        base64.b64decode(entry.base64) if entry.base64 else entry.text.encode()
        for chunk in sorted(chunks(log), key=lambda chunk: chunk.chunk)
        for entry in chunk.entries
        if entry.stream == stream
    )


async def test_what_was_written_is_stored_when_finish_returns() -> None:
    log = FakeEventLog()
    ship = ship_to(log)
    await ship.write(OUT, b"one\n")
    await ship.write(ERR, b"two\n")
    assert await ship.finish() == len(log.messages)
    assert (stream_of(log, "stdout"), stream_of(log, "stderr")) == (b"one\n", b"two\n")


async def test_nothing_written_is_nothing_stored() -> None:
    log = FakeEventLog()
    assert await ship_to(log).finish() == 0
    assert log.messages == []


async def test_a_lost_acknowledgement_doubles_nothing() -> None:
    log = FakeEventLog()
    log.lose_acks = 3
    ship = ship_to(log)
    for number in range(100):
        await ship.write(OUT, f"{number}\n".encode())
    await ship.finish()
    assert stream_of(log, "stdout") == b"".join(f"{number}\n".encode() for number in range(100))


@pytest.mark.parametrize("byte", [b"\0", b"\xff", b"x", b'"'])
async def test_what_grows_most_as_json_still_fits(byte: bytes) -> None:
    log = FakeEventLog()
    ship = ship_to(log)
    await ship.write(OUT, byte * 1_000_000)
    await ship.finish()
    assert stream_of(log, "stdout") == byte * 1_000_000


@pytest.mark.slow
async def test_a_great_many_tiny_pieces_that_waited_for_the_bus_still_fit() -> None:
    """By turns to both streams while the bus is away: each piece costs more as JSON than it holds."""
    log = ShutLog()
    ship = ship_to(log)

    async def write() -> None:
        for _ in range(60_000):
            await ship.write(OUT, b"o")
            await ship.write(ERR, b"e")

    writing = asyncio.ensure_future(write())
    for _ in range(10):
        await asyncio.sleep(0)
    log.opened.set()
    await writing
    await ship.finish()
    assert stream_of(log, "stdout") == b"o" * 60_000
    assert stream_of(log, "stderr") == b"e" * 60_000


async def test_a_writer_waits_while_the_bus_takes_nothing() -> None:
    log = ShutLog()
    ship = ship_to(log)
    written = 0

    async def write() -> None:
        nonlocal written
        for _ in range(100):
            await ship.write(OUT, b"x" * logship.CHUNK_BYTES)
            written += 1

    writing = asyncio.ensure_future(write())
    for _ in range(300):
        await asyncio.sleep(0)
    assert written <= logship.IN_FLIGHT + 1
    log.opened.set()
    await writing
    await ship.finish()
    assert len(stream_of(log, "stdout")) == 100 * logship.CHUNK_BYTES


async def test_a_bus_that_takes_less_is_sent_less() -> None:
    class Small(FakeEventLog):
        @property
        def max_payload_bytes(self) -> int:
            return 64 * 1024

    log = Small()
    ship = ship_to(log)
    await ship.write(OUT, b"\0" * 500_000)
    await ship.finish()
    assert max(len(each.data) for each in log.messages) <= 64 * 1024
    assert stream_of(log, "stdout") == b"\0" * 500_000


async def test_a_chunk_that_the_bus_will_never_take_is_raised_to_whoever_ships() -> None:
    class Full(FakeEventLog):
        async def append(self, *_args: Any, **_fields: Any) -> int:
            raise RunbusError(ErrorCode.TOO_LARGE, "never")

    ship = ship_to(Full())
    await ship.write(OUT, b"x")
    with pytest.raises(RunbusError):
        await ship.finish()


async def test_output_of_different_labels_never_shares_an_entry() -> None:
    log = FakeEventLog()
    ship = ship_to(log)
    labels = [
        OUT,
        LogLabel(stream="stdout", step=2),
        LogLabel(stream="stdout", step=1, node="web-1"),
        LogLabel(stream="stdout", step=1, context="2/1"),
        LogLabel(stream="stdout", step=1, level="VERBOSE"),
        LogLabel(stream="stdout", step=1, meta=(("content-data-type", "text/csv"),)),
    ]
    for label in [*labels, *labels]:
        await ship.write(label, b"x")
    await ship.finish()
    entries = [entry for chunk in chunks(log) for entry in chunk.entries]
    assert [entry.text for entry in entries] == ["x"] * 12
    assert [(e.step, e.node, e.context, e.level, e.meta) for e in entries[:6]] == [
        (label.step, label.node, label.context, label.level, dict(label.meta)) for label in labels
    ]


async def test_a_character_cut_in_two_waits_for_its_other_half_by_label() -> None:
    log = FakeEventLog()
    ship = ship_to(log)
    one, two = (LogLabel(stream="stdout", step=1, node=node) for node in ("a", "b"))
    for label, half in ((one, b"1\xc3"), (two, b"2\xc3"), (one, b"\xa9"), (two, b"\xb6")):
        await ship.write(label, half)
    await ship.finish()
    entries = [entry for chunk in chunks(log) for entry in chunk.entries]
    assert [(entry.node, entry.text) for entry in entries] == [("a", "1"), ("b", "2"), ("a", "é"), ("b", "ö")]
    assert not any(entry.base64 for entry in entries)
