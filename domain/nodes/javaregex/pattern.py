"""Compiled patterns whose matching ends: nobody's regex may stop a service."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

import regex

from domain.nodes.javaregex.source import PatternError, TooCostlyError
from domain.nodes.javaregex.translate import translated

MAX_PATTERN_CHARS: Final = 10_000
MAX_MATCH_S: Final = 1.0
"""CPU time of one match."""
MAX_TOTAL_S: Final = 5.0
"""CPU time of all timed matches of one pattern."""
_UNTIMED_STEPS: Final = 20_000
"""A match of so few steps is not timed: the clock would cost more than the match."""
_ALL_UNTIMED_STEPS: Final = 500_000_000
_MAX_UNTIMED_CHOICES: Final = 8


class JavaPattern:
    """One pattern that matches whole texts (``String.matches``), within bounds.

    Raises ``PatternError`` where the original would not compile it, ``TooCostlyError`` beyond the bounds.
    """

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PATTERN_CHARS:
            raise TooCostlyError(f"a regex of more than {MAX_PATTERN_CHARS:,} characters; shorten it")
        try:
            self._translated = translated(pattern)
            self._compiled = regex.compile(self._translated.pattern, regex.VERSION0)
        except (regex.error, OverflowError, RecursionError) as error:
            raise PatternError(str(error)) from error
        untimed = not self._translated.nested and self._translated.choices <= _MAX_UNTIMED_CHOICES
        self._steps_left = _ALL_UNTIMED_STEPS if untimed else 0
        self._untimed = _plain_matcher(self._translated.pattern) if untimed else None
        self._steps_of: dict[int, int] = {}
        self._spent_s = 0.0

    def matches(self, text: str) -> bool:
        """Whether the whole text matches. Raises ``TooCostlyError``."""
        if self._untimed is not None and self._steps_left > 0:
            length = len(text)
            steps = self._steps_of.get(length)
            if steps is None:
                steps = self._steps_of[length] = self._translated.steps(length)
            if steps <= _UNTIMED_STEPS:
                self._steps_left -= steps
                return self._untimed(text) is not None
        return self._matches_timed(text)

    def _matches_timed(self, text: str) -> bool:
        started = time.thread_time()
        try:
            found = self._compiled.fullmatch(text, timeout=MAX_MATCH_S, concurrent=True)
        except TimeoutError as error:
            raise TooCostlyError(f"the regex takes more than {MAX_MATCH_S:g} s for one value; simplify it") from error
        self._spent_s += time.thread_time() - started
        if self._spent_s > MAX_TOTAL_S:
            raise TooCostlyError(f"the regex takes more than {MAX_TOTAL_S:g} s for these nodes; simplify it")
        return found is not None


def _plain_matcher(pattern: str) -> Callable[[str], object] | None:
    """The standard library's matcher, without a clock and twice as fast, where it takes the pattern."""
    try:
        return re.compile(pattern).fullmatch
    except (re.error, OverflowError, RecursionError):
        return None
