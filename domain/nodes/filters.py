"""Node filters as text: from ``tags: web !os-family: windows`` to clauses ("Node filters", grammar)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from domain.nodes.errors import bad_filter

MAX_FILTER_CHARS: Final = 1 << 20
_DEFAULT_KEY: Final = "name"


@dataclass(frozen=True, slots=True)
class NodeFilter:
    """What is included and what is excluded, by key; a repeated key has its values joined with ``,``."""

    include: dict[str, str] = field(default_factory=dict)
    exclude: dict[str, str] = field(default_factory=dict)
    exclude_precedence: bool = True
    """A node that both match is excluded; else one is excluded only if it matches exclude and not include."""


def parse_filter(text: str) -> NodeFilter:
    """The clauses of one filter.

    A bare word means ``name``, ``!key`` excludes, a ``key:`` with nothing after it is ignored. No text is refused but
    one that is too long (``invalid_selector``): a pattern is judged when it meets a value, as in the original.
    """
    if len(text) > MAX_FILTER_CHARS:
        raise bad_filter(text, f"it has more than {MAX_FILTER_CHARS:,} characters; shorten it.")
    include: dict[str, list[str]] = {}
    exclude: dict[str, list[str]] = {}
    key: str | None = None
    for word in tokens(text):
        value = word
        if key is None:
            if word.endswith(":"):
                key = word[:-1]
                continue
            key, colon, value = word.partition(":")
            if not colon:
                key, value = _DEFAULT_KEY, word
        clauses = exclude if key.startswith("!") else include
        clauses.setdefault(key.removeprefix("!"), []).append(value)
        key = None
    return NodeFilter(_joined(include), _joined(exclude))


def combined(filter_text: str, filter_exclude: str = "", *, exclude_precedence: bool = True) -> NodeFilter:
    """The filter of a job: its ``filter``, ``filterExclude`` and ``excludePrecedence``.

    What ``filterExclude`` includes is excluded and what it excludes is included; there the same key of ``filter`` is
    replaced, not joined.
    """
    main, other = parse_filter(filter_text), parse_filter(filter_exclude)
    return NodeFilter(main.include | other.exclude, main.exclude | other.include, exclude_precedence)


def tokens(text: str) -> list[str]:
    """The words of a filter: split at blanks, quoted with ``'`` or ``"`` at their beginning, a doubled quote for one.

    Blanks are all characters up to U+0020. A quote that is not closed reaches to the end.
    """
    words: list[str] = []
    position = 0
    while position < len(text):
        if text[position] > " ":
            word, position = _word(text, position)
            words.append(word)
        position += 1
    # the original finds one empty word between two blanks and nothing else
    return words if words or len(text) < 2 else [""]


def _word(text: str, start: int) -> tuple[str, int]:
    quote = text[start] if text[start] in "'\"" else ""
    quoting = False
    chars: list[str] = []
    position = start
    while position < len(text):
        char = text[position]
        if quoting and char == quote and text.startswith(quote, position + 1):
            chars.append(char)
            position += 1
        elif quote and char == quote:
            quoting = not quoting
        elif char <= " " and not quoting:
            break
        else:
            chars.append(char)
        position += 1
    return "".join(chars), position


def _joined(clauses: dict[str, list[str]]) -> dict[str, str]:
    return {key: ",".join(values) for key, values in clauses.items()}
