"""Sets of characters, and how they are written for the matcher that is used here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import regex

from domain.nodes.javaregex.source import PatternError

ANY: Final = r"[\x00-\U0010ffff]"
LINE_ENDS: Final = r"\n\r\x85\u2028\u2029"


@dataclass(frozen=True, slots=True)
class CharSet:
    """One character out of a set: what may stand in one pair of brackets, and what may not."""

    items: str = ""
    others: tuple[str, ...] = ()

    def pattern(self) -> str:
        """A pattern that takes exactly one character."""
        alternatives = (*((f"[{self.items}]",) if self.items else ()), *self.others)
        return alternatives[0] if len(alternatives) == 1 else f"(?:{'|'.join(alternatives)})"

    def union(self, other: CharSet) -> CharSet:
        """Either's characters."""
        return CharSet(self.items + other.items, self.others + other.others)

    def negated(self) -> CharSet:
        """All other characters."""
        if not self.others:
            return CharSet(others=(f"[^{self.items}]",))
        return CharSet(others=(f"(?:(?!{self.pattern()}){ANY})",))

    def intersection(self, other: CharSet) -> CharSet:
        """The characters of both (``&&``)."""
        return CharSet(others=(f"(?:(?={self.pattern()}){other.pattern()})",))


def written(char: str) -> str:
    """A character that means itself, inside brackets and outside."""
    if char.isascii():
        return char if char.isalnum() else f"\\x{ord(char):02x}"
    return char


def single(char: str) -> CharSet:
    """One character."""
    return CharSet(written(char))


def span(first: str, last: str) -> CharSet:
    """A range of characters."""
    return CharSet(f"{written(first)}-{written(last)}")


_PREDEFINED: Final = {
    "d": CharSet("0-9"),
    "w": CharSet("a-zA-Z0-9_"),
    "s": CharSet(r"\x09-\x0d\x20"),
    "h": CharSet("\\x09\\x20\\xa0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000"),
    "v": CharSet(r"\x0a-\x0d\x85\u2028\u2029"),
}


def predefined(letter: str, *, unicode_class: bool) -> CharSet:
    r"""What ``\d``, ``\w``, ``\s``, ``\h`` and ``\v`` mean, and the others in capitals."""
    small = letter.lower()
    chars = CharSet(f"\\{small}") if unicode_class and small in "dws" else _PREDEFINED[small]
    return chars.negated() if letter.isupper() else chars


_POSIX: Final = {
    "ASCII": r"\x00-\x7f",
    "Alnum": "a-zA-Z0-9",
    "Alpha": "a-zA-Z",
    "Blank": r"\x20\x09",
    "Cntrl": r"\x00-\x1f\x7f",
    "Digit": "0-9",
    "Graph": r"\x21-\x7e",
    "Lower": "a-z",
    "Print": r"\x20-\x7e",
    "Punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "Space": r"\x09-\x0d\x20",
    "Upper": "A-Z",
    "XDigit": "0-9a-fA-F",
    "L1": r"\x00-\xff",
    "LD": r"\p{L}\p{Nd}",
    "all": r"\x00-\U0010ffff",
    "javaLowerCase": r"\p{Lowercase}",
    "javaUpperCase": r"\p{Uppercase}",
    "javaAlphabetic": r"\p{Alphabetic}",
    "javaLetter": r"\p{L}",
    "javaDigit": r"\p{Nd}",
    "javaLetterOrDigit": r"\p{L}\p{Nd}",
    "javaWhitespace": r"\x09-\x0d\x1c-\x20\u1680\u2000-\u2006\u2008-\u200a\u2028\u2029\u205f\u3000",
}
_CATEGORIES: Final = frozenset(
    f"{major}{minor}"
    for major, minors in {
        "C": "cfnos",
        "L": "lmotuC",
        "M": "cen",
        "N": "dlo",
        "P": "cdefios",
        "S": "ckmo",
        "Z": "lps",
    }.items()
    for minor in ("", *minors)
)
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_ -]{1,60}\Z")
_KINDS: Final = {
    "sc": "Script",
    "script": "Script",
    "blk": "Block",
    "block": "Block",
    "gc": "gc",
    "general_category": "gc",
}


def named(name: str) -> CharSet:
    r"""What ``\p{name}`` means. Raises ``PatternError`` for a name that is not known."""
    kind, equals, value = name.partition("=")
    if equals:
        kind = _KINDS.get(kind.lower(), "")
        known = kind != "gc" or value in _CATEGORIES
        return _property(f"{kind}={value}" if kind and known else "", value, name)
    if name in _POSIX:
        return CharSet(_POSIX[name])
    if name in _CATEGORIES:
        return CharSet(f"\\p{{{name}}}")
    if name.startswith("In"):
        return _property(f"Block={name[2:]}", name[2:], name)
    if name.startswith("Is"):
        rest = name[2:]
        return CharSet(f"\\p{{{rest}}}") if rest in _CATEGORIES else _property(rest, rest, name)
    raise PatternError(f"the character property {name[:60]!r} is not known")


def _property(written_name: str, value: str, name: str) -> CharSet:
    if written_name and _SAFE_NAME.match(value):
        try:
            regex.compile(f"[\\p{{{written_name}}}]")
        except regex.error:
            pass
        else:
            return CharSet(f"\\p{{{written_name}}}")
    raise PatternError(f"the character property {name[:60]!r} is not known")
