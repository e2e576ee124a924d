"""One connection to NATS, with the few operations Runbus needs and errors that say what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from bus.address import without_credentials
from bus.lean import allow_websocket
from schemas.catalog import Endpoint
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, ErrorReply, RunbusError
from schemas.subjects import Subjects

T = TypeVar("T")
RequestT = TypeVar("RequestT", bound=msgspec.Struct)
ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)

HEADER_MSG_ID: Final = "Nats-Msg-Id"
HEADER_EXPECT_SEQ: Final = "Nats-Expected-Last-Subject-Sequence"
HEADER_EXPECT_SUBJECT: Final = "Nats-Expected-Last-Subject-Sequence-Subject"
HEADER_ERROR_CODE: Final = "Nats-Service-Error-Code"
HEADER_ERROR_TEXT: Final = "Nats-Service-Error"
NOBODY_LISTENS: Final = "nobody listens"
"""The ``reason`` of ``unavailable`` where the server says so, at once; see :mod:`bus.presence`."""
NO_ANSWER: Final = "no answer within"
"""How the ``reason`` begins where the time was over."""
NOT_CONNECTED: Final = "not connected to NATS at the moment"
CLOSING: Final = "the connection is closing"
_WRONG_LAST_SEQUENCE: Final = 10071
_CONNECT_RETRY_S: Final = 0.03

log = structlog.get_logger("bus")


class WrongLastSequenceError(Exception):
    """A conditional append was refused: something else had been appended under the condition's subject."""

    def __init__(self, subject: str, expected: int, reason: str) -> None:
        super().__init__(f"{subject}: expected last sequence {expected}: {reason}")
        self.subject = subject
        self.expected = expected


class Condition(msgspec.Struct, frozen=True):
    """Append only if the last message under ``subject`` (wildcards allowed) has this sequence; 0: there is none.

    NATS: ``Nats-Expected-Last-Subject-Sequence`` with ``…-Subject`` (ADR-26 and server 2.11 on).
    """

    subject: str
    last_seq: int


class Heard(msgspec.Struct, frozen=True):
    """A message of core NATS, as a subscription hears it."""

    subject: str
    data: bytes


class StoredMessage(msgspec.Struct, frozen=True):
    """A message as a stream holds it."""

    subject: str
    data: bytes
    seq: int


class _PubAck(msgspec.Struct):
    seq: int = 0
    duplicate: bool = False
    error: dict[str, object] | None = None


_pub_ack: Final = msgspec.json.Decoder(_PubAck)


class Bus:
    """A connection. Made by :func:`connect`; everything in :mod:`bus` works on one of these."""

    def __init__(self, client: Client, url: str) -> None:
        self.client: Final = client
        self.js: Final[JetStreamContext] = client.jetstream()
        self.url: Final = without_credentials(url)
        """For texts."""
        self._on_reconnect: list[Callable[[], Awaitable[None]]] = []

    @property
    def max_payload_bytes(self) -> int:
        """The largest message the server takes."""
        return self.client.max_payload

    def on_reconnect(self, callback: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        """Call back after every reconnect; returns the function that ends it."""
        self._on_reconnect.append(callback)
        return lambda: self._on_reconnect.remove(callback)

    async def reconnected(self) -> None:
        """Tell those concerned that the connection is back (called by the client)."""
        for callback in list(self._on_reconnect):
            await callback()

    async def publish(self, subject: str, message: msgspec.Struct) -> None:
        """Core publish: to whoever listens now; nobody does while the connection is away."""
        if not self.client.is_connected:
            return
        await self.client.publish(subject, self.checked(subject, encode(message)))

    async def request(
        self, subject: str, message: msgspec.Struct, reply_type: type[T], *, timeout_s: float = 5.0
    ) -> T:
        """Ask and decode the answer.

        Raises the sender's typed error where the answer is one, ``unavailable`` where nobody listens or no answer
        comes in ``timeout_s``, ``too_large`` before sending what the bus would not take.
        """
        data = self.checked(subject, encode(message))
        self._require_connected(subject)
        try:
            reply = await self.client.request(subject, data, timeout=timeout_s)
        except nats.errors.NoRespondersError:
            raise _unavailable(subject, NOBODY_LISTENS) from None
        except nats.errors.TimeoutError:
            raise _unavailable(subject, f"{NO_ANSWER} {timeout_s:g} s") from None
        except (nats.errors.ConnectionClosedError, nats.errors.ConnectionDrainingError) as cause:
            raise _unavailable(subject, CLOSING) from cause
        if reply.headers and HEADER_ERROR_CODE in reply.headers:
            raise RunbusError.from_info(decode(reply.data, ErrorReply).error)
        return decode(reply.data, reply_type)

    async def call(
        self,
        subjects: Subjects,
        endpoint: Endpoint[RequestT, ReplyT],
        request: RequestT,
        *,
        runner: str = "",
        timeout_s: float = 5.0,
    ) -> ReplyT:
        """Call an endpoint of the contract; raises as :meth:`request` does."""
        return await self.request(endpoint.subject(subjects, runner), request, endpoint.reply, timeout_s=timeout_s)

    async def append(
        self,
        subject: str,
        data: bytes,
        *,
        msg_id: str = "",
        condition: Condition | None = None,
        timeout_s: float = 5.0,
    ) -> int:
        """Append to the stream that takes ``subject`` and return the sequence once it is stored.

        ``msg_id`` deduplicates within the stream's window. Raises :class:`WrongLastSequenceError` where
        ``condition`` does not hold, ``unavailable`` where no stream takes the subject or no ack comes,
        ``too_large`` before sending. The server looks at the condition first: repeating a conditional append that
        was stored is refused by it, in spite of its ``msg_id`` (the last message tells whether it is one's own).
        """
        headers = _append_headers(msg_id, condition)
        self._require_connected(subject)
        try:
            reply = await self.client.request(
                subject, self.checked(subject, data), timeout=timeout_s, headers=headers
            )
        except nats.errors.NoRespondersError:
            raise _unavailable(subject, "no stream takes this subject") from None
        except (nats.errors.TimeoutError, nats.errors.ConnectionClosedError) as cause:
            raise _unavailable(subject, f"not acknowledged within {timeout_s:g} s") from cause
        ack = _pub_ack.decode(reply.data)
        if ack.error is not None:
            if ack.error.get("err_code") == _WRONG_LAST_SEQUENCE and condition is not None:
                raise WrongLastSequenceError(condition.subject, condition.last_seq, str(ack.error.get("description")))
            raise _unavailable(subject, f"the stream refused it: {ack.error.get('description')}")
        return ack.seq

    async def last_message(self, stream: str, subject: str) -> StoredMessage | None:
        """The last message of a stream under a subject (wildcards allowed), or None. Raises ``unavailable``."""
        try:
            found = await self.js.get_last_msg(stream, subject)
        except NotFoundError:
            return None
        except (nats.errors.Error, APIError) as cause:
            raise _unavailable(stream, "the stream does not answer") from cause
        return StoredMessage(found.subject or "", found.data or b"", found.seq or 0)

    async def last_seq(self, stream: str) -> int:
        """The sequence of the last message a stream has taken."""
        try:
            info = await self.js.stream_info(stream)
        except (nats.errors.TimeoutError, APIError) as cause:
            raise _unavailable(stream, "the stream does not answer") from cause
        return info.state.last_seq

    async def first_message(self, stream: str, subject: str) -> StoredMessage | None:
        """The first message of a stream under a subject, or None. Raises ``unavailable``."""
        try:
            found = await self.js.get_msg(stream, seq=1, next=True, subject=subject)
        except NotFoundError:
            return None
        except (nats.errors.Error, APIError) as cause:
            raise _unavailable(stream, "the stream does not answer") from cause
        return StoredMessage(found.subject or "", found.data or b"", found.seq or 0)

    async def purge(self, stream: str, subject: str) -> None:
        """Remove a stream's messages under a subject. Raises ``unavailable``."""
        try:
            await self.js.purge_stream(stream, subject=subject)
        except (nats.errors.TimeoutError, APIError) as cause:
            raise _unavailable(stream, f"the stream did not remove {subject} ({cause})") from cause

    async def subscribe(self, subject: str, callback: Callable[[Heard], Awaitable[None]]) -> None:
        """Hear core messages; the callback must not wait for long, the next message waits for it."""

        async def hear(msg: Msg) -> None:
            await callback(Heard(msg.subject, msg.data))

        await self.client.subscribe(subject, cb=hear)

    async def require_jetstream(self) -> None:
        """Raise ``unavailable`` unless the server has JetStream."""
        try:
            await self.js.account_info()
        except (nats.errors.Error, APIError) as cause:
            raise RunbusError(
                ErrorCode.UNAVAILABLE,
                f"the NATS server at {self.url} has no JetStream ({cause}): start it with 'nats-server -js'.",
                details={"url": self.url},
            ) from cause

    async def flush(self) -> None:
        """Return once the server has everything sent so far, subscriptions among it."""
        await self.client.flush()

    async def close(self) -> None:
        """Send what is pending and close. Safe to call twice, and while disconnected."""
        if self.client.is_closed:
            return
        if self.client.is_connected:
            await self.client.flush()
        await self.client.close()

    def _require_connected(self, subject: str) -> None:
        """Raise ``unavailable`` while the connection is away, rather than fill its buffer with what may be stale."""
        if not self.client.is_connected:
            raise _unavailable(subject, NOT_CONNECTED)

    def checked(self, subject: str, data: bytes) -> bytes:
        """Return ``data`` if the bus takes a message of its size; raise ``too_large`` otherwise."""
        if len(data) > self.max_payload_bytes:
            raise RunbusError(
                ErrorCode.TOO_LARGE,
                f"a message of {len(data)} bytes for {subject}: the bus takes {self.max_payload_bytes} at most. "
                "Make it smaller, or raise max_payload of the NATS server.",
                details={"bytes": len(data), "max_bytes": self.max_payload_bytes},
            )
        return data


def _append_headers(msg_id: str, condition: Condition | None) -> dict[str, str] | None:
    headers = {HEADER_MSG_ID: msg_id} if msg_id else {}
    if condition is not None:
        headers[HEADER_EXPECT_SEQ] = str(condition.last_seq)
        headers[HEADER_EXPECT_SUBJECT] = condition.subject
    return headers or None


def _unavailable(subject: str, reason: str) -> RunbusError:
    return RunbusError(
        ErrorCode.UNAVAILABLE,
        f"{subject}: {reason}. Is the service behind it running, and on this NATS server?",
        details={"subject": subject, "reason": reason},
    )


@asynccontextmanager
async def connect(url: str, *, name: str, wait_s: float = 0.0) -> AsyncIterator[Bus]:
    """Connect, and close at the end.

    The first connection is tried for ``wait_s`` (0: once) and then raises ``unavailable``; later losses are mended
    by reconnecting for ever.
    """
    allow_websocket(url)
    client = Client()
    bus = Bus(client, url)
    await _connect_first(client, bus, url, name, wait_s)
    try:
        yield bus
    finally:
        await bus.close()


async def _connect_first(client: Client, bus: Bus, url: str, name: str, wait_s: float) -> None:
    async def on_error(error: Exception) -> None:
        log.warning("bus.error", error=str(error) or type(error).__name__)

    async def on_disconnect() -> None:
        if not client.is_closed:
            log.warning("bus.disconnected", url=bus.url)

    async def on_reconnect() -> None:
        log.info("bus.reconnected", url=bus.url)
        await bus.reconnected()

    causes: list[Exception] = []

    async def note(error: Exception) -> None:
        causes.append(error)

    deadline = asyncio.get_running_loop().time() + wait_s
    while True:
        try:
            await client.connect(
                servers=url.split(","), name=name, error_cb=note, disconnected_cb=on_disconnect,
                reconnected_cb=on_reconnect, allow_reconnect=False, connect_timeout=5, reconnect_time_wait=0,
                max_reconnect_attempts=1, ping_interval=20, pending_size=8 * 1024 * 1024,
            )  # fmt: skip
        except (OSError, nats.errors.Error, TimeoutError) as cause:
            if asyncio.get_running_loop().time() >= deadline:
                raise _no_server(bus.url, causes[0] if causes else cause) from cause
            await asyncio.sleep(_CONNECT_RETRY_S)
        else:
            break
    client.options.update(allow_reconnect=True, reconnect_time_wait=1, max_reconnect_attempts=-1)
    client._error_cb = on_error  # noqa: SLF001  (the client has no setter, and the first attempts are to be quiet)


def _no_server(url: str, cause: Exception) -> RunbusError:
    return RunbusError(
        ErrorCode.UNAVAILABLE,
        f"no NATS server answers at {url} ({str(cause) or type(cause).__name__}). "
        "Start one with 'runbus up', or name the one to use with --nats-url or RUNBUS_NATS_URL.",
        details={"url": url},
    )
