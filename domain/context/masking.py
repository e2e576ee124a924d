"""Masks secrets in logs: also where the end of a chunk cuts one in two, and those that become known on the way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from domain.context.mask_escapes import readings
from domain.context.mask_index import Found
from domain.context.mask_known import MAX_LEARNED, Known, Learned
from domain.context.mask_lines import MIN_WIDTH

__all__ = ["MAX_LEARNED", "REPLACEMENT", "MaskStream", "Masker", "TextMaskStream"]

REPLACEMENT: Final = "[SECURE]"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


class Masker:
    """Knows the secrets of an execution and finds them; one serves any number of streams, from any thread.

    Every form of a secret is masked ("Masking": raw, ``'v'``, ``"v"`` and the escaped ones). Places that overlap are
    masked as one, from the first to the last character: of two secrets that share a part, nothing is left over.

    What is to be found is worked out at the first use, in a millisecond or two for each secret; or by ``prepare``.
    """

    def __init__(self, secrets: Iterable[str], replacement: str = REPLACEMENT) -> None:
        known = Known(secrets)
        self.replacement = _bytes(replacement)
        self._known: tuple[Known, ...] = (known,) if len(known) else ()
        self._learned = Learned()

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to mask, so far."""
        return not self._known and not self._learned.parts

    def prepare(self) -> None:
        """Get ready now. In a thread if there are more than some twenty: then it takes more than 50 ms."""
        for part in self._known:
            part.index  # noqa: B018

    def learn(self, secrets: Iterable[str]) -> bool:
        """Mask these too from now on, with this masker and all that were made of it, in streams that are under way.

        Each line of a secret of several is one by itself. Returns false where there is no room for some of them:
        there is for ``MAX_LEARNED``.
        """
        return self._learned.add(secrets)

    def also(self, secrets: Iterable[str]) -> Masker:
        """One that knows these besides; what either of the two learns, both know."""
        known = {secret for part in self._known for secret in part.secrets}
        more = Known(secret for secret in secrets if secret not in known)
        return self._made_of((*self._known, more) if len(more) else self._known, self._learned)

    def apart(self) -> Masker:
        """One that knows the same, and learns by itself: what it learns, no other masker knows. Costs nothing."""
        return self._made_of((*self._known, *self._learned.parts), Learned())

    def replacing(self, replacement: str) -> Masker:
        """The same with another text in place of secrets."""
        other = self._made_of(self._known, self._learned)
        other.replacement = _bytes(replacement)
        return other

    def by_line(self) -> Masker:
        """For lines that are looked at one by one: finds each line of a secret of several, short ones too."""
        lines = [part.lines for part in self._known]
        more = tuple(part for part in lines if part is not None and part not in self._known)
        return self._made_of((*self._known, *more), self._learned) if more else self

    def _made_of(self, known: tuple[Known, ...], learned: Learned) -> Masker:
        other = Masker(())
        other.replacement, other._known, other._learned = self.replacement, known, learned
        return other

    def mask(self, text: str) -> str:
        """A whole text without its secrets."""
        return TextMaskStream(self).feed_last(text)

    def mask_bytes(self, data: bytes) -> bytes:
        """A whole run of bytes without its secrets, which are taken to be in UTF-8."""
        return MaskStream(self).feed_last(data)

    def look(self, data: bytes, before: bytes = b"") -> Found:
        """Where secrets stand in ``data``, sorted, and where one breaks off; ``before`` stood in front of it."""
        places: list[tuple[int, int]] = []
        cut = len(data)
        parts = (*self._known, *self._learned.parts)
        for part in parts:
            found = part.index.look(data, before)
            places += found.places
            cut = min(cut, found.unfinished)
        for reading in readings(data):
            for part in parts:
                found = part.index.look_unbroken(reading.text)
                places += [(reading.start(start), reading.end(end)) for start, end in found.places]
                cut = min(cut, reading.start(found.unfinished))
        return Found(sorted(places), cut)


class MaskStream:
    """Masks one stream of bytes, piece by piece; together the pieces are what ``mask_bytes`` makes of the whole.

    Holds back only what may be the start of a secret: always less than the longest form of one, and the ends of lines
    that it was broken into. What its masker learns applies from the next piece on, and to what is held back.
    """

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held = b""
        self._before = b""
        """The last bytes in front of those that are held."""
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
        return self._given_out(data, is_last=False)

    def finish(self) -> bytes:
        """The rest; the stream may be used anew afterwards."""
        return self.feed_last(b"")

    def feed_last(self, piece: bytes) -> bytes:
        """The last piece and all that was held back."""
        if self._masker.is_idle:
            return piece
        data = self._held + piece
        given_out = self._given_out(data, is_last=True)
        self._before = b""
        return given_out

    def _given_out(self, data: bytes, *, is_last: bool) -> bytes:
        """Everything before the cut; from there on it is kept.

        Every secret that starts before the cut is whole: the cut is the first place where one breaks off. A masked
        place may reach across the cut, and then goes on into what is kept.
        """
        if not data:
            return b""
        places, cut = self._masker.look(data, self._before)
        if is_last:
            cut = len(data)
        pieces = []
        masked = self._masked
        for start, end in places:
            if start >= cut:
                break
            if start >= masked:
                pieces += [data[masked:start], self._masker.replacement]
                masked = end
            else:
                masked = max(masked, end)
        if masked < cut:
            pieces.append(data[masked:cut])
        self._before = data[cut - MIN_WIDTH : cut] if cut >= MIN_WIDTH else (self._before + data[:cut])[-MIN_WIDTH:]
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
