"""Following a stream on a real server: every message once and in order, also across a restart of the server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from bus.connection import Bus, connect
from bus.follow import Follower
from bus.lifecycle import Background
from bus.pull import Delivery
from bus.server import EmbeddedServer
from bus.streams import ensure_stream
from tests.support.waiting import eventually

Stream = tuple[str, str]


@pytest.fixture
async def stream(bus: Bus) -> AsyncIterator[Stream]:
    prefix = f"t{secrets.token_hex(4)}"
    await ensure_stream(bus, prefix.upper(), f"{prefix}.>")
    yield prefix.upper(), prefix
    await bus.js.delete_stream(prefix.upper())


class Heard:
    """What a follower was told."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.data: list[bytes] = []

    async def take(self, delivery: Delivery) -> None:
        self.seqs.append(delivery.seq)
        self.data.append(delivery.data)


async def fill(bus: Bus, subject: str, numbers: range) -> None:
    for start in range(numbers.start, numbers.stop, 500):
        part = range(start, min(start + 500, numbers.stop))
        for number in part[:-1]:
            await bus.client.publish(subject, str(number).encode())
        await bus.append(subject, str(part[-1]).encode())


async def test_five_thousand_messages_in_order(bus: Bus, stream: Stream) -> None:
    name, prefix = stream
    await fill(bus, f"{prefix}.a", range(3000))
    heard = Heard()
    follower = Follower(bus, name, f"{prefix}.>", on_message=heard.take)
    async with Background(follower.run()):
        await fill(bus, f"{prefix}.a", range(3000, 5000))
        await eventually(lambda: len(heard.data) >= 5000, what="all are told")
    assert heard.data == [str(number).encode() for number in range(5000)]
    assert heard.seqs == list(range(1, 5001))


async def test_it_begins_behind_a_sequence_and_keeps_to_its_subject(bus: Bus, stream: Stream) -> None:
    name, prefix = stream
    for number in range(10):
        await bus.append(f"{prefix}.{'a' if number % 2 else 'b'}", str(number).encode())
    heard = Heard()
    follower = Follower(bus, name, f"{prefix}.a", on_message=heard.take, after_seq=4)
    async with Background(follower.run()):
        await follower.caught_up.wait()
        assert heard.data == [b"5", b"7", b"9"]


async def test_a_slow_consumer_of_messages_loses_none(bus: Bus, stream: Stream) -> None:
    name, prefix = stream
    heard = Heard()

    async def take(delivery: Delivery) -> None:
        await asyncio.sleep(0)
        await bus.flush()
        await heard.take(delivery)

    await fill(bus, f"{prefix}.a", range(1500))
    follower = Follower(bus, name, f"{prefix}.>", on_message=take)
    async with Background(follower.run()):
        await eventually(lambda: len(heard.data) >= 1500, what="all are told")
    assert heard.seqs == list(range(1, 1501))


async def test_a_consumer_that_someone_deletes_is_made_anew_without_gap_or_double(bus: Bus, stream: Stream) -> None:
    name, prefix = stream
    await fill(bus, f"{prefix}.a", range(100))
    heard = Heard()
    follower = Follower(bus, name, f"{prefix}.>", on_message=heard.take)
    async with Background(follower.run()):
        await follower.caught_up.wait()
        for consumer in await bus.js.consumers_info(name):
            await bus.js.delete_consumer(name, consumer.name)
        await fill(bus, f"{prefix}.a", range(100, 200))
        await eventually(lambda: len(heard.data) >= 200, what="all are told")
    assert heard.seqs == list(range(1, 201))


async def test_a_stream_that_comes_later_is_followed(bus: Bus) -> None:
    prefix = f"t{secrets.token_hex(4)}"
    heard = Heard()
    follower = Follower(bus, prefix.upper(), f"{prefix}.>", on_message=heard.take)
    async with Background(follower.run()):
        await ensure_stream(bus, prefix.upper(), f"{prefix}.>")
        await bus.append(f"{prefix}.a", b"x")
        await eventually(lambda: heard.data == [b"x"], what="it is told")
    await bus.js.delete_stream(prefix.upper())


@pytest.mark.parametrize("how", ["gracefully", "killed"])
@pytest.mark.slow
async def test_a_restart_of_the_server_makes_no_gap_and_no_double(server: EmbeddedServer, how: str) -> None:
    async with connect(server.url, name="runbus-test") as bus:
        await ensure_stream(bus, "S", "s.>")
        await fill(bus, "s.a", range(1000))
        heard = Heard()
        follower = Follower(bus, "S", "s.>", on_message=heard.take)
        async with Background(follower.run()):
            await follower.caught_up.wait()
            await fill(bus, "s.a", range(1000, 1200))
            if how == "killed":
                import os  # noqa: PLC0415
                import signal  # noqa: PLC0415

                assert server.pid is not None
                os.kill(server.pid, signal.SIGKILL)
                await server.ended()
            await server.stop()
            await server.start()
            await eventually(lambda: bus.client.is_connected, what="it is connected again")
            await fill(bus, "s.a", range(1200, 1700))
            await eventually(lambda: len(heard.data) >= 1700, within_s=15.0, what="all are told")
    assert heard.data == [str(number).encode() for number in range(1700)]


async def test_reach_and_sync_say_when_it_takes_longer(bus: Bus, stream: Stream) -> None:
    name, prefix = stream
    heard = Heard()
    follower = Follower(bus, name, f"{prefix}.>", on_message=heard.take)
    async with Background(follower.run()):
        await bus.append(f"{prefix}.a", b"x")
        assert await follower.sync()
        assert heard.data == [b"x"]
        assert not await follower.reach(2, within_s=0.05)
