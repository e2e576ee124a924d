"""Whether a piece of a log breaks off in the midst of a secret, within the first bytes of one."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

QUOTES: Final = b"'\""
_QUOTE: Final = re.compile(rb"['\"]")
_HEAD_BYTES: Final = 6
_SHORT_BYTES: Final = 3


class Starts:
    """Knows how forms start. ``reach``: a start of more bytes than that is found elsewhere."""

    def __init__(self, bare: Iterable[bytes], quoted: Iterable[bytes], reach: int) -> None:
        self._forms = sorted({*bare, *quoted})
        self._reach = reach
        self._heads = frozenset(form[:_HEAD_BYTES] for form in self._forms if len(form) >= _HEAD_BYTES)
        self._short_heads = frozenset(
            form[:size] for form in self._forms for size in range(1, min(_SHORT_BYTES, len(form)) + 1)
        )
        self._quotes_matter = any(True for _ in bare)

    def first_in(self, data: bytes, *, quoted: bool) -> int:
        """Where the first form starts that goes on behind the data; the data's length where none does.

        With ``quoted``, also one with a quote in front of it, which may end with the data: the other may follow.
        """
        begin = max(0, len(data) - self._reach - 1)
        tail = data[begin:]
        size = len(tail)
        start = next((at for at in self._likely(tail) if self._goes_on(tail[at:])), size)
        if quoted and self._quotes_matter and (b'"' in tail or b"'" in tail):
            for quote in _QUOTE.finditer(tail, 0, start):
                rest = tail[quote.end() :]
                if self._may_start(rest) and self._goes_on(rest, or_ends=True):
                    return begin + quote.start()
        return begin + start

    def _likely(self, tail: bytes) -> Iterable[int]:
        """Where to look closer."""
        size = len(tail)
        windows = [tail[at : at + _HEAD_BYTES] for at in range(size - _HEAD_BYTES + 1)]
        if not self._heads.isdisjoint(windows):
            yield from (at for at, head in enumerate(windows) if head in self._heads)
        yield from (at for at in range(max(0, size - _HEAD_BYTES + 1), size) if self._may_start(tail[at:]))

    def _may_start(self, part: bytes) -> bool:
        """Cheap, and hardly ever true in vain."""
        if len(part) >= _HEAD_BYTES:
            return part[:_HEAD_BYTES] in self._heads
        return not part or part[:_SHORT_BYTES] in self._short_heads

    def _goes_on(self, part: bytes, *, or_ends: bool = False) -> bool:
        """Whether some form goes on after ``part``, or ends with it."""
        index = bisect_left(self._forms, part)
        if index < len(self._forms) and self._forms[index] == part:
            if or_ends:
                return True
            index += 1
        return index < len(self._forms) and self._forms[index].startswith(part)
