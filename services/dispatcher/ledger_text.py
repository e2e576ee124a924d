"""Words: how text is cut into the terms that the ledger's full-text index holds, and how a search is read.

The index sees nothing but ``[a-z0-9_]``: whatever a person types, no FTS5 syntax can come of it, and no version of
SQLite's own Unicode tables decides what is found. The ledger's own terms (``__p3`` for a project) begin with two
underscores, which no word does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from schemas.api import ExecutionView

MAX_WORD_CHARS: Final = 64
MAX_WORDS: Final = 512
"""Distinct words indexed of one execution."""
MAX_TEXT_CHARS: Final = 16_384
"""Of one text (a script, say), what lies behind is not searched."""
MAX_SEARCH_WORDS: Final = 16
_CACHED_CHARS: Final = 1_024

_ASCII_WORD = re.compile(r"[a-z0-9]+")
_WORD_OR_SIGN = re.compile(r"[^\W_]+|[^\w\s\x00-\x7f]")


def words(text: str) -> tuple[str, ...]:
    """The words of a text in order: lower case, without accents; a pictograph is a word of its own."""
    return _cached_words(text) if len(text) <= _CACHED_CHARS else _words(text[:MAX_TEXT_CHARS])


def _words(text: str) -> tuple[str, ...]:
    if text.isascii():
        return tuple(word[:MAX_WORD_CHARS] for word in _ASCII_WORD.findall(text.lower()))
    plain = "".join(
        char for char in unicodedata.normalize("NFKD", text.casefold()) if unicodedata.category(char) != "Mn"
    )
    found: list[str] = _WORD_OR_SIGN.findall(plain)
    return tuple(_as_ascii(word[:MAX_WORD_CHARS]) for word in found if _is_searched(word))


_cached_words = lru_cache(maxsize=2_048)(_words)


def _is_searched(word: str) -> bool:
    return word[0].isalnum() or unicodedata.category(word[0]) == "So"


def _as_ascii(word: str) -> str:
    """Each other character as ``_hex_``: a prefix of the word stays a prefix."""
    return word if word.isascii() else "".join(char if char.isascii() else f"_{ord(char):x}_" for char in word)


def search_words(text: str) -> list[str] | None:
    """The words asked for, the last of which may be the beginning of one; None if nothing was asked.

    An empty list means that something was asked which no text can hold as a word.
    """
    if not text.strip():
        return None
    found = words(text)
    return [*dict.fromkeys(found[:-1][: MAX_SEARCH_WORDS - 1]), *found[-1:]]


def view_words(view: ExecutionView) -> list[str]:
    """The distinct words of an execution: title, user, what its steps are given, errors."""
    found = dict.fromkeys(chain.from_iterable(map(words, _texts(view))))
    return list(found)[:MAX_WORDS]


def _texts(view: ExecutionView) -> Iterator[str]:
    yield view.title
    yield view.user
    if view.error:
        yield view.error.message
    for outcome in view.outcomes:
        if outcome.error:
            yield outcome.error.message
    for step in view.steps:
        yield step.description
        for value in step.config.values():
            yield from _strings(value)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (each for each in value if isinstance(each, str))
