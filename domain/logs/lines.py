"""Cuts a stream of bytes into lines, however it comes in pieces."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from domain.logs.levels import Level

MAX_LINE_BYTES: Final = 1024 * 1024
"""A longer line is taken as several without an end, so that a stream without line ends is held in bounded memory."""
_LINE: Final = re.compile(rb"[^\r\n]*(?:\r*\n|\r+)")

Meta = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class LogLine:
    """One line on its way to the log; filters change it."""

    text: str
    """Without its end. Bytes that are not UTF-8 stand in it as lone surrogates (``surrogateescape``)."""
    level: Level = Level.NORMAL
    end: str = "\n"
    """``\\n``, ``\\r\\n``, ``\\r`` or nothing."""
    meta: Meta = ()

    @classmethod
    def of(cls, raw: bytes, level: Level) -> LogLine:
        """A line as it was read."""
        text = raw.decode("utf-8", "surrogateescape")
        body = text.rstrip("\r\n")
        return cls(body, level, text[len(body) :])

    def encode(self) -> bytes:
        """The line with its end; unchanged, it is what was read, to the byte."""
        return (self.text + self.end).encode("utf-8", "surrogateescape")


class LineCutter:
    r"""The lines of one stream. A ``\n`` ends a line, and so does a ``\r`` that something else follows.

    So the original cuts output: each state of a progress bar is a line to filters and limits.
    """

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, with their ends."""
        held_return = self._held.endswith(b"\r")
        self._held += data
        if not held_return and b"\n" not in data and b"\r" not in data and len(self._held) < MAX_LINE_BYTES:
            return []
        lines, rest = _cut(bytes(self._held))
        self._held = bytearray(rest)
        return lines

    def finish(self) -> list[bytes]:
        """The last line, if it was left without an end."""
        rest = bytes(self._held)
        self._held.clear()
        return [rest] if rest else []


def _cut(data: bytes) -> tuple[list[bytes], bytes]:
    r"""Complete lines, and the rest: a ``\r`` at the end may yet turn out to be half of ``\r\n``."""
    if b"\r" in data:
        lines = _LINE.findall(data)
        if lines and data.endswith(b"\r"):
            lines.pop()
        rest = data[sum(map(len, lines)) :]
    else:
        lines = data.splitlines(keepends=True)
        rest = lines.pop() if lines and not data.endswith(b"\n") else b""
    if len(rest) >= MAX_LINE_BYTES or any(len(line) > MAX_LINE_BYTES for line in lines):
        lines = [part for line in lines for part in _parts(line)]
        *whole, rest = _parts(rest) or [b""]
        lines += whole
    return lines, rest


def _parts(line: bytes) -> list[bytes]:
    return [line[start : start + MAX_LINE_BYTES] for start in range(0, len(line), MAX_LINE_BYTES)]
