"""The floor of a log: the same bytes through JetStream with bare nats-py, published and followed, nothing decoded."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from benchmarks.peer import peer, serve
from services.runner.logship import CHUNK_BYTES, IN_FLIGHT

STREAM: Final = "RAWLOG"
PULL: Final = 16
"""Chunks asked for at a time: a server drops a follower that asks for more than it reads."""
_WITHIN_S: Final = 120


class RawLog:
    """A publisher in a process of its own, and a follower in this one."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._js = client.jetstream()

    async def publish(self, size: int) -> float:
        """How long it takes until all is stored, in seconds."""
        async with self._stream():
            began = time.perf_counter()
            await self._client.request("rawlog.go", str(size).encode(), timeout=_WITHIN_S)
            return time.perf_counter() - began

    async def publish_and_follow(self, size: int) -> float:
        """How long it takes until all has been received by a follower that was there before, in seconds."""
        async with self._stream():
            follower = _RawFollower(self._client, size)
            await follower.start(self._js)
            began = time.perf_counter()
            await self._client.request("rawlog.go", str(size).encode(), timeout=_WITHIN_S)
            async with asyncio.timeout(_WITHIN_S):
                await follower.done.wait()
            took_s = time.perf_counter() - began
            await follower.stop()
        return took_s

    @asynccontextmanager
    async def _stream(self) -> AsyncIterator[None]:
        await self._js.add_stream(name=STREAM, subjects=["rawlog.chunk"])
        yield
        await self._js.delete_stream(STREAM)


class _RawFollower:
    """Pulls as the client does, two requests ahead, and only counts."""

    def __init__(self, client: Client, size: int) -> None:
        self._client = client
        self._left = size
        self._messages = 0
        self.done = asyncio.Event()

    async def start(self, js: JetStreamContext) -> None:
        config = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, mem_storage=True)
        consumer = await js.add_consumer(STREAM, config)
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{consumer.name}"
        self._inbox = self._client.new_inbox()
        self._sub = await self._client.subscribe(self._inbox, cb=self._receive)
        await self._pull()
        await self._pull()

    async def stop(self) -> None:
        await self._sub.unsubscribe()

    async def _pull(self) -> None:
        pull = f'{{"batch":{PULL},"expires":{_WITHIN_S * 10**9}}}'.encode()
        await self._client.publish(self._next, pull, self._inbox)

    async def _receive(self, msg: Msg) -> None:
        if not msg.reply.startswith("$JS.ACK."):
            raise RuntimeError(f"the raw follower was told {msg.headers}")
        self._left -= len(msg.data)
        self._messages += 1
        if self._messages % PULL == 0:
            await self._pull()
        if self._left <= 0:
            self.done.set()


@asynccontextmanager
async def raw_log(url: str) -> AsyncIterator[RawLog]:
    """Both ends on this server."""
    client = await nats.connect(url)
    try:
        async with peer("benchmarks.rawlog", url):
            yield RawLog(client)
    finally:
        await client.close()


async def _play_runner(client: Client) -> None:
    js = client.jetstream()
    running: set[asyncio.Task[None]] = set()

    async def publish_all(msg: Msg) -> None:
        size = int(msg.data)
        room = asyncio.Semaphore(IN_FLIGHT)
        full = b"x" * CHUNK_BYTES

        async def one(start: int) -> None:
            async with room:
                await js.publish("rawlog.chunk", full[: size - start], timeout=_WITHIN_S)

        await asyncio.gather(*(one(start) for start in range(0, size, CHUNK_BYTES)))
        await msg.respond(b"")

    async def go(msg: Msg) -> None:
        task = asyncio.ensure_future(publish_all(msg))
        running.add(task)
        task.add_done_callback(running.discard)

    await client.subscribe("rawlog.go", cb=go)


if __name__ == "__main__":
    serve(_play_runner, sys.argv[1], use_uvloop=False)
