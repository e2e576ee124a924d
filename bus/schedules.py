"""Messages for later: the server holds them in a stream and publishes each at its time (NATS ADR-51, server 2.12).

One subject holds one such message: a later one replaces it. At its time the server appends the message under its
target subject, and removes the held one in the same step. A time that has passed is "now": also for a server that was
down at that time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
import nats.errors
from nats.js.api import RetentionPolicy, StreamConfig
from nats.js.errors import APIError, NotFoundError

from bus.connection import (
    HEADER_EXPECT_SEQ,
    HEADER_EXPECT_SUBJECT,
    Bus,
    StoredMessage,
    WrongLastSequenceError,
)
from bus.streams import DUPLICATE_WINDOW_S
from schemas.errors import ErrorCode, RunbusError

HEADER_SCHEDULE: Final = "Nats-Schedule"
HEADER_TARGET: Final = "Nats-Schedule-Target"
_IN_USE: Final = 10058
_WRONG_LAST_SEQUENCE: Final = 10071
_TIMEOUT_S: Final = 5.0


class _Refusal(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _Ack(msgspec.Struct):
    seq: int = 0
    error: _Refusal | None = None


_ack: Final = msgspec.json.Decoder(_Ack)


async def ensure_schedules(bus: Bus, name: str, subjects: Sequence[str], *, replicas: int = 1) -> None:
    """Make a stream that holds messages for later, if it is not there: a work queue of what is due.

    ``subjects`` are those of what is held and of the targets. Raises ``unavailable`` where the server refuses: one
    older than 2.12 does.
    """
    config = StreamConfig(
        name=name,
        subjects=list(subjects),
        retention=RetentionPolicy.WORK_QUEUE,
        duplicate_window=DUPLICATE_WINDOW_S,
        allow_direct=True,
        allow_msg_schedules=True,
        num_replicas=replicas,
    )
    try:
        await bus.js.add_stream(config)
    except (APIError, nats.errors.Error) as cause:
        if isinstance(cause, APIError) and cause.err_code == _IN_USE:
            return
        raise RunbusError(
            ErrorCode.UNAVAILABLE,
            f"stream {name} cannot be made ({cause}). Schedules need NATS 2.12 or newer, with JetStream on.",
            details={"stream": name},
        ) from cause


class HeldMessages:
    """The messages that a stream holds for later."""

    def __init__(self, bus: Bus, stream: str) -> None:
        self._bus = bus
        self._stream = stream

    async def hold(
        self, subject: str, data: bytes, *, at: datetime, target: str, after_seq: int | None = None
    ) -> None:
        """Hold a message under ``subject`` until ``at``, in place of one that is there.

        With ``after_seq`` only if the one that is there has that sequence (0: there is none), else
        :class:`WrongLastSequenceError` is raised. Raises ``unavailable``, and ``too_large`` before sending.
        """
        moment = at.astimezone(UTC)
        headers = {
            HEADER_SCHEDULE: f"@at {moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}Z",
            HEADER_TARGET: target,
        }
        if after_seq is not None:
            headers |= {HEADER_EXPECT_SEQ: str(after_seq), HEADER_EXPECT_SUBJECT: subject}
        if not self._bus.client.is_connected:
            raise self._unavailable("not connected to NATS at the moment")
        try:
            reply = await self._bus.client.request(
                subject, self._bus.checked(subject, data), timeout=_TIMEOUT_S, headers=headers
            )
        except nats.errors.NoRespondersError:
            raise self._unavailable("no stream takes this subject") from None
        except (nats.errors.TimeoutError, nats.errors.ConnectionClosedError) as cause:
            raise self._unavailable(f"not acknowledged within {_TIMEOUT_S:g} s") from cause
        refusal = _ack.decode(reply.data).error
        if refusal is None:
            return
        if refusal.err_code == _WRONG_LAST_SEQUENCE and after_seq is not None:
            raise WrongLastSequenceError(subject, after_seq, refusal.description)
        raise self._unavailable(f"the stream refused it: {refusal.description}")

    async def last(self, subject: str) -> StoredMessage | None:
        """The message under a subject, held or due, as the stream's leader has it. Raises ``unavailable``."""
        return await self._bus.last_message(self._stream, subject)

    async def drop(self, seq: int) -> None:
        """Remove one message, if it is still there: what is held is then not published. Raises ``unavailable``."""
        try:
            await self._bus.js.delete_msg(self._stream, seq)
        except NotFoundError:
            return
        except APIError as cause:
            if await self._is_gone(seq):
                return
            raise self._unavailable(f"it did not remove message {seq} ({cause})") from cause
        except nats.errors.Error as cause:
            raise self._unavailable("the stream does not answer") from cause

    async def subjects(self, pattern: str) -> list[str]:
        """Every subject under a pattern that has a message. Raises ``unavailable``."""
        try:
            info = await self._bus.js.stream_info(self._stream, subjects_filter=pattern)
        except (nats.errors.Error, APIError) as cause:
            raise self._unavailable("the stream does not answer") from cause
        return sorted(info.state.subjects or {})

    async def _is_gone(self, seq: int) -> bool:
        try:
            await self._bus.js.get_msg(self._stream, seq=seq)
        except NotFoundError:
            return True
        except (nats.errors.Error, APIError) as cause:
            raise self._unavailable("the stream does not answer") from cause
        return False

    def _unavailable(self, reason: str) -> RunbusError:
        return RunbusError(
            ErrorCode.UNAVAILABLE,
            f"{self._stream}: {reason}. Is NATS running, with JetStream, and 2.12 or newer?",
            details={"stream": self._stream, "reason": reason},
        )
