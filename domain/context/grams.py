"""Finds many fixed byte strings at once, at the speed of a loop in C where there is nothing to find."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Final, Literal

_Word = Literal["B", "H", "I", "Q"]
_WIDTHS: Final[tuple[tuple[int, _Word], ...]] = ((8, "Q"), (4, "I"), (2, "H"), (1, "B"))
_SLICE_BYTES: Final = 64 * 1024


class _WordIndex:
    """Strings that are long enough to hold a whole aligned word of ``width`` bytes, wherever they start.

    The text is read as words. A string at any place covers at least one, at one of ``width`` distances from its
    start; each of these words is known here, with the strings and distances it speaks for.
    """

    def __init__(self, width: int, word: _Word) -> None:
        self._width = width
        self._word: _Word = word
        self._needles: dict[int, list[tuple[int, bytes]]] = {}

    @property
    def min_bytes(self) -> int:
        return 2 * self._width - 1

    def __len__(self) -> int:
        return len(self._needles)

    def add(self, needle: bytes) -> None:
        for phase in range(self._width):
            starts = range(phase, len(needle) - self._width + 1, self._width)
            best = min(starts, key=lambda start: self._cost(needle[start : start + self._width]))
            word = int.from_bytes(needle[best : best + self._width], sys.byteorder)
            self._needles.setdefault(word, []).append((best, needle))

    def _cost(self, gram: bytes) -> tuple[int, int]:
        """How often a word will be met in vain: first those shared with other strings, then plain text and runs."""
        shared = len(self._needles.get(int.from_bytes(gram, sys.byteorder), ()))
        plain = sum(byte in b" etaoinsrhldcu=-_./:" for byte in gram)
        return shared, plain - len(set(gram))

    def find(self, text: bytes) -> Iterator[tuple[int, int]]:
        """Every place of every string, as start and end; the order is not set, and a place may come twice."""
        known = self._needles
        words = memoryview(text)[: len(text) // self._width * self._width].cast(self._word)
        step = _SLICE_BYTES // self._width
        for base in range(0, len(words), step):
            part = words[base : base + step]
            if known.keys().isdisjoint(part):
                continue
            for index, word in enumerate(part, base):
                if word in known:
                    for distance, needle in known[word]:
                        start = index * self._width - distance
                        if start >= 0 and text.startswith(needle, start):
                            yield start, start + len(needle)


class Needles:
    """A set of byte strings to look for, none of them empty."""

    def __init__(self, needles: Iterable[bytes]) -> None:
        indexes = [_WordIndex(width, word) for width, word in _WIDTHS]
        for needle in sorted(set(needles), key=lambda each: (len(each), each)):
            next(index for index in indexes if len(needle) >= index.min_bytes).add(needle)
        self._indexes = [index for index in indexes if len(index)]

    def find(self, text: bytes) -> list[tuple[int, int]]:
        """Every place of every string, overlapping ones too, sorted by start and then end."""
        return sorted(place for index in self._indexes for place in index.find(text))
