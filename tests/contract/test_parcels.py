"""Parcels on a real server: parked, got back whole, damaged, expired and removed."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus import parcels as module
from bus.connection import Bus
from bus.parcels import CHUNK_BYTES, Parcels
from schemas.errors import ErrorCode, RunbusError
from schemas.subjects import Subjects
from tests.support.waiting import eventually


@pytest.fixture
async def parcels(bus: Bus) -> AsyncIterator[Parcels]:
    opened = await Parcels.open(bus, f"t{secrets.token_hex(4)}_parcels")
    yield opened
    await bus.js.delete_stream(opened.bucket)


def noise(size: int) -> bytes:
    """What no compression makes smaller."""
    return random.Random(size).randbytes(size)


async def stored_bytes(bus: Bus, parcels: Parcels) -> int:
    return (await bus.js.stream_info(parcels.bucket)).state.bytes


async def lost(parcels: Parcels, name: str) -> str:
    with pytest.raises(RunbusError) as caught:
        await parcels.get(name)
    assert caught.value.code is ErrorCode.PARCEL_LOST
    return caught.value.message


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"text " * 100_000, noise(CHUNK_BYTES), noise(CHUNK_BYTES + 1), noise(3_000_000)],
    ids=["nothing", "a byte", "text", "a chunk", "a chunk and a byte", "3 MB"],
)
async def test_what_was_parked_comes_back(parcels: Parcels, data: bytes) -> None:
    name = await parcels.put(data)
    assert await parcels.get(name) == data


@given(data=st.binary(max_size=300), repeated=st.integers(0, 400))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_was_parked_comes_back(parcels: Parcels, data: bytes, repeated: int) -> None:
    assert await parcels.get(await parcels.put(data * repeated)) == data * repeated


async def test_what_compresses_takes_less_room(bus: Bus, parcels: Parcels) -> None:
    await parcels.put(b"the same again " * 100_000)
    assert await stored_bytes(bus, parcels) < 100_000


async def test_the_same_data_twice_is_two_parcels(parcels: Parcels) -> None:
    first, second = await parcels.put(b"data"), await parcels.put(b"data")
    await parcels.remove(first)
    assert await parcels.get(second) == b"data"


async def test_many_at_once_do_not_mix(parcels: Parcels) -> None:
    data = [noise(CHUNK_BYTES * 2 + number) for number in range(10)]
    names = await asyncio.gather(*map(parcels.put, data))
    assert await asyncio.gather(*map(parcels.get, names)) == data


async def test_a_removed_parcel_is_lost_and_leaves_nothing(bus: Bus, parcels: Parcels) -> None:
    name = await parcels.put(noise(CHUNK_BYTES * 3))
    await parcels.remove(name)
    await parcels.remove(name)
    assert "not there" in await lost(parcels, name)
    assert await stored_bytes(bus, parcels) == 0


async def test_a_parcel_without_one_of_its_chunks_is_lost(bus: Bus, parcels: Parcels) -> None:
    name = await parcels.put(noise(CHUNK_BYTES * 3))
    await bus.purge(parcels.bucket, Subjects.parcel_chunk(parcels.bucket, name, 1))
    assert "not whole" in await lost(parcels, name)


@pytest.mark.parametrize("data", [b"text " * 10_000, noise(5_000)], ids=["packed", "as it is"])
async def test_a_changed_parcel_is_damaged(bus: Bus, parcels: Parcels, data: bytes) -> None:
    name = await parcels.put(data)
    subject = Subjects.parcel_chunk(parcels.bucket, name, 0)
    stored = await bus.js.get_last_msg(parcels.bucket, subject)
    changed = bytearray(stored.data or b"")
    changed[len(changed) // 2] ^= 1
    await bus.js.publish(subject, bytes(changed), headers=dict(stored.headers or {}))
    assert "damaged" in await lost(parcels, name)


@pytest.mark.parametrize("headers", [None, {"Runbus-Chunks": "x", "Runbus-Bytes": "1"},
                                     {"Runbus-Chunks": "999999999", "Runbus-Bytes": "1"},
                                     {"Runbus-Chunks": "1", "Runbus-Bytes": "99999999999"},
                                     {"Runbus-Chunks": "1", "Runbus-Bytes": "9"}])  # fmt: skip
async def test_a_parcel_that_does_not_tell_what_it_is_is_damaged(
    bus: Bus, parcels: Parcels, headers: dict[str, str] | None
) -> None:
    name = await parcels.put(b"data")
    await bus.js.publish(Subjects.parcel_chunk(parcels.bucket, name, 0), b"data", headers=headers)
    assert "damaged" in await lost(parcels, name)


@pytest.mark.parametrize("name", ["", "x", "*", ">", "a.b", "0" * 58, f"{0:08x}-{0:016x}-{0:032x} "])
async def test_what_is_no_name_is_lost_and_never_asked_for(parcels: Parcels, name: str) -> None:
    await parcels.put(b"data")
    assert "not the name" in await lost(parcels, name)


async def test_a_name_that_was_never_given_is_lost(parcels: Parcels) -> None:
    assert "not there" in await lost(parcels, f"{1:08x}-{1:016x}-{1:032x}")


@pytest.mark.slow
async def test_a_parcel_ends_with_its_own_time(parcels: Parcels) -> None:
    short, long = await parcels.put(b"short", ttl_s=1), await parcels.put(b"long")

    async def gone() -> bool:
        try:
            await parcels.get(short)
        except RunbusError:
            return True
        return False

    await eventually(gone, what="the parcel expires")
    assert await parcels.get(long) == b"long"


async def test_a_store_opened_twice_keeps_its_parcels_and_its_time(bus: Bus, parcels: Parcels) -> None:
    name = await parcels.put(b"data")
    again = await Parcels.open(bus, parcels.bucket, ttl_s=60)
    assert await again.get(name) == b"data"
    assert (await bus.js.stream_info(parcels.bucket)).config.max_age == module.DEFAULT_TTL_S


async def test_old_parcels_that_nobody_keeps_are_removed(parcels: Parcels, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as past:
        past.setattr("time.time", lambda: 1_000_000_000.0)
        kept, old = await parcels.put(b"kept"), await parcels.put(noise(CHUNK_BYTES * 2))
    new = await parcels.put(b"new")
    assert await parcels.remove_all_but([kept], older_than_s=3600) == 1
    assert (await parcels.get(kept), await parcels.get(new)) == (b"kept", b"new")
    await lost(parcels, old)


async def test_more_than_a_parcel_takes_is_refused(parcels: Parcels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    with pytest.raises(RunbusError, match="more than a parcel takes") as caught:
        await parcels.put(b"x" * 11)
    assert caught.value.code is ErrorCode.TOO_LARGE


async def test_a_store_that_is_not_there_is_unavailable(bus: Bus) -> None:
    with pytest.raises(RunbusError) as caught:
        await Parcels(bus, "no_such_store").put(b"data")
    assert caught.value.code is ErrorCode.UNAVAILABLE
