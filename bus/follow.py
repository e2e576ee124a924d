"""Following a stream in order from a sequence on, without gaps, across reconnects and server restarts."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import nats.errors
import structlog
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError

from bus.connection import Bus
from bus.pull import EXPIRES_S, Delivery, Puller

BATCH: Final = 512
_RETRY_S: Final = 0.5
_INACTIVE_S: Final = 60.0

log = structlog.get_logger("bus")


class Follower:
    """An ordered consumer: calls ``on_message`` for every message of ``subject`` after sequence ``after_seq``.

    Each message comes exactly once per follower and in stream order: where the connection, the server or the
    consumer is lost, a new consumer starts behind the last message seen. With ``last_per_subject`` it starts with
    the last message of each subject (a key-value bucket's content) instead. At most ``batch`` messages are on their
    way at a time: the server cuts off whoever asks for more than it reads.
    """

    def __init__(  # noqa: PLR0913 (what a consumer is made of)
        self,
        bus: Bus,
        stream: str,
        subject: str,
        *,
        on_message: Callable[[Delivery], Awaitable[None]],
        after_seq: int = 0,
        last_per_subject: bool = False,
        batch: int = BATCH,
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._subject = subject
        self._on_message = on_message
        self._last_per_subject = last_per_subject
        self._puller: Puller | None = None
        self._consumer = ""
        self._consumer_seq = 0
        self._wake = asyncio.Event()
        self._broken = True
        self._batch = batch
        self.seq = after_seq
        """The sequence of the last message handed on."""
        self.pending = 0
        """How many were waiting in the stream when the consumer was made, or at the last message."""
        self.caught_up = asyncio.Event()
        """Set once everything that was there at the start has been handed on."""
        self._awaited: list[tuple[int, asyncio.Future[None]]] = []

    async def run(self) -> None:
        """Follow until cancelled."""
        task = asyncio.current_task()
        stop_listening = self._bus.on_reconnect(self._reconnected)
        try:
            while task is None or not task.cancelling():  # Python 3.11's wait_for may swallow the cancellation itself
                if self._broken:
                    if not await self._restart():
                        await asyncio.sleep(_RETRY_S)
                    continue
                await self._top_up()
                await self._wait()
        finally:
            stop_listening()
            if self._puller is not None:
                await self._puller.withdraw()
            await self._remove_consumer()

    async def reach(self, seq: int, *, within_s: float = 2.0) -> bool:
        """Wait until the message of that sequence was handed on; False if that takes longer."""
        if self.seq >= seq:
            return True
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited.append((seq, reached))
        try:
            async with asyncio.timeout(within_s):
                await reached
        except TimeoutError:
            return False
        finally:
            self._awaited = [each for each in self._awaited if each[1] is not reached]
        return True

    async def sync(self, *, within_s: float = 2.0) -> bool:
        """Wait until everything that is in the stream now was handed on; False if that takes longer."""
        return await self.reach(await self._bus.last_seq(self._stream), within_s=within_s)

    async def _restart(self) -> bool:
        if self._puller is not None:
            await self._puller.withdraw()
            self._puller = None
        try:
            self._consumer = secrets.token_hex(8)  # our own choice: to be removed even if its making is cut short
            info = await self._bus.js.add_consumer(self._stream, self._config())
        except (APIError, nats.errors.Error) as cause:
            log.debug("follow.retry", stream=self._stream, error=str(cause))
            return False
        self._broken = False
        self._consumer_seq = 0
        self.pending = info.num_pending or 0
        if self.pending == 0:
            self.caught_up.set()
        self._puller = Puller(
            self._bus, self._stream, self._consumer,
            on_message=self._receive, on_idle=self._wake.set, on_gone=self._break,
        )  # fmt: skip
        return True

    async def _remove_consumer(self) -> None:
        """Left alone it would count against the stream's limit for another minute. Nobody waits for the answer."""
        if self._consumer and self._bus.client.is_connected:
            subject = f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._consumer}"
            await self._bus.client.publish(subject, b"", reply=self._bus.client.new_inbox())

    def _config(self) -> ConsumerConfig:
        fresh = self._last_per_subject
        return ConsumerConfig(
            name=self._consumer,
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT if fresh else DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=None if fresh else self.seq + 1,
            ack_policy=AckPolicy.NONE,
            filter_subject=self._subject,
            mem_storage=True,
            num_replicas=1,
            inactive_threshold=_INACTIVE_S,
        )

    async def _top_up(self) -> None:
        if self._puller is not None and self._puller.outstanding < self._batch // 2:
            await self._puller.ask(self._batch - self._puller.outstanding)

    async def _wait(self) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(EXPIRES_S):
                await self._wake.wait()
        except TimeoutError:
            if self._puller is not None and self._puller.overdue:
                self._broken = True

    async def _receive(self, delivery: Delivery) -> None:
        if self._broken:
            return
        self._consumer_seq += 1
        if delivery.consumer_seq != self._consumer_seq:
            log.warning("follow.gap", stream=self._stream, after_seq=self.seq)
            self._break()
            return
        await self._on_message(delivery)
        self.seq = delivery.seq
        self.pending = delivery.pending
        for seq, reached in self._awaited:
            if self.seq >= seq and not reached.done():
                reached.set_result(None)
        if delivery.pending == 0:
            self.caught_up.set()
        if self._puller is not None and self._puller.outstanding < self._batch // 2:
            self._wake.set()

    def _break(self) -> None:
        self._broken = True
        self._wake.set()

    async def _reconnected(self) -> None:
        self._break()
