r"""Reads a piece of a log as whoever it is meant for does: ``\u0027``, ``\x27`` and ``&#039;`` are apostrophes.

Which characters a library escapes, and how it writes them, is different for each: PHP, Gson, .NET, Django, Handlebars
and OWASP's encoders all have their own sets. So these escapes are not among the forms of a secret; the log is looked
through a second time, without them, where it has some.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property
from html.entities import html5
from itertools import accumulate
from typing import Final, NamedTuple

_HEX: Final = "[0-9a-fA-F]"
_HIGH: Final = f"u[dD][89abAB]{_HEX}{{2}}"
"""The first half of a character above U+FFFF."""
_REFERENCE: Final = re.compile(f"(&(?:#[0-9]{{1,7}}|#[xX]{_HEX}{{1,6}}|[A-Za-z][A-Za-z0-9]{{1,7}});)".encode())
_OPEN_REFERENCE: Final = re.compile(f"&(?:#[0-9]{{0,7}}|#[xX]{_HEX}{{0,6}}|[A-Za-z][A-Za-z0-9]{{0,7}})?\\Z".encode())
_SLASHES: Final = (1, 2, 4)
"""Backslashes in front of a code: as it is written, and as it is inside of JSON, and of JSON in JSON."""
_MAX_OPEN_BYTES: Final = 20
"""No escape that is not whole is longer."""
_MAX_KNOWN: Final = 10_000
"""So many escapes are kept with what they stand for."""
_MAX_CODE: Final = 0x10FFFF


class _Chars(dict[bytes, bytes]):
    """What escapes stand for, in UTF-8; itself, if one is none. Works each out once."""

    def __init__(self, read: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, escape: bytes) -> bytes:
        if len(self) >= _MAX_KNOWN:
            self.clear()
        char = self[escape] = self._read(escape)
        return char


class _Kind(NamedTuple):
    """One way to escape characters. No escape starts inside another."""

    sign: bytes
    """What stands in all of them."""
    whole: re.Pattern[bytes]
    """In a group, by which a text is split."""
    started: re.Pattern[bytes]
    """The start of one, at the end of the text."""
    chars: _Chars


class Reading:
    """A piece of a log without the escapes of one kind, and where each byte of it comes from.

    ``end`` is where the text ends in the piece: before the end of that, if an escape breaks off there.
    """

    def __init__(self, data: bytes, kind: _Kind, end: int, under: Reading | None = None) -> None:
        self._under = under
        self._end = end
        self._raw = kind.whole.split(data[:end])
        """Text and escapes by turns; then what they stand for."""
        self._read = self._raw.copy()
        self._read[1::2] = map(kind.chars.__getitem__, self._raw[1::2])
        self.text = b"".join(self._read)
        self.is_same = self.text == data[:end]

    def start(self, at: int) -> int:
        """Where a byte of the text, or its end, is in the piece: the start of its escape."""
        origin = self._end
        if at < len(self.text):
            part, inside = self._part(at)
            origin = self._origins[part] + (0 if part % 2 else inside)
        return self._under.start(origin) if self._under else origin

    def end(self, at: int) -> int:
        """The same for the end of something, which has one byte at least: the end of its last byte's escape."""
        part, inside = self._part(at - 1)
        origin = self._origins[part] + (len(self._raw[part]) if part % 2 else inside + 1)
        return self._under.end(origin) if self._under else origin

    def _part(self, at: int) -> tuple[int, int]:
        """The part that a byte is of, and its place in there."""
        part = bisect_right(self._starts, at) - 1
        return part, at - self._starts[part]

    @cached_property
    def _starts(self) -> list[int]:
        """Where each part starts in the text."""
        return list(accumulate(map(len, self._read), initial=0))

    @cached_property
    def _origins(self) -> list[int]:
        """Where each part starts in the data."""
        return list(accumulate(map(len, self._raw), initial=0))


def readings(data: bytes) -> Iterator[Reading]:
    """The ways to read it that differ from what it is; none for most.

    Where an escape breaks off at the end, one ends in front of that.
    """
    kinds = (*(_CODES if b"\\" in data else ()), *((_REFERENCES,) if b"&" in data else ()))
    for kind in kinds:
        for reading in _of_kind(data, kind, None):
            yield reading
            yield from _of_kind(reading.text, _REFERENCES, reading)


def _of_kind(data: bytes, kind: _Kind, under: Reading | None) -> Iterator[Reading]:
    """As whole as it is, and as whole as it is certain to be."""
    if kind.sign in data:
        reading = Reading(data, kind, len(data), under)
        if not reading.is_same:
            yield reading
    if started := kind.started.search(data, max(0, len(data) - _MAX_OPEN_BYTES)):
        yield Reading(data, kind, started.start(), under)


def _code(escape: bytes) -> bytes:
    """Of one or two UTF-16 units, or of an ASCII character."""
    units = [int(unit[1:], 16) for unit in escape.replace(b"\\", b" ").split()]
    utf_16 = b"".join(unit.to_bytes(2, "big") for unit in units)
    return utf_16.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")


def _reference(escape: bytes) -> bytes:
    name = escape[1:-1].decode()
    if not name.startswith("#"):
        return html5.get(f"{name};", f"&{name};").encode()
    code = int(name[2:], 16) if name[1] in "xX" else int(name[1:])
    return chr(code).encode("utf-8", "surrogatepass") if 0 < code <= _MAX_CODE else escape


def _codes(slashes: int) -> _Kind:
    slash = r"\\" * slashes
    some = rf"\\{{1,{slashes}}}"
    low = f"u[dD][c-fC-F]{_HEX}{{2}}"
    whole = f"{slash}(?:{_HIGH}{slash}{low}|u{_HEX}{{4}}|x[0-7]{_HEX})"
    rest = f"u{_HEX}{{0,3}}"
    started = f"(?:{slash}(?:{rest}|x[0-7]?|{_HIGH}(?:{some}|{slash}{rest})?)|{some})\\Z"
    return _Kind(b"\\" * slashes, re.compile(f"({whole})".encode()), re.compile(started.encode()), _Chars(_code))


_REFERENCES: Final = _Kind(b"&", _REFERENCE, _OPEN_REFERENCE, _Chars(_reference))
_CODES: Final = tuple(map(_codes, _SLASHES))
