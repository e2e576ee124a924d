"""The original's regexes (Java's) over lines of log, within bounds: a runner's other work waits while one matches."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final, TypeVar

import regex

from domain.nodes.javaregex.pattern import MAX_PATTERN_CHARS
from domain.nodes.javaregex.source import PatternError, TooCostlyError
from domain.nodes.javaregex.translate import translated

MAX_MATCH_S: Final = 0.25
"""CPU time of one line."""
MAX_SLOW_S: Final = 2.0
"""Time of all matches of one step that took longer than a line should."""
_SLOW_S: Final = 0.002
_BACKSLASH: Final = "\\"
_REFERENCE: Final = re.compile(r"\\(.)|\$(\d+)|([\\$])", re.DOTALL)

Match = regex.Match[str]
_Found = TypeVar("_Found")


class LinePattern:
    """A pattern to look for in lines. Raises ``PatternError`` where the original would not compile it."""

    def __init__(self, pattern: str, *, dot_all: bool = False) -> None:
        if len(pattern) > MAX_PATTERN_CHARS:
            raise PatternError(f"it has more than {MAX_PATTERN_CHARS:,} characters")
        try:
            self._compiled = regex.compile(
                translated(f"(?s){pattern}" if dot_all else pattern).pattern, regex.VERSION0
            )
        except TooCostlyError as error:
            raise PatternError(str(error)) from error
        except (regex.error, OverflowError, RecursionError) as error:
            raise PatternError(str(error)) from error

    @property
    def groups(self) -> int:
        """How many capturing groups it has."""
        return self._compiled.groups

    def search(self, text: str, timeout_s: float = MAX_MATCH_S) -> Match | None:
        """The first match (``Matcher.find``). Raises ``TimeoutError``."""
        return self._compiled.search(text, timeout=timeout_s)

    def fullmatch(self, text: str, timeout_s: float = MAX_MATCH_S) -> Match | None:
        """A match of the whole text (``Matcher.matches``). Raises ``TimeoutError``."""
        return self._compiled.fullmatch(text, timeout=timeout_s)

    def finditer(self, text: str, timeout_s: float = MAX_MATCH_S) -> list[Match]:
        """Every match, one behind the other. Raises ``TimeoutError``."""
        return list(self._compiled.finditer(text, timeout=timeout_s))


class Patience:
    """Bounds the time that one step may spend with one pattern."""

    def __init__(self) -> None:
        self._slow_s = 0.0

    def spend(self, look: Callable[[str], _Found], text: str) -> _Found:
        """Look for something in a line. Raises ``TooCostlyError`` once it has taken too long."""
        started = time.perf_counter()
        try:
            found = look(text)
        except TimeoutError as error:
            raise TooCostlyError(f"its regex takes more than {MAX_MATCH_S:g} s for a line; simplify it") from error
        took_s = time.perf_counter() - started
        if took_s > _SLOW_S:
            self._slow_s += took_s
            if self._slow_s > MAX_SLOW_S:
                raise TooCostlyError(f"its regex took more than {MAX_SLOW_S:g} s for this step; simplify it")
        return found


class Replacement:
    r"""What to put in place of a match, as the original writes it: ``$1`` is a group, ``\`` takes the sense away.

    Raises ``PatternError`` where it names a group that there is not, or breaks off.
    """

    def __init__(self, template: str, groups: int) -> None:
        self._parts: list[str | int] = []
        end = 0
        for found in _REFERENCE.finditer(template):
            self._parts.append(template[end : found.start()])
            end = found.end()
            literal, number, alone = found.groups()
            if alone:
                raise PatternError(f"the replacement has a {alone!r} that means nothing; write {_BACKSLASH + alone}")
            if literal:
                self._parts.append(literal)
            else:
                digits = _group_digits(number, groups)
                self._parts += [int(digits), number[len(digits) :]]
        self._parts.append(template[end:])

    def of(self, found: Match) -> str:
        """The text for one match; a group that took no part is blank."""
        return "".join(part if isinstance(part, str) else found[part] or "" for part in self._parts)


def _group_digits(number: str, groups: int) -> str:
    """As many digits as name a group: with one group ``$12`` is ``$1`` and a 2."""
    width = 1
    while width < len(number) and int(number[: width + 1]) <= groups:
        width += 1
    if int(number[:width]) > groups:
        raise PatternError(f"the replacement names group {number[:width]}, and the regex has {groups}")
    return number[:width]


def replaced(matches: list[Match], text: str, replacement: Callable[[Match], str]) -> str:
    """The text with every match replaced."""
    parts: list[str] = []
    end = 0
    for found in matches:
        parts += [text[end : found.start()], replacement(found)]
        end = found.end()
    return "".join([*parts, text[end:]]) if parts else text
