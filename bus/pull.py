"""Continuous pulling from a JetStream consumer (the simplified client of NATS ADR-37, as far as it is needed).

nats-py can fetch a batch, but not keep a pull waiting, add to it, and take it back; that is what slots need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from bus.connection import Bus

EXPIRES_S: Final = 30.0
_LATE_S: Final = 5.0
_CONSUMER_GONE: Final = ("Consumer Deleted", "Consumer is push based", "Consumer Not Found")
_NO_RESPONDERS: Final = "503"


class Delivery:
    """A message of a stream as a consumer delivered it, and what can be answered."""

    __slots__ = ("_msg", "consumer_seq", "data", "deliveries", "headers", "pending", "seq", "subject")

    def __init__(self, msg: Msg) -> None:
        fields = ack_fields(msg.reply)
        self._msg = msg
        self.subject: str = msg.subject
        self.data: bytes = msg.data
        self.headers: dict[str, str] = msg.headers or {}
        self.deliveries = int(fields[0])
        """How often it was delivered, this time included."""
        self.seq = int(fields[1])
        """Its sequence in the stream."""
        self.consumer_seq = int(fields[2])
        """Counts this consumer's deliveries."""
        self.pending = int(fields[4])
        """How many more there are for this consumer."""

    async def ack(self) -> None:
        """Done with: it is not delivered again."""
        await self._msg.ack()

    async def nak(self, *, delay_s: float = 0.0) -> None:
        """Give it back, for another or for later."""
        await self._msg.nak(delay=delay_s or None)

    async def extend(self) -> None:
        """Renew the lease: the ack wait starts anew."""
        if self._msg._client.is_connected:  # noqa: SLF001  (no accessor)
            await self._msg.in_progress()

    async def terminate(self) -> None:
        """Never deliver it again, though it was not done."""
        await self._msg.term()


def ack_fields(reply: str) -> list[str]:
    """Deliveries, stream sequence, consumer sequence, timestamp, pending (``$JS.ACK.…``, ADR-15).

    The form has 9 tokens, or 12 with domain and account.
    """
    tokens = reply.split(".")
    return tokens[4:9] if len(tokens) == 9 else tokens[6:11]


class Puller:
    """Waiting pulls on one consumer. ``outstanding`` is how many messages are asked for and not here yet.

    ``on_message`` is called for every message, in order; ``on_idle`` when the server has answered a pull with a
    status (expired, and the like), so that the owner can ask again; ``on_gone`` when the consumer is no more.
    """

    def __init__(
        self,
        bus: Bus,
        stream: str,
        consumer: str,
        *,
        on_message: Callable[[Delivery], Awaitable[None]],
        on_idle: Callable[[], None],
        on_gone: Callable[[], None],
    ) -> None:
        self._bus = bus
        self._next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._on_message = on_message
        self._on_idle = on_idle
        self._on_gone = on_gone
        self._sub: Subscription | None = None
        self._inbox = ""
        self._asked = 0
        self.outstanding = 0
        self.last_heard_s = 0.0

    async def ask(self, count: int) -> None:
        """Ask for ``count`` more messages; they are delivered as they come, for 30 s."""
        if self._sub is None:
            self._inbox = self._bus.client.new_inbox()
            self._sub = await self._bus.client.subscribe(self._inbox, cb=self._receive)
        self.outstanding += count
        self.last_heard_s = asyncio.get_running_loop().time()
        request = {"batch": count, "expires": int(EXPIRES_S * 1e9)}
        await self._bus.client.publish(self._next_subject, msgspec.json.encode(request), reply=self._inbox)

    async def withdraw(self) -> None:
        """Take all pulls back. What the server sent before it heard is still handed to ``on_message``."""
        sub, self._sub, self.outstanding = self._sub, None, 0
        if sub is not None and not self._bus.client.is_closed:
            if self._bus.client.is_connected:
                await sub.drain()  # type: ignore[no-untyped-call]
            else:
                await sub.unsubscribe()

    @property
    def overdue(self) -> bool:
        """Whether an answer should have come by now: each pull ends with a status after 30 s at the latest."""
        silent_s = asyncio.get_running_loop().time() - self.last_heard_s
        return self.outstanding > 0 and silent_s > EXPIRES_S + _LATE_S

    async def _receive(self, msg: Msg) -> None:
        self.last_heard_s = asyncio.get_running_loop().time()
        if not msg.reply.startswith("$JS.ACK."):
            self._take_status(msg)
            return
        self.outstanding = max(0, self.outstanding - 1)
        await self._on_message(Delivery(msg))

    def _take_status(self, msg: Msg) -> None:
        headers = msg.headers or {}
        text = headers.get("Description", "")
        returned = headers.get("Nats-Pending-Messages")
        self.outstanding = max(0, self.outstanding - int(returned)) if returned else 0
        if headers.get("Status") == _NO_RESPONDERS or any(text.startswith(gone) for gone in _CONSUMER_GONE):
            self._on_gone()
        else:
            self._on_idle()
