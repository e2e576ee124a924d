"""The floor: the raw operations that a job cannot do without, with bare nats-py, between two processes.

A job from request to result is, on its critical path: a request and its reply; the assignment published and
received by a waiting pull; the claim published and acknowledged; the process spawned and waited for; the final event
published and received. Each is measured alone; their medians are added.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from benchmarks.stats import percentile

STREAM: Final = "FLOOR"
_PULL: Final = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.pull"


async def _echo(url: str) -> None:
    """The other process: answers requests, and forwards what a waiting pull delivers."""
    client = await nats.connect(url)

    async def answer(msg: Msg) -> None:
        await msg.respond(msg.data)

    async def forward(msg: Msg) -> None:
        if msg.reply.startswith("$JS.ACK"):
            await client.publish("floor.received", msg.data)
        await client.publish(_PULL, b'{"batch":1,"expires":30000000000}', reply="floor.inbox")

    await client.subscribe("floor.echo", cb=answer)
    await client.subscribe("floor.inbox", cb=forward)
    await client.publish(_PULL, b'{"batch":1,"expires":30000000000}', reply="floor.inbox")
    await client.flush()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


class Floor:
    """Samples of each raw operation, in seconds."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._js = client.jetstream()
        self.samples: dict[str, list[float]] = {"request": [], "pull": [], "publish": [], "spawn": []}
        self._received = asyncio.Event()

    async def prepare(self) -> None:
        """Make the stream and its consumer, and listen for what comes back."""
        await self._js.add_stream(name=STREAM, subjects=["floor.job", "floor.event"])
        await self._js.add_consumer(
            STREAM, ConsumerConfig(durable_name="pull", filter_subject="floor.job", ack_policy=AckPolicy.NONE)
        )

        async def received(_msg: Msg) -> None:
            self._received.set()

        await self._client.subscribe("floor.received", cb=received)
        await self._client.flush()

    async def block(self, count: int) -> None:
        """Take ``count`` samples of each."""
        await self._time("request", count, lambda: self._client.request("floor.echo", b"x" * 300, timeout=5))
        await self._time("publish", count, lambda: self._js.publish("floor.event", b"x" * 300))
        await self._time("pull", count, self._one_pull)
        for _ in range(count):
            began = time.perf_counter()
            subprocess.Popen(["/bin/true"]).wait()  # noqa: ASYNC220 (the bare floor)
            self.samples["spawn"].append(time.perf_counter() - began)

    def p50_s(self) -> float:
        """The sum of the medians; a pull's sample holds one more hop back, of half a request."""
        middle = {name: percentile(values, 50) for name, values in self.samples.items()}
        pull = max(middle["pull"] - middle["request"] / 2, middle["publish"])
        return middle["request"] + 2 * pull + middle["publish"] + middle["spawn"]

    async def _one_pull(self) -> None:
        self._received.clear()
        await self._client.publish("floor.job", b"x" * 300)
        await self._received.wait()

    async def _time(self, name: str, count: int, operation: Callable[[], Awaitable[object]]) -> None:
        for _ in range(count):
            began = time.perf_counter()
            await operation()
            self.samples[name].append(time.perf_counter() - began)


@asynccontextmanager
async def floor(url: str) -> AsyncIterator[Floor]:
    """The floor on this server, with its other process."""
    client = await nats.connect(url)
    measured = Floor(client)
    await measured.prepare()
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.floor", url, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert other.stdout is not None
        await other.stdout.readline()
        yield measured
    finally:
        other.kill()
        await other.wait()
        await client.close()


if __name__ == "__main__":
    asyncio.run(_echo(sys.argv[1]))
