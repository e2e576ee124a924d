"""The limit of a job's log (``loglimit``): how much may be logged, and what happens beyond it."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

from schemas.errors import ErrorCode, RunbusError

AFTER_HALT_BYTES: Final = 1024 * 1024
"""What a halted execution says while it ends is logged up to here. The original logs all of it."""
REST_OF_LINE_BYTES: Final = 64 * 1024
"""How far a line may go on in which a limit of bytes was reached."""
_LIMIT: Final = re.compile(r"(\d+)([gmk]?b?)?(/node)?", re.IGNORECASE | re.ASCII)
_UNITS: Final = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_TURN: Final = re.compile(rb"\r(?=[^\r\n])")
_END: Final = re.compile(rb"\n|\r(?=[^\r\n])")
_MOST: Final = (1 << 63) - 1


class LimitUnit(StrEnum):
    """What is counted."""

    LINES = "lines"
    NODE_LINES = "lines of one node"
    BYTES = "bytes"


class LimitRule(NamedTuple):
    """So many of a unit may be logged."""

    most: int
    unit: LimitUnit

    def __str__(self) -> str:
        return f"{self.most} {self.unit}"


def parse_limit(text: str) -> LimitRule | None:
    """Read a ``loglimit``: ``N``, ``N/node`` or ``N[GMK]B``, in any case, ``/node`` being idle behind bytes.

    None where it is blank, or 0, which limits nothing in the original. Raises ``invalid_job`` for anything else (the
    original then has no limit, and says nothing).
    """
    text = text.strip()
    if not text:
        return None
    found = _LIMIT.fullmatch(text)
    most = int(found[1]) * _UNITS[found[2][0].lower() if found[2] else "b"] if found and len(found[1]) < 20 else -1
    if found is None or not 0 <= most <= _MOST:
        raise RunbusError(
            ErrorCode.INVALID_JOB,
            f"the log limit {text!r} cannot be read; write a number of lines (100), of lines of each node (100/node) "
            "or a size (500KB, 5MB, 1GB).",
            details={"log_limit": text},
        )
    if not most:
        return None
    if found[2]:
        return LimitRule(most, LimitUnit.BYTES)
    return LimitRule(most, LimitUnit.NODE_LINES if found[3] else LimitUnit.LINES)


_UNLIMITED: Final = LimitRule(_MOST, LimitUnit.BYTES)


class Kept(NamedTuple):
    """What the limit lets through, and the remark to log behind it where it was reached just now."""

    data: bytes
    remark: str = ""


class LogLimiter:
    """The limit of one execution's log, shared by all that write to it.

    The limit is exceeded by the first line, or byte, beyond it; that line is still logged, and nothing behind it
    (``truncate``), or the execution is ended (``halt``), as in the original. Bytes are counted as they were written,
    in the original as its log files hold them.

    Without a rule nothing is limited. ``on_halt`` is called with the status, once. Raises ``invalid_job`` where the
    action is neither of the two.
    """

    def __init__(self, rule: LimitRule | None, *, action: str, status: str, on_halt: Callable[[str], None]) -> None:
        if action not in {"halt", "truncate"}:
            text = f"the action of the log limit is {action!r}; it may be halt or truncate."
            raise RunbusError(ErrorCode.INVALID_JOB, text, details={"action": action})
        self._rule = rule or _UNLIMITED
        self._halts = action == "halt"
        self._status = status
        self._on_halt = on_halt
        self._counts: dict[str, int] = {}
        self._after_bytes = 0
        self.finishing: LimitedStream | None = None
        """The stream whose line may still come to its end."""
        self.is_exceeded = False

    @property
    def counts_lines(self) -> bool:
        """Whether it is lines that are counted, not bytes."""
        return self._rule.unit is not LimitUnit.BYTES

    def open(self, node: str = "") -> LimitedStream:
        """A stream of one step on a node; a step that is for no node counts as the runner's own."""
        return LimitedStream(self, node if self._rule.unit is LimitUnit.NODE_LINES else "")

    def room(self, key: str) -> int:
        """How much more may be logged before the limit is exceeded."""
        return self._rule.most - self._counts.get(key, 0)

    def count(self, key: str, more: int) -> None:
        """Note what was logged."""
        self._counts[key] = self._counts.get(key, 0) + more

    def exceed(self) -> str:
        """The limit is exceeded: the remark, and the execution's end where that is wanted."""
        self.is_exceeded = True
        if not self._halts:
            return f"Log output limit exceeded: more than {self._rule}. The rest is not logged."
        self._on_halt(self._status)
        return f"Log output limit exceeded: more than {self._rule}. The execution is ended."

    def after(self, data: bytes) -> bytes:
        """What of this is logged although the limit is exceeded."""
        if not self._halts or not data:
            return b""
        kept = data[: AFTER_HALT_BYTES - self._after_bytes]
        self._after_bytes += len(kept)
        return kept


class LimitedStream:
    """One stream before its limit."""

    def __init__(self, limiter: LogLimiter, key: str) -> None:
        self._limiter = limiter
        self._key = key
        self._last = b""
        self._rest_bytes = 0

    def take(self, data: bytes) -> Kept:
        """What of a piece is logged."""
        limiter = self._limiter
        if not data:
            return Kept(b"")
        if limiter.finishing is self:
            return self._finish_line(data)
        if limiter.is_exceeded or limiter.finishing is not None:
            return Kept(limiter.after(data))
        return self._take_lines(data) if limiter.counts_lines else self._take_bytes(data)

    def finish(self) -> str:
        """The stream has ended: a last line without an end is one, too. Returns the remark if that was too much."""
        limiter = self._limiter
        if limiter.finishing is self:
            limiter.finishing = None
            return limiter.exceed()
        if not limiter.counts_lines or limiter.is_exceeded or self._last in {b"", b"\n"}:
            return ""
        self._last = b""
        limiter.count(self._key, 1)
        return limiter.exceed() if limiter.room(self._key) < 0 else ""

    def _take_lines(self, data: bytes) -> Kept:
        limiter, turned = self._limiter, self._last == b"\r" and data[:1] not in {b"\r", b"\n"}
        ends = data.count(b"\n") + (len(_TURN.findall(data)) if b"\r" in data else 0) + turned
        room = limiter.room(self._key)
        self._last = data[-1:]
        limiter.count(self._key, ends)
        if ends <= room:
            return Kept(data)
        cut = self._end_of_line(data, room + 1 - turned)
        remark = limiter.exceed()
        return Kept(data[:cut] + limiter.after(data[cut:]), remark)

    @staticmethod
    def _end_of_line(data: bytes, number: int) -> int:
        """Behind the end of the line of that number; 0 for none."""
        at = 0
        for found in _END.finditer(data):
            if number <= 0:
                break
            number -= 1
            at = found.end()
        return at

    def _take_bytes(self, data: bytes) -> Kept:
        room = self._limiter.room(self._key)
        self._limiter.count(self._key, len(data))
        if len(data) <= room:
            return Kept(data)
        self._limiter.finishing = self
        rest = self._finish_line(data[room:])
        return Kept(data[:room] + rest.data, rest.remark)

    def _finish_line(self, data: bytes) -> Kept:
        """Let the line come to its end in which the limit was exceeded."""
        most = REST_OF_LINE_BYTES - self._rest_bytes
        end = data.find(b"\n", 0, most) + 1
        cut = end or min(len(data), most)
        self._rest_bytes += cut
        if not end and self._rest_bytes < REST_OF_LINE_BYTES:
            return Kept(data)
        limiter = self._limiter
        limiter.finishing = None
        remark = limiter.exceed()
        return Kept(data[:cut] + limiter.after(data[cut:]), remark)
