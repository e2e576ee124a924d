"""The floor of a job's way: the raw operations that it cannot do without, with bare nats-py, between two processes.

From request to result a job is, on its critical path,

1. ``request``: the client's request and the dispatcher's reply to it;
2. ``assignment``: a message published to JetStream, and received by another process whose pull was waiting for it;
3. ``claim``: a message published to JetStream, and its acknowledgement;
4. ``spawn``: ``subprocess.Popen("/bin/true")`` and ``wait``;
5. ``finished``: as 2, in the other direction.

None of them can begin before the one above it is done (1 encloses the others), so their times add up. A round takes
one sample of each and adds them; the floor is the distribution of these sums. Queueing, the log and the ack of the
assignment are not on the path, and are not counted.

The event loops are those of the real processes: uvloop in the one that plays the dispatcher, asyncio's own in this
one, which plays client and runner. Both read the same clock (CLOCK_MONOTONIC), so one way is measured as one way.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from benchmarks.peer import peer, serve

STREAM: Final = "FLOOR"
PAYLOAD: Final = b"x" * 300
"""About what an assignment and an event take."""
PARTS: Final = ("request", "assignment", "claim", "spawn", "finished")


class Floor:
    """Takes rounds of samples. ``samples`` holds each part's, in seconds; ``sums`` those of whole rounds."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._js = client.jetstream()
        self._took: asyncio.Future[float] | None = None
        self.samples: dict[str, list[float]] = {name: [] for name in PARTS}

    @property
    def sums(self) -> list[float]:
        """One round's parts, added."""
        return [sum(parts) for parts in zip(*self.samples.values(), strict=True)]

    async def prepare(self) -> None:
        """Make the stream and both consumers."""
        await self._js.add_stream(name=STREAM, subjects=["floor.assignment", "floor.claim", "floor.finished"])
        for name in ("assignment", "finished"):
            await self._js.add_consumer(
                STREAM, ConsumerConfig(durable_name=name, filter_subject=f"floor.{name}", ack_policy=AckPolicy.NONE)
            )
        await self._client.subscribe("floor.inbox.assignment", cb=self._receive_assignment)
        await self._client.subscribe("floor.took", cb=self._receive_took)

    async def block(self, rounds: int) -> None:
        """Take that many rounds. The pulls of both sides are waiting before the first begins."""
        for name in ("assignment", "finished"):
            pull = f'{{"batch":{rounds},"expires":60000000000}}'.encode()
            await self._client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{name}", pull, f"floor.inbox.{name}")
        await self._client.flush()
        for _ in range(rounds):
            await self._round()

    async def _round(self) -> None:
        began = time.monotonic()
        await self._client.request("floor.request", PAYLOAD, timeout=10)
        self._add("request", time.monotonic() - began)
        self._add("assignment", await self._one_way("floor.assign", PAYLOAD))
        began = time.monotonic()
        await self._js.publish("floor.claim", PAYLOAD)
        self._add("claim", time.monotonic() - began)
        began = time.monotonic()
        subprocess.Popen(["/bin/true"]).wait()  # noqa: ASYNC220 (bare, as said above)
        self._add("spawn", time.monotonic() - began)
        self._add("finished", await self._one_way("floor.finished", stamped()))

    async def _one_way(self, subject: str, data: bytes) -> float:
        self._took = asyncio.get_running_loop().create_future()
        await self._client.publish(subject, data)
        async with asyncio.timeout(10):
            return await self._took

    async def _receive_assignment(self, msg: Msg) -> None:
        if msg.reply.startswith("$JS.ACK."):
            self._set_took(age_s(msg.data))

    async def _receive_took(self, msg: Msg) -> None:
        self._set_took(float(msg.data))

    def _set_took(self, took_s: float) -> None:
        if self._took is not None and not self._took.done():
            self._took.set_result(took_s)

    def _add(self, part: str, took_s: float) -> None:
        self.samples[part].append(took_s)


def stamped() -> bytes:
    """A payload that bears the time."""
    return f"{time.monotonic_ns():020}".encode().ljust(len(PAYLOAD), b"x")


def age_s(data: bytes) -> float:
    """How long ago the payload was stamped."""
    return (time.monotonic_ns() - int(data[:20])) / 1e9


@asynccontextmanager
async def floor(url: str) -> AsyncIterator[Floor]:
    """The floor on this server, with its other process."""
    client = await nats.connect(url)
    measured = Floor(client)
    try:
        await measured.prepare()
        async with peer("benchmarks.floor", url):
            yield measured
        await client.jetstream().delete_stream(STREAM)
    finally:
        await client.close()


async def _play_dispatcher(client: Client) -> None:
    async def answer(msg: Msg) -> None:
        await msg.respond(msg.data)

    async def assign(_msg: Msg) -> None:
        await client.publish("floor.assignment", stamped())

    async def receive_finished(msg: Msg) -> None:
        if msg.reply.startswith("$JS.ACK."):
            await client.publish("floor.took", str(age_s(msg.data)).encode())

    await client.subscribe("floor.request", cb=answer)
    await client.subscribe("floor.assign", cb=assign)
    await client.subscribe("floor.inbox.finished", cb=receive_finished)


if __name__ == "__main__":
    serve(_play_dispatcher, sys.argv[1], use_uvloop=True)
