"""Text that was broken into lines of one width, as ``base64``, ``openssl`` and ``xxd`` do, put together again."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final

MIN_WIDTH: Final = 56
"""An end of line is one inside a longer text only behind so many digits: ``xxd`` writes 60, others 64 and 76."""
_DIGITS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_="
_ENDS: Final = (re.compile(rb"\n[ \t]{0,16}"), re.compile(rb"\\n[ \t]{0,16}"))
"""The end of a line, and the same in a string literal or JSON; with what the next line is indented by."""
_OPEN_END: Final = re.compile(rb"(?:\r|\\+r?)\Z")
"""What may be the start of one, where the text breaks off."""
_BEFORE_END: Final = re.compile(rb"(?:\r|\\+r\\*|\\+)?\Z")
_MAX_BEFORE_BYTES: Final = 12


class Unfolded:
    """``data`` without the ends of lines inside of long runs of digits; ``before`` is what stood in front of it."""

    def __init__(self, before: bytes, data: bytes) -> None:
        self._starts = [0]
        """Where each piece starts in the text, and in the data."""
        self._origins = [0]
        pieces: list[bytes] = []
        size = end = 0
        for start, stop in _breaks(before, data):
            if start > end or not pieces:
                pieces.append(data[end:start])
                size += start - end
                self._starts.append(size)
                self._origins.append(stop)
                end = stop
        pieces.append(data[end:])
        self.text = b"".join(pieces)

    @property
    def is_same(self) -> bool:
        """Whether there was nothing to put together."""
        return len(self._starts) == 1

    def origin(self, at: int) -> int:
        """Where a byte of the text stands in the data."""
        piece = bisect_right(self._starts, at) - 1
        return self._origins[piece] + at - self._starts[piece]


def may_be_folded(text: bytes) -> bool:
    """Whether there may be the end of a full line of digits in a short text; hardly ever true in vain."""
    for end in (b"\n", b"\\", b"\r"):
        at = text.find(end, MIN_WIDTH)
        while at >= 0:
            if not text[at - MIN_WIDTH + 4 : at - 4].translate(None, _DIGITS):
                return True
            at = text.find(end, at + 1)
    return False


def _breaks(before: bytes, data: bytes) -> list[tuple[int, int]]:
    """Start and end of each end of line to leave out, in order."""
    text = before[-MIN_WIDTH:] + data
    skipped = len(text) - len(data)
    found = []
    for end_of_line in _ENDS if b"\\n" in data else _ENDS[:1]:
        for match in end_of_line.finditer(text, skipped):
            start = _full_line_end(text, match.start())
            if start >= skipped:
                found.append((start - skipped, match.end() - skipped))
    last = _OPEN_END.search(text, max(skipped, len(text) - _MAX_BEFORE_BYTES))
    if last and (start := _full_line_end(text, last.start())) >= skipped:
        found.append((start - skipped, len(data)))
    return sorted(found)


def _full_line_end(text: bytes, end: int) -> int:
    """Where the digits of the line end, if it is long enough; else -1."""
    found = _BEFORE_END.search(text, max(0, end - _MAX_BEFORE_BYTES), end)
    stop = found.start() if found else end
    digits = text[max(0, stop - MIN_WIDTH) : stop]
    return stop if len(digits) == MIN_WIDTH and not digits.translate(None, _DIGITS) else -1
