"""Masks secrets in logs, also where one is cut in two by the end of a chunk."""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from domain.context.grams import Needles
from domain.context.secret_forms import all_forms, line_parts

REPLACEMENT: Final = "[SECURE]"
_QUOTES: Final = b"'\""
_HEAD_BYTES: Final = 3


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


class Masker:
    """Knows the secrets of an execution and finds them; never changes, so one serves any number of streams.

    Every form of a secret is masked ("Masking": raw, ``'v'``, ``"v"`` and the escaped ones). Places that overlap are
    masked as one, from the first to the last character: of two secrets that share a part, nothing is left over.
    """

    def __init__(self, secrets: Iterable[str], replacement: str = REPLACEMENT) -> None:
        either, only = all_forms(secrets)
        self.replacement = _bytes(replacement)
        self._learn(frozenset(_bytes(form) for form in either), frozenset(_bytes(form) for form in only))

    def _learn(self, bare: frozenset[bytes], only: frozenset[bytes]) -> None:
        self._bare = bare
        self._only = only
        self._needles = Needles(bare | only)
        quoted = {quote + form + quote for form in bare for quote in (b"'", b'"')}
        self._forms = sorted(bare | quoted | only)
        self._heads = frozenset(form[:_HEAD_BYTES] for form in self._forms)
        self._max_bytes = max(map(len, self._forms), default=0)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to mask."""
        return not self._forms

    def replacing(self, replacement: str) -> Masker:
        """The same with another text in place of secrets."""
        other = copy.copy(self)
        other.replacement = _bytes(replacement)
        return other

    def by_line(self) -> Masker:
        """For lines that are looked at one by one: finds each line of a secret of several, short ones too."""
        parts = {part for form in self._bare for part in line_parts(form)}
        if parts <= self._bare:
            return self
        other = Masker(())
        other.replacement = self.replacement
        other._learn(self._bare | parts, self._only)
        return other

    def mask(self, text: str) -> str:
        """A whole text without its secrets."""
        return TextMaskStream(self).feed_last(text)

    def mask_bytes(self, data: bytes) -> bytes:
        """A whole run of bytes without its secrets, which are taken to be in UTF-8."""
        return MaskStream(self).feed_last(data)

    def places(self, data: bytes) -> list[tuple[int, int]]:
        """Where secrets stand, with the quotes around them, as start and end; sorted, possibly overlapping."""
        return [self._with_quotes(data, start, end) for start, end in self._needles.find(data)]

    def first_unfinished(self, data: bytes) -> int:
        """Where the first secret starts that the data breaks off in the midst of; their end where there is none."""
        size = len(data)
        for start in range(max(0, size - self._max_bytes + 1), size):
            head = data[start : start + _HEAD_BYTES]
            if (len(head) < _HEAD_BYTES or head in self._heads) and self._is_start(data[start:]):
                return start
        return size

    def _with_quotes(self, data: bytes, start: int, end: int) -> tuple[int, int]:
        quoted = start > 0 and end < len(data) and data[start - 1] == data[end] and data[end] in _QUOTES
        return (start - 1, end + 1) if quoted and data[start:end] in self._bare else (start, end)

    def _is_start(self, part: bytes) -> bool:
        """Whether some form goes on after ``part``."""
        index = bisect_left(self._forms, part)
        if index < len(self._forms) and self._forms[index] == part:
            index += 1
        return index < len(self._forms) and self._forms[index].startswith(part)


class MaskStream:
    """Masks one stream of bytes, piece by piece; together the pieces are what ``mask_bytes`` makes of the whole.

    Holds back only what may be the start of a secret: always less than the longest form of one.
    """

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held = b""
        self._masked = 0
        """How many of the held bytes belong to a place whose replacement has been given out."""

    @property
    def held(self) -> bytes:
        """What was fed and is not given out yet."""
        return self._held

    def feed(self, piece: bytes) -> bytes:
        """What can be given out now."""
        if self._masker.is_idle:
            return piece
        data = self._held + piece
        return self._given_out(data, self._masker.first_unfinished(data))

    def finish(self) -> bytes:
        """The rest; the stream may be used anew afterwards."""
        return self.feed_last(b"")

    def feed_last(self, piece: bytes) -> bytes:
        """The last piece and all that was held back."""
        if self._masker.is_idle:
            return piece
        data = self._held + piece
        return self._given_out(data, len(data))

    def _given_out(self, data: bytes, cut: int) -> bytes:
        """Everything before ``cut``; from there on it is kept.

        Every secret that starts before the cut is whole: the cut is the first place where one breaks off. A masked
        place may reach across the cut, and then goes on into what is kept.
        """
        pieces = []
        masked = self._masked
        for start, end in self._masker.places(data):
            if start >= cut:
                break
            if start >= masked:
                pieces += [data[masked:start], self._masker.replacement]
                masked = end
            else:
                masked = max(masked, end)
        if masked < cut:
            pieces.append(data[masked:cut])
        self._held = data[cut:]
        self._masked = max(0, masked - cut)
        return b"".join(pieces)


class TextMaskStream:
    """A ``MaskStream`` for text: a secret's first byte starts a character, so no character is cut in two."""

    def __init__(self, masker: Masker) -> None:
        self._stream = MaskStream(masker)

    def feed(self, piece: str) -> str:
        """What can be given out now."""
        return self._stream.feed(_bytes(piece)).decode("utf-8", "surrogatepass")

    def finish(self) -> str:
        """The rest; the stream may be used anew afterwards."""
        return self.feed_last("")

    def feed_last(self, piece: str) -> str:
        """The last piece and all that was held back."""
        return self._stream.feed_last(_bytes(piece)).decode("utf-8", "surrogatepass")
