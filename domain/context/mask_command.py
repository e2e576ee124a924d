"""The line by which a step tells of a secret while it runs: ``::add-mask::VALUE``, known from GitHub Actions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from domain.context.masking import REPLACEMENT

COMMAND: Final = b"::add-mask::"
MAX_VALUE_BYTES: Final = 64 * 1024
"""Of a longer value, this much is masked; none of it is shown where it is told."""
_COMMAND: Final = re.compile(re.escape(COMMAND), re.IGNORECASE)
_COLOUR: Final = rb"\x1b\[[0-9;:]{0,32}[mK]"
"""Or the rest of the line in that colour, which ``grep`` writes behind each."""
_IN_FRONT: Final = re.compile(rb"(?:[ \t]|%b)*" % _COLOUR)
_COLOURS: Final = re.compile(rb"(?:%b)*" % _COLOUR)
_LAST_COLOUR: Final = re.compile(rb"%b\Z" % _COLOUR)
_OPEN_COLOUR: Final = re.compile(rb"\x1b(?:\[[0-9;:]{0,32})?\Z")
_MAX_OPEN_BYTES: Final = 34
_MAX_COLOUR_BYTES: Final = 35
_LINE_ENDS: Final = re.compile(rb"[\r\n]")
_ESCAPED: Final = re.compile(rb"%(25|0D|0A)", re.IGNORECASE)
_UNESCAPED: Final = {b"25": b"%", b"0D": b"\r", b"0A": b"\n"}


class AddMaskStream:
    """Takes the values out of such lines of one stream of bytes, piece by piece, before anything else sees them.

    ``learn`` is called with each value as soon as its line ends, and the line goes on as ``::add-mask::[SECURE]``.
    The command stands at the start of a line, behind blanks and colours at most, in small letters or capitals; its
    value goes to the end of it, but for colours around it, with ``%25``, ``%0D`` and ``%0A`` for a percent sign and
    the ends of lines. Bytes that are no UTF-8 arrive as Python's
    ``surrogateescape`` makes them. A value of nothing but blanks is none.

    Holds back only what may be the start of a command, and the command until its line ends.
    """

    def __init__(self, learn: Callable[[str], object]) -> None:
        self._learn = learn
        self._held = b""
        self._is_start = True
        """Whether a command may follow what was given out: there are but blanks in its last line."""
        self._value: bytearray | None = None
        """The value so far, of a command whose line has not ended."""

    def feed(self, piece: bytes) -> bytes:
        """What can be given out now."""
        if (
            self._value is None
            and not self._held
            and COMMAND[:2] not in piece
            and not piece.endswith(COMMAND[:1])
            and b"\x1b" not in piece[-_MAX_OPEN_BYTES:]
        ):
            self._is_start = self._starts_at(piece, len(piece))
            return piece
        given_out: list[bytes] = []
        data = self._held + piece
        self._held = b""
        while data:
            data = self._take_text(data, given_out) if self._value is None else self._take_value(data, given_out)
        return b"".join(given_out)

    def finish(self) -> bytes:
        """The rest: the last line ends here, with or without its end."""
        rest, self._held = self._held, b""
        if self._value is not None:
            rest = self._end_of_value()
        self._is_start = True
        return rest

    def _take_text(self, data: bytes, given_out: list[bytes]) -> bytes:
        """Give out all up to the next command; returns what follows it."""
        for found in _COMMAND.finditer(data):
            if self._starts_at(data, found.start()):
                given_out.append(data[: found.end()])
                self._value = bytearray()
                return data[found.end() :]
        end = self._end_of_text(data)
        self._held = data[end:]
        self._is_start = self._starts_at(data, end)
        given_out.append(data[:end])
        return b""

    def _take_value(self, data: bytes, given_out: list[bytes]) -> bytes:
        """Take the value, or as much of it as there is; returns what follows it."""
        value = self._value if self._value is not None else bytearray()
        found = _LINE_ENDS.search(data)
        value += data[: found.start() if found else len(data)]
        del value[MAX_VALUE_BYTES:]
        if found is None:
            return b""
        given_out.append(self._end_of_value())
        self._is_start = True
        return data[found.start() :]

    def _end_of_value(self) -> bytes:
        """What to show of it."""
        value, self._value = bytes(self._value or b""), None
        before, inner, after = _without_colours(value)
        text = _ESCAPED.sub(lambda found: _UNESCAPED[found[1].upper()], inner).decode("utf-8", "surrogateescape")
        if not text.strip():
            return value
        self._learn(text)
        return before + REPLACEMENT.encode() + after

    def _starts_at(self, data: bytes, at: int) -> bool:
        """Whether there are but blanks and colours between the start of the line and ``at``."""
        start = _line_start(data, at)
        return (start > 0 or self._is_start) and _IN_FRONT.fullmatch(data, start, at) is not None

    def _end_of_text(self, data: bytes) -> int:
        """Where the start of a command may be, at the end of the data; their length if there is none."""
        tail = data[-len(COMMAND) :].lower()
        for size in range(min(len(COMMAND) - 1, len(data)), 0, -1):
            if tail.endswith(COMMAND[:size]) and self._starts_at(data, len(data) - size):
                return len(data) - size
        opened = _OPEN_COLOUR.search(data, max(0, len(data) - _MAX_OPEN_BYTES))
        return opened.start() if opened and self._starts_at(data, opened.start()) else len(data)


def _without_colours(value: bytes) -> tuple[bytes, bytes, bytes]:
    """The colours in front of it, the value, the colours behind it."""
    colours = _COLOURS.match(value)
    start, end = colours.end() if colours else 0, len(value)
    while found := _LAST_COLOUR.search(value, max(start, end - _MAX_COLOUR_BYTES), end):
        end = found.start()
    return value[:start], value[start:end], value[end:]


def _line_start(data: bytes, at: int) -> int:
    return max(data.rfind(b"\n", 0, at), data.rfind(b"\r", 0, at)) + 1
