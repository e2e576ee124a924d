"""One suite for the event log in memory and the real one: what claims, ends and idempotent requests rest on."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from bus.connection import Bus, Condition, WrongLastSequenceError
from bus.streams import ensure_stream
from schemas.errors import ErrorCode, RunbusError
from tests.support.eventlog import EventLog, FakeEventLog

Log = tuple[EventLog, str, str]
"""The log, its stream and its prefix."""


@pytest.fixture(params=["fake", "real"])
async def log(request: pytest.FixtureRequest) -> AsyncIterator[Log]:
    prefix = f"t{secrets.token_hex(4)}"
    stream = prefix.upper()
    if request.param == "fake":
        yield FakeEventLog(), stream, prefix
        return
    url = request.getfixturevalue("nats_url")
    from bus.connection import connect  # noqa: PLC0415

    async with connect(url, name="runbus-test") as bus:
        await ensure_stream(bus, stream, f"{prefix}.>")
        yield bus, stream, prefix
        await bus.js.delete_stream(stream)


async def test_sequences_rise(log: Log) -> None:
    at, _, name = log
    seqs = [await at.append(f"{name}.e.1.a", b"x") for _ in range(5)]
    assert seqs == [1, 2, 3, 4, 5]


async def test_a_message_id_is_stored_once_and_answered_with_its_sequence(log: Log) -> None:
    at, stream, name = log
    first = await at.append(f"{name}.e.1.a", b"first", msg_id="m")
    await at.append(f"{name}.e.1.a", b"between")
    assert await at.append(f"{name}.e.1.a", b"again", msg_id="m") == first
    last = await at.last_message(stream, f"{name}.e.1.a")
    assert last is not None
    assert (last.data, last.seq) == (b"between", 2)


async def test_condition_0_holds_where_there_is_nothing(log: Log) -> None:
    at, _, name = log
    condition = Condition(f"{name}.e.1.*", 0)
    assert await at.append(f"{name}.e.1.a", b"x", condition=condition) == 1
    with pytest.raises(WrongLastSequenceError) as caught:
        await at.append(f"{name}.e.1.a", b"x", condition=condition)
    assert (caught.value.subject, caught.value.expected) == (condition.subject, 0)
    assert await at.append(f"{name}.e.2.a", b"x", condition=Condition(f"{name}.e.2.*", 0)) == 2


async def test_a_condition_on_a_wildcard_counts_every_author(log: Log) -> None:
    at, stream, name = log
    claim = await at.append(f"{name}.e.1.a1", b"claim", condition=Condition(f"{name}.e.1.*", 0))
    for wrong in (0, claim + 1, claim - 1):
        with pytest.raises(WrongLastSequenceError):
            await at.append(f"{name}.e.1.b1", b"x", condition=Condition(f"{name}.e.1.*", wrong))
    await at.append(f"{name}.e.2.a1", b"another assignment")
    end = await at.append(f"{name}.e.1.dispatcher", b"end", condition=Condition(f"{name}.e.1.*", claim))
    with pytest.raises(WrongLastSequenceError):
        await at.append(f"{name}.e.1.a1", b"late", condition=Condition(f"{name}.e.1.*", claim))
    last = await at.last_message(stream, f"{name}.e.1.*")
    assert last is not None
    assert (last.seq, last.subject, last.data) == (end, f"{name}.e.1.dispatcher", b"end")


async def test_a_refused_append_stores_nothing_and_keeps_its_message_id_free(log: Log) -> None:
    at, _, name = log
    seq = await at.append(f"{name}.e.1.a", b"x")
    with pytest.raises(WrongLastSequenceError):
        await at.append(f"{name}.e.1.a", b"y", msg_id="m", condition=Condition(f"{name}.e.1.*", 0))
    assert await at.append(f"{name}.e.1.a", b"y", msg_id="m", condition=Condition(f"{name}.e.1.*", seq)) == seq + 1


async def test_one_of_fifty_claims_wins(log: Log) -> None:
    at, stream, name = log

    async def claim(number: int) -> int | None:
        try:
            return await at.append(
                f"{name}.e.1.r{number}", b"claim", msg_id=f"claim.{number}", condition=Condition(f"{name}.e.1.*", 0)
            )
        except WrongLastSequenceError:
            return None

    won = [seq for seq in await asyncio.gather(*(claim(number) for number in range(50))) if seq is not None]
    assert won == [1]
    last = await at.last_message(stream, ">")
    assert last is not None
    assert last.seq == 1


async def retried(at: EventLog, subject: str, condition: Condition) -> int | None:
    try:
        return await at.append(subject, b"claim", msg_id="claim.a", condition=condition)
    except WrongLastSequenceError:
        return None


async def test_a_retry_of_a_stored_conditional_append_is_refused_and_the_last_message_tells_whose_it_is(
    log: Log,
) -> None:
    """A claim whose acknowledgement was lost is tried again: by then its own event is what the condition sees."""
    at, stream, name = log
    subject, condition = f"{name}.e.1.a", Condition(f"{name}.e.1.*", 0)
    first = await at.append(subject, b"claim", msg_id="claim.a", condition=condition)
    assert await retried(at, subject, condition) in (None, first), "a server may know it by its message id"
    last = await at.last_message(stream, condition.subject)
    assert last is not None
    assert (last.subject, last.data, last.seq) == (subject, b"claim", first)
    end = await at.append(f"{name}.e.1.dispatcher", b"end", condition=Condition(condition.subject, first))
    await retried(at, subject, condition)
    last = await at.last_message(stream, condition.subject)
    assert last is not None
    assert (last.data, last.seq) == (b"end", end)


async def test_retries_of_one_append_at_the_same_time_are_one_message(log: Log) -> None:
    at, stream, name = log
    subject, condition = f"{name}.e.1.a", Condition(f"{name}.e.1.*", 0)
    seqs = await asyncio.gather(*(retried(at, subject, condition) for _ in range(10)))
    assert set(seqs) - {None} == {1}
    last = await at.last_message(stream, ">")
    assert last is not None
    assert last.seq == 1


async def test_first_and_last_under_a_subject(log: Log) -> None:
    at, stream, name = log
    assert await at.last_message(stream, f"{name}.e.*.*") is None
    assert await at.first_message(stream, f"{name}.e.1.a") is None
    for number in range(3):
        await at.append(f"{name}.other", b"noise")
        await at.append(f"{name}.e.1.a", str(number).encode())
    first, last = await at.first_message(stream, f"{name}.e.1.a"), await at.last_message(stream, f"{name}.e.1.>")
    assert first is not None
    assert last is not None
    assert (first.data, first.seq, last.data, last.seq) == (b"0", 2, b"2", 6)


async def test_data_of_any_bytes_comes_back(log: Log) -> None:
    at, stream, name = log
    data = bytes(range(256))
    await at.append(f"{name}.e.1.a", data)
    last = await at.last_message(stream, f"{name}.e.1.a")
    assert last is not None
    assert last.data == data


async def test_more_than_a_message_holds_is_refused(log: Log) -> None:
    at, stream, name = log
    with pytest.raises(RunbusError) as caught:
        await at.append(f"{name}.e.1.a", b"x" * (2 * 1024 * 1024))
    assert caught.value.code is ErrorCode.TOO_LARGE
    assert await at.last_message(stream, ">") is None


async def test_a_subject_that_no_stream_takes(bus: Bus) -> None:
    with pytest.raises(RunbusError) as caught:
        await bus.append(f"none{secrets.token_hex(4)}.x", b"x")
    assert caught.value.code is ErrorCode.UNAVAILABLE
