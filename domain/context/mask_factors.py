"""By which few bytes each form of a secret is looked for.

A form is searched by one short piece of it, its factor; forms of one secret share theirs where they can. So a
thousand secrets in twenty thousand forms are some ten thousand pieces of eight bytes: what the library finds fastest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from domain.context.secret_forms import Forms

FACTOR_BYTES: Final = 8
_WITHIN_BYTES: Final = 32
"""A factor lies in the first bytes of its form: one that a chunk breaks off behind these is found by its factor."""
_FOLDED_WITHIN_BYTES: Final = 32
"""Where both factors of a folded form lie: no line is so short that both can be cut."""
_MIN_SHARED_BYTES: Final = 5
_MIN_FOLDED_BYTES: Final = 8
_MIN_FOLDED_HEX_BYTES: Final = 12
_PLAIN: Final = b" etaoinsrhldcu=-_./:0"
_HEX: Final = b"0123456789abcdefABCDEF"
_WORDS: Final = re.compile(rb"[A-Za-z0-9_.-]{5,}")
"""What stays as it is in every textual encoding."""


class Factor(NamedTuple):
    """What the library is given."""

    data: bytes
    any_case: bool


class Spoken(NamedTuple):
    """One of the forms that a factor speaks for."""

    distance: int
    """From the form's start to the factor's end."""
    form: bytes
    is_folded: bool


class Factors:
    """The factors of a set of forms, and what each speaks for."""

    def __init__(self, groups: Sequence[Forms]) -> None:
        self.spoken: dict[Factor, list[Spoken]] = {}
        self.reach = 0
        """How many bytes of a form may stand at the end of a chunk without one of its factors being whole."""
        seen: set[bytes] = set()
        folded = frozenset[bytes]().union(*(group.folded for group in groups))
        for group in groups:
            shared: list[bytes] = []
            for form in sorted((group.bare | group.quoted) - seen, key=len):
                self._add(form, shared, is_folded=form in folded)
            seen |= group.bare | group.quoted

    def _add(self, form: bytes, shared: list[bytes], *, is_folded: bool) -> None:
        is_hex = not form.translate(None, _HEX)
        if is_folded and len(form) >= (_MIN_FOLDED_HEX_BYTES if is_hex else _MIN_FOLDED_BYTES):
            size = min(FACTOR_BYTES, len(form) // 2)
            end = min(len(form), _FOLDED_WITHIN_BYTES)
            for first, last in ((0, end // 2), (end // 2, end)):
                self._speak(form, _rarest(form, first, last, size), size, is_folded=True)
            return
        for known in shared:
            start = form.find(known, 0, _WITHIN_BYTES)
            if start >= 0:
                self._speak(form, start, len(known))
                return
        start, size = _best(form)
        shared.append(form[start : start + size])
        self._speak(form, start, size)

    def _speak(self, form: bytes, start: int, size: int, *, is_folded: bool = False) -> None:
        data = form[start : start + size]
        is_hex = not data.translate(None, _HEX)
        factor = Factor(data.lower() if is_hex else data, is_hex)
        self.spoken.setdefault(factor, []).append(Spoken(start + size, form, is_folded))
        self.reach = max(self.reach, start + size)


def _best(form: bytes) -> tuple[int, int]:
    """Where the factor starts, and its length: in the longest word that every encoding leaves alone, if any."""
    words = [found.span() for found in _WORDS.finditer(form, 0, _WITHIN_BYTES)]
    first, last = max(words, key=lambda span: span[1] - span[0], default=(0, min(len(form), _WITHIN_BYTES)))
    size = min(FACTOR_BYTES, last - first)
    return _rarest(form, first, last, size), size


def _rarest(form: bytes, first: int, last: int, size: int) -> int:
    """The start of the piece that logs are least likely to hold by chance: no plain words, no runs."""
    starts = range(first, last - size + 1, 2)
    return max(starts, key=lambda start: _rarity(form[start : start + size]))


def _rarity(data: bytes) -> tuple[int, int]:
    return len(data.translate(None, _PLAIN)), len(set(data))
