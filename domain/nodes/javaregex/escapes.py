r"""What follows a backslash, and what stands between brackets."""

from __future__ import annotations

from typing import Final

from domain.nodes.javaregex.charset import CharSet, named, predefined, single, span
from domain.nodes.javaregex.source import PatternError, Source

MAX_NESTING: Final = 50
"""Of groups and classes inside one another: reading them recurses."""

_CONTROLS: Final = {"a": "\x07", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_OCTAL: Final = frozenset("01234567")
_MAX_POINT: Final = 0x10FFFF


def escape(source: Source) -> str | CharSet:
    r"""A character, or a set, after a backslash already taken. Raises ``PatternError`` for ``\y`` and its like."""
    letter = source.take_raw()
    if letter in _CONTROLS:
        return _CONTROLS[letter]
    if letter and letter in "dDwWsShHvV":
        return predefined(letter, unicode_class=source.flags.unicode_class)
    if letter and letter in "pP":
        return _property(source, negated=letter == "P")
    reader = {"0": _octal, "x": _hex, "u": _unit, "c": _control}.get(letter)
    if reader:
        return reader(source)
    if not letter or (letter.isascii() and letter.isalnum()):
        raise PatternError(f"the escape \\{letter} is not known here")
    return letter


def _property(source: Source, *, negated: bool) -> CharSet:
    name = source.take()
    if name == "{":
        end = source.text.find("}", source.position)
        if end < 0:
            raise PatternError("a character family is not closed")
        name = source.text[source.position : end]
        source.position = end + 1
    if not name:
        raise PatternError("a character family has no name")
    chars = named(name)
    return chars.negated() if negated else chars


def _octal(source: Source) -> str:
    digits = ""
    while len(digits) < 3 and source.ahead(0) in _OCTAL and source.ahead(0):
        if len(digits) == 2 and digits[0] > "3":
            break
        digits += source.take_raw()
    if not digits:
        raise PatternError("an octal escape has no digits")
    return chr(int(digits, 8))


def _hex(source: Source) -> str:
    if source.ahead(0) == "{":
        end = source.text.find("}", source.position)
        digits = source.text[source.position + 1 : end] if end >= 0 else ""
        source.position = end + 1
        if 0 < len(digits) <= 16 and _HEX.issuperset(digits) and int(digits, 16) <= _MAX_POINT:
            return chr(int(digits, 16))
        raise PatternError("a hexadecimal escape is not valid")
    return chr(_digits(source, 2))


def _unit(source: Source) -> str:
    first = _digits(source, 4)
    if 0xD800 <= first < 0xDC00 and source.text.startswith("\\u", source.position):
        before = source.position
        source.position += 2
        second = _digits(source, 4)
        if 0xDC00 <= second < 0xE000:
            return chr(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
        source.position = before
    return chr(first)


def _digits(source: Source, count: int) -> int:
    digits = source.text[source.position : source.position + count]
    if len(digits) < count or not _HEX.issuperset(digits):
        raise PatternError("an escape has too few hexadecimal digits")
    source.position += count
    return int(digits, 16)


def _control(source: Source) -> str:
    char = source.take_raw()
    if not char:
        raise PatternError("a control escape has no letter")
    return chr(ord(char) ^ 64)


def char_class(source: Source, depth: int = 0) -> CharSet:
    """A class whose ``[`` is already taken, with its ``]``: unions, ranges, intersections, classes in it."""
    negated = source.ahead(0) == "^"
    if negated:
        source.position += 1
    chars = _items(source, depth)
    source.take()
    return chars.negated() if negated else chars


def _items(source: Source, depth: int) -> CharSet:
    """Everything up to the ``]``, which is left."""
    if depth > MAX_NESTING:
        raise PatternError(f"more than {MAX_NESTING} classes inside one another")
    chars: CharSet | None = None
    while True:
        char = source.peek()
        if not char:
            raise PatternError("a character class is not closed")
        if char == "]" and chars is not None:
            return chars
        if char == "&" and source.ahead(1) == "&":
            source.position += 2
            chars = _intersected(source, chars, depth)
            continue
        item = _nested(source, depth) if char == "[" else _item(source)
        chars = item if chars is None else chars.union(item)


def _intersected(source: Source, left: CharSet | None, depth: int) -> CharSet:
    right: CharSet | None = None
    while (char := source.peek()) and char not in "]&":
        if char == "[":
            item = _nested(source, depth)
            right = item if right is None else right.union(item)
        else:
            right = _items(source, depth + 1)
    both = left.intersection(right) if left and right else left or right
    if both is None:
        raise PatternError("nothing stands beside && in a character class")
    return both


def _nested(source: Source, depth: int) -> CharSet:
    source.take()
    return char_class(source, depth + 1)


def _item(source: Source) -> CharSet:
    first = _member(source)
    if isinstance(first, CharSet):
        return first
    if source.peek() == "-" and source.ahead(1) not in ("[", "]"):
        source.position += 1
        last = _member(source)
        if not isinstance(last, str) or last < first:
            raise PatternError("a range in a character class runs backwards")
        return span(first, last)
    return single(first)


def _member(source: Source) -> str | CharSet:
    char = source.take()
    if not char:
        raise PatternError("a character class is not closed")
    return escape(source) if char == "\\" else char
