"""Finds the forms of secrets in pieces of a log, by Vectorscan: a library that looks for thousands of strings.

Measured with the 22,000 forms of 1,000 secrets, on one core: Vectorscan some 1,000 MB/s, the Aho-Corasick automata of
``ahocorasick_rs`` and ``pyahocorasick`` 12 to 80, as each of their steps is a miss of the cache.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final, NamedTuple

from domain.context.mask_factors import Factor, Factors
from domain.context.mask_lines import MIN_WIDTH, Unfolded, may_be_folded
from domain.context.mask_starts import QUOTES, Starts
from domain.context.secret_forms import Forms

_TRIES: Final = 32
"""So many factors without their forms are looked at one by one; then all of the piece is put together."""
_END_BYTES: Final = 32
"""What the end of a line may take, with the next one's indentation."""


class Found(NamedTuple):
    """What there is in a piece of a log."""

    places: list[tuple[int, int]]
    """Start and end of each secret, with the quotes around it; in no order, and possibly overlapping."""
    unfinished: int
    """Where the first one starts that the piece breaks off in the midst of; its length where there is none."""


class FormIndex:
    """Looks for a set of forms; never changes. Building it takes half a millisecond for each secret."""

    def __init__(self, groups: Sequence[Forms]) -> None:
        factors = Factors(groups)
        self._bare = frozenset[bytes]().union(*(group.bare for group in groups))
        self._starts = Starts(self._bare, {form for group in groups for form in group.quoted}, factors.reach)
        self._spoken = list(factors.spoken.values())
        self._reach = factors.reach
        self._folds = any(each.is_folded for spoken in self._spoken for each in spoken)
        self._scanner = _Scanner(list(factors.spoken)) if factors.spoken else None

    def look(self, data: bytes, before: bytes = b"") -> Found:
        """What is in ``data``; ``before``, which stood in front of it, tells where lines were broken."""
        places, cut, is_broken = self._find(data, before)
        cut = min(cut, self._starts.first_in(data, quoted=True))
        if not self._folds:
            return Found(places, cut)
        if is_broken:
            whole = Unfolded(before, data)
            if not whole.is_same:
                folded, broken_off, _ = self._find(whole.text, b"", only_folded=True)
                places += [(whole.origin(start), whole.origin(end - 1) + 1) for start, end in folded]
                if broken_off < len(whole.text):
                    cut = min(cut, whole.origin(broken_off))
        return Found(places, min(cut, self._folded_start_at_end(data, before)))

    def look_unbroken(self, data: bytes) -> Found:
        """The same, but for forms that were broken into lines."""
        places, cut, _ = self._find(data, b"")
        return Found(places, min(cut, self._starts.first_in(data, quoted=True)))

    def _find(
        self, data: bytes, before: bytes, *, only_folded: bool = False
    ) -> tuple[list[tuple[int, int]], int, bool]:
        """Places, the first unfinished one with a whole factor, and whether forms may stand there in broken lines."""
        places = []
        cut, is_broken, tried = len(data), only_folded, 0
        for factor, end in self._scanner.scan(data) if self._scanner else ():
            for distance, form, is_folded in self._spoken[factor]:
                start = end - distance
                if start < 0 or (only_folded and not is_folded):
                    continue
                stop = start + len(form)
                if stop > len(data):
                    if start <= cut and form.startswith(data[start:]):
                        cut = min(cut, self._with_quote(data, start, form))
                        continue
                elif data.startswith(form, start):
                    place = self._in_quotes(data, start, stop)
                    places.append(place)
                    if stop == len(data):
                        opened = self._with_quote(data, start, form)
                        cut = min(cut, opened) if opened < start else cut
                    continue
                if is_folded and not is_broken:
                    tried += 1
                    is_broken = tried > _TRIES or _is_broken(data, start, stop, before)
        return places, cut, is_broken

    def _in_quotes(self, data: bytes, start: int, end: int) -> tuple[int, int]:
        quoted = start > 0 and end < len(data) and data[start - 1] == data[end] and data[end] in QUOTES
        return (start - 1, end + 1) if quoted and data[start:end] in self._bare else (start, end)

    def _with_quote(self, data: bytes, start: int, form: bytes) -> int:
        """Where the form starts, with a quote in front of it whose fellow may follow."""
        return start - 1 if start > 0 and data[start - 1] in QUOTES and form in self._bare else start

    def _folded_start_at_end(self, data: bytes, before: bytes) -> int:
        """The same for forms whose lines were broken."""
        first = max(0, len(data) - 2 * self._reach)
        tail = data[first:]
        front = _front(data, first, before)
        if may_be_folded(front + tail):
            whole = Unfolded(front, tail)
            start = len(whole.text) if whole.is_same else self._starts.first_in(whole.text, quoted=False)
            if start < len(whole.text):
                return first + whole.origin(start)
        return len(data)


def _is_broken(data: bytes, start: int, stop: int, before: bytes) -> bool:
    """Whether a form that would stand there, were its lines not broken, may be there with broken lines."""
    first = max(0, start - _END_BYTES)
    last = stop + _END_BYTES * (1 + (stop - start) // MIN_WIDTH)
    return may_be_folded(_front(data, first, before) + data[first:last])


def _front(data: bytes, at: int, before: bytes) -> bytes:
    """What stands in front of a place, as much as there is need of."""
    return data[at - MIN_WIDTH : at] if at >= MIN_WIDTH else before[at - MIN_WIDTH :] + data[:at]


class _Scanner:
    """The library's automaton. One thread scans at a time, as it works in memory of its own."""

    def __init__(self, factors: Sequence[Factor]) -> None:
        import hyperscan  # noqa: PLC0415  (a runner that knows no secret does not load it)

        self._lock = threading.Lock()
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._database.compile(
            # As expressions and not as literals, which the binding ends at the first NUL.
            expressions=[b"".join(b"\\x%02x" % byte for byte in factor.data) for factor in factors],
            ids=list(range(len(factors))),
            elements=len(factors),
            flags=[
                hyperscan.HS_FLAG_DOTALL | (hyperscan.HS_FLAG_CASELESS if factor.any_case else 0)
                for factor in factors
            ],
        )
        self._scratch = hyperscan.Scratch(self._database)

    def scan(self, data: bytes) -> list[tuple[int, int]]:
        """Number and end of each factor in the data, by their ends."""
        found: list[tuple[int, int]] = []
        if data:
            with self._lock:
                self._database.scan(
                    data,
                    match_event_handler=lambda factor, _start, end, *_: found.append((factor, end)),
                    scratch=self._scratch,
                )
        return found
