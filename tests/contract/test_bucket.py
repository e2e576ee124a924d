"""Buckets on a real server: conditional writes, and watching."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from bus.bucket import Bucket, StaleRevisionError
from bus.connection import Bus
from bus.lifecycle import Background
from schemas.api import ProjectRecord
from tests.support.waiting import eventually


@pytest.fixture
async def bucket(bus: Bus) -> AsyncIterator[Bucket[ProjectRecord]]:
    opened = await Bucket.open(bus, f"t{secrets.token_hex(4)}", ProjectRecord)
    yield opened
    await bus.js.delete_key_value(opened.name)


def value(text: str) -> ProjectRecord:
    return ProjectRecord(name="p", description=text)


async def test_what_was_put_is_there_with_its_revision(bucket: Bucket[ProjectRecord]) -> None:
    assert await bucket.get("p") is None
    first = await bucket.put("p", value("one"))
    second = await bucket.put("p", value("two"))
    assert second > first
    assert await bucket.get("p") == (value("two"), second)
    await bucket.delete("p")
    assert await bucket.get("p") is None
    await bucket.delete("never-there")


async def test_a_write_on_a_revision_that_is_past_is_refused(bucket: Bucket[ProjectRecord]) -> None:
    first = await bucket.write("p", value("one"), revision=0)
    with pytest.raises(StaleRevisionError):
        await bucket.write("p", value("other"), revision=0)
    second = await bucket.write("p", value("two"), revision=first)
    with pytest.raises(StaleRevisionError):
        await bucket.write("p", value("other"), revision=first)
    assert await bucket.get("p") == (value("two"), second)


async def test_a_removed_key_can_be_made_again(bucket: Bucket[ProjectRecord]) -> None:
    await bucket.write("p", value("one"), revision=0)
    await bucket.delete("p")
    await bucket.write("p", value("two"), revision=0)
    found = await bucket.get("p")
    assert found is not None
    assert found[0] == value("two")


async def test_one_of_many_writers_of_a_revision_wins(bucket: Bucket[ProjectRecord]) -> None:
    first = await bucket.write("p", value("one"), revision=0)

    async def write(number: int) -> bool:
        try:
            await bucket.write("p", value(str(number)), revision=first)
        except StaleRevisionError:
            return False
        return True

    assert sum(await asyncio.gather(*(write(number) for number in range(20)))) == 1


async def test_opening_twice_at_once_is_one_bucket(bus: Bus) -> None:
    name = f"t{secrets.token_hex(4)}"
    opened = await asyncio.gather(*(Bucket.open(bus, name, ProjectRecord) for _ in range(5)))
    await opened[0].put("p", value("one"))
    assert await opened[4].get("p") is not None
    await bus.js.delete_key_value(name)


async def test_a_watch_tells_what_is_there_then_changes_and_removals(bus: Bus, bucket: Bucket[ProjectRecord]) -> None:
    told: list[tuple[str, str | None]] = []

    async def hear(key: str, record: ProjectRecord | None) -> None:
        told.append((key, record.description if record else None))

    await bucket.put("a", value("a1"))
    await bucket.put("b", value("b1"))
    await bucket.put("a", value("a2"))
    watch = bucket.watch(hear)
    async with Background(watch.run()):
        await watch.caught_up.wait()
        assert sorted(told, key=str) == [("a", "a2"), ("b", "b1")]
        await bucket.put("c.d", value("c1"))
        await bucket.delete("a")
        await watch.sync()
        assert told[2:] == [("c.d", "c1"), ("a", None)]
        store = await bus.js.key_value(bucket.name)
        await store.put("b", b"\xff")
        await bucket.put("b", value("b2"))
        await eventually(lambda: ("b", "b2") in told, what="it goes on behind what nobody understands")
        assert len(told) == 5


async def test_an_empty_bucket_is_caught_up_at_once(bucket: Bucket[ProjectRecord]) -> None:
    async def hear(key: str, record: ProjectRecord | None) -> None:
        raise AssertionError(f"there is nothing to tell of: {key} {record}")

    watch = bucket.watch(hear)
    async with Background(watch.run()):
        async with asyncio.timeout(5):
            await watch.caught_up.wait()
        assert await watch.sync()
