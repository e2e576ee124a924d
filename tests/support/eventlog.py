"""The conditional, ordered event log that services rely on: what it promises, and a fake of it in memory.

``tests/contract/test_event_log.py`` runs one suite against the fake and against a real server.
"""

from __future__ import annotations

from typing import Final, Protocol

from bus.connection import Condition, StoredMessage, WrongLastSequenceError
from schemas.errors import ErrorCode, RunbusError

MAX_PAYLOAD_BYTES: Final = 1024 * 1024


class EventLog(Protocol):
    """The part of :class:`bus.connection.Bus` that keeps the history of executions."""

    async def append(
        self,
        subject: str,
        data: bytes,
        *,
        msg_id: str = "",
        condition: Condition | None = None,
        timeout_s: float = 5.0,
    ) -> int:
        """Store, once for each ``msg_id``, if the condition holds; the sequence."""

    async def last_message(self, stream: str, subject: str) -> StoredMessage | None:
        """The last under a subject (wildcards allowed)."""

    async def first_message(self, stream: str, subject: str) -> StoredMessage | None:
        """The first under a subject."""

    async def purge(self, stream: str, subject: str) -> None:
        """Remove what is under a subject; sequences and message ids are not given out again."""


class FakeEventLog:
    """One stream in memory. The condition is looked at before a repeated ``msg_id`` is, as NATS 2.15 does.

    Faults on demand: ``lose_acks`` appends that many messages whose acknowledgement is lost, ``refuse`` raises
    ``unavailable`` that many times and stores nothing.
    """

    def __init__(self) -> None:
        self.messages: list[StoredMessage] = []
        self.lose_acks = 0
        self.refuse = 0
        self._seqs: dict[str, int] = {}
        self._last_seq = 0

    @property
    def max_payload_bytes(self) -> int:
        return MAX_PAYLOAD_BYTES

    async def append(
        self,
        subject: str,
        data: bytes,
        *,
        msg_id: str = "",
        condition: Condition | None = None,
        timeout_s: float = 5.0,  # noqa: ARG002  (nothing here takes time)
    ) -> int:
        if self.refuse:
            self.refuse -= 1
            raise RunbusError(ErrorCode.UNAVAILABLE, "refused by the test")
        if len(data) > MAX_PAYLOAD_BYTES:
            raise RunbusError(ErrorCode.TOO_LARGE, f"{len(data)} bytes")
        if condition is not None:
            last = self._last(condition.subject)
            if (last.seq if last else 0) != condition.last_seq:
                raise WrongLastSequenceError(condition.subject, condition.last_seq, f"last is {last}")
        if msg_id in self._seqs:
            return self._seqs[msg_id]
        self._last_seq += 1
        stored = StoredMessage(subject, data, self._last_seq)
        self.messages.append(stored)
        if msg_id:
            self._seqs[msg_id] = stored.seq
        if self.lose_acks:
            self.lose_acks -= 1
            raise RunbusError(ErrorCode.UNAVAILABLE, "stored, and the acknowledgement lost by the test")
        return stored.seq

    async def last_message(self, stream: str, subject: str) -> StoredMessage | None:  # noqa: ARG002
        return self._last(subject)

    async def first_message(self, stream: str, subject: str) -> StoredMessage | None:  # noqa: ARG002
        return next((each for each in self.messages if matches(subject, each.subject)), None)

    async def purge(self, stream: str, subject: str) -> None:  # noqa: ARG002
        self.messages[:] = [each for each in self.messages if not matches(subject, each.subject)]

    def forget_message_ids(self) -> None:
        """The window of deduplication has passed."""
        self._seqs.clear()

    def _last(self, subject: str) -> StoredMessage | None:
        return next((each for each in reversed(self.messages) if matches(subject, each.subject)), None)


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject falls under a pattern with ``*`` (one token) and ``>`` (one or more, at the end)."""
    wanted, tokens = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        head = wanted[:-1]
        return len(tokens) > len(head) and all(one in ("*", other) for one, other in zip(head, tokens, strict=False))
    return len(wanted) == len(tokens) and all(one in ("*", other) for one, other in zip(wanted, tokens, strict=True))
