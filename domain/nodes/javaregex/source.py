"""A pattern's characters, one after the other, and what may be wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

_COMMENTS_SKIPPED: Final = frozenset(" \t\n\x0b\f\r")


class PatternError(Exception):
    """The original would not compile this pattern (``PatternSyntaxException``)."""


class TooCostlyError(Exception):
    """A pattern that is too long, or takes too long or too much memory; the text says which."""


class Flags(NamedTuple):
    """The inline flags in force: ``i``, ``m``, ``s``, ``d``, ``u``, ``x``, ``U``."""

    ignore_case: bool = False
    multiline: bool = False
    dot_all: bool = False
    unix_lines: bool = False
    unicode_case: bool = False
    comments: bool = False
    unicode_class: bool = False


FLAG_NAMES: Final = {
    "i": "ignore_case",
    "m": "multiline",
    "s": "dot_all",
    "d": "unix_lines",
    "u": "unicode_case",
    "x": "comments",
    "U": "unicode_class",
}


@dataclass
class Source:
    r"""Reads a pattern in which ``\Q...\E`` is already resolved: a quoted character stands as ``\x{...}``."""

    text: str
    position: int = 0
    flags: Flags = field(default_factory=Flags)

    @classmethod
    def of(cls, pattern: str) -> Source:
        """The source of a pattern as someone wrote it."""
        return cls(_unquoted(pattern))

    def peek(self) -> str:
        """The next character, empty at the end; blanks and comments are skipped under the flag ``x``."""
        if self.flags.comments:
            self._skip_comments()
        return self.text[self.position : self.position + 1]

    def take(self) -> str:
        """The next character, and go on."""
        char = self.peek()
        self.position += len(char)
        return char

    def take_raw(self) -> str:
        """The next character even where it is a blank under the flag ``x``, and go on."""
        char = self.text[self.position : self.position + 1]
        self.position += len(char)
        return char

    def ahead(self, offset: int) -> str:
        """A character further on, as it stands."""
        return self.text[self.position + offset : self.position + offset + 1]

    def set_flag(self, name: str, value: bool) -> None:
        """Switch an inline flag from here on."""
        self.flags = replace_flag(self.flags, name, value)

    def _skip_comments(self) -> None:
        while (char := self.text[self.position : self.position + 1]) and (char in _COMMENTS_SKIPPED or char == "#"):
            self.position += 1
            if char == "#":
                end = self.text.find("\n", self.position)
                self.position = len(self.text) if end < 0 else end + 1


def replace_flag(flags: Flags, name: str, value: bool) -> Flags:
    """The flags with one changed; ``U`` brings ``u``."""
    flags = flags._replace(**{FLAG_NAMES[name]: value})
    return flags._replace(unicode_case=value) if name == "U" else flags


def _unquoted(pattern: str) -> str:
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        two = pattern[position : position + 2]
        if two == r"\Q":
            end = pattern.find(r"\E", position + 2)
            quoted = pattern[position + 2 : end if end >= 0 else len(pattern)]
            parts.extend(f"\\x{{{ord(char):x}}}" for char in quoted)
            position = end + 2 if end >= 0 else len(pattern)
            continue
        width = len(two) if two.startswith("\\") else 1
        parts.append(two[:width])
        position += width
    return "".join(parts)
