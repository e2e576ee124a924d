"""Whether a piece of a log breaks off in the midst of a secret, within the first bytes of one."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

QUOTES: Final = b"'\""
_QUOTE: Final = re.compile(rb"['\"]")
_HEAD_BYTES: Final = 6
_SHORT_BYTES: Final = 3


class Starts:
    """Knows how forms start. ``reach``: a start of more bytes than that is found elsewhere."""

    def __init__(self, bare: frozenset[bytes], quoted: Iterable[bytes], reach: int) -> None:
        self._forms = sorted({*bare, *quoted})
        self._reach = reach
        self._heads = frozenset(form[:_HEAD_BYTES] for form in self._forms if len(form) >= _HEAD_BYTES)
        self._short = frozenset(
            form[:size] for form in self._forms for size in range(min(_SHORT_BYTES, len(form) - 1) + 1)
        )
        self._quotes_matter = bool(bare)
        self._windows = [slice(at, at + _HEAD_BYTES) for at in range(reach + 2 - _HEAD_BYTES)]
        """Those of the last bytes of the data: one that reaches over their end is shorter, and no head."""

    def first_in(self, data: bytes, *, quoted: bool) -> int:
        """Where the first form starts that goes on behind the data; the data's length where none does.

        With ``quoted``, also one with a quote in front of it. One that ends with the data is found elsewhere.
        """
        begin = max(0, len(data) - self._reach - 1)
        tail = data[begin:]
        start = self._first(tail)
        if quoted and self._quotes_matter and (b'"' in tail or b"'" in tail):
            for quote in _QUOTE.finditer(tail, 0, start):
                rest = tail[quote.end() :]
                if self._goes_on(rest):
                    return begin + quote.start()
        return begin + start

    def _first(self, tail: bytes) -> int:
        size = len(tail)
        if not self._heads.isdisjoint(map(tail.__getitem__, self._windows)):
            for at in range(size - _HEAD_BYTES + 1):
                if tail[at : at + _HEAD_BYTES] in self._heads and self._goes_on(tail[at:]):
                    return at
        for at in range(max(0, size - _HEAD_BYTES + 1), size):
            if self._goes_on(tail[at:]):
                return at
        return size

    def _goes_on(self, part: bytes) -> bool:
        """Whether some form goes on after ``part``."""
        if len(part) <= _SHORT_BYTES:
            return part in self._short
        if part[:_SHORT_BYTES] not in self._short:
            return False
        index = bisect_right(self._forms, part)
        return index < len(self._forms) and self._forms[index].startswith(part)
