"""The plain form of ``resourceyaml``, read by patterns: a fraction of what the parser takes, and the same values.

Nearly every document is a map of nodes with a line for each attribute, and nearly every entry of it is simple. Such
entries are read here; the rest of the document is handed back in stretches, for the parser to read one by one. That
comes to what it makes of the whole, as a stretch ends where an entry of the document's own map begins: there
the one before it has ended, unless a quote, a bracket or a document is open, and then the stretch alone is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from domain.nodes.formats.yamlscalars import is_plain, plain
from domain.nodes.formats.yamlvalues import VALUE_WEIGHT

_MAX_KEY_CHARS: Final = 1000
"""YAML ends a key after 1024."""
_MAX_VALUES: Final = 4096

_OTHER: Final = r"\xa1-\u1fff\u2c00-\ud7ff"
"""Characters beyond ASCII that mean nothing to YAML."""
_BREAK: Final = r"\r?+\n"
_END: Final = rf" *+(?:{_BREAK}|\Z)"
_WORD: Final = rf'[!"$-9;-~{_OTHER}]++'
_PLAIN: Final = rf"(?![-?,\[\]{{}}&*!|>'\"%@`]){_WORD}(?:(?: ++|:++|\#++){_WORD})*+"
_ITEM: Final = rf"[0-9A-Za-z_{_OTHER}][-0-9A-Za-z_./{_OTHER}]*+"
_NAME: Final = rf"(?=[0-9A-Za-z_{_OTHER}]){_PLAIN}"
_VALUE: Final = (
    rf"{_PLAIN}|\"[ !\#-\[\]-~{_OTHER}]*+\"|'[ -&(-~{_OTHER}]*+'|\[(?: *+{_ITEM} *+(?:, *+{_ITEM} *+)*+)?+\]"
)
_COMMENTS: Final = rf"(?:(?:\#[ -~{_OTHER}]*+)?{_BREAK})*+"
_BEGINS: Final = rf"[0-9A-Za-z_\"'{_OTHER}]"

_HEAD: Final = re.compile(rf"{_COMMENTS}(?:---{_END})?+{_COMMENTS}")
_LIST: Final = rf"{_END}(\3 *+)- {_ITEM}(?:{_END}\4- {_ITEM})*+"
_ATTRIBUTE: Final = rf"\3{_PLAIN}:(?: ++(?:{_VALUE})|{_LIST})?+{_END}"
_ENTRY: Final = re.compile(rf"({_NAME}):{_END}((?=( ++))(?:{_ATTRIBUTE}){{1,500}}+){_COMMENTS}(?={_BEGINS}|\Z)")
"""Name and attributes; the third group is their indentation, the fourth that of a list. What follows is no part of
the entry: it stands at the margin, and begins a key."""
_LINE: Final = re.compile(rf" ++({_PLAIN}):(?: ++(?=[^ \r\n]))?+({_VALUE}|{_END}(?: *+- {_ITEM}{_END})++|)")
"""A key and what stands behind it, a list with all its lines."""
_ITEMS: Final = re.compile(rf"[-\[,] *+({_ITEM})")
_BOUND: Final = re.compile(r"[&*]|<<|^(?:---|\.\.\.|%)", re.MULTILINE)
"""What ties a stretch to others: anchors and aliases, merges, documents and directives."""


class Entry(NamedTuple):
    """A node's name and attributes; ``weight`` is at least what the parser would count."""

    name: str
    attributes: dict[str, Any]
    weight: int


class _Values(dict[str, Any]):
    """What texts behind keys mean. Most are those of many nodes, which then share them."""

    def __missing__(self, text: str) -> Any:
        if len(self) >= _MAX_VALUES:
            self.clear()
        value = self[text] = _value(text)
        return value


class NotPlainError(Exception):
    """The document has to be read as a whole."""


def entries(text: str) -> Iterator[Entry | str]:
    """Simple entries, and stretches of others that can be read on their own, in order.

    Raises :class:`NotPlainError`, at any place, where the whole may mean something else.
    """
    head = _HEAD.match(text)
    at = head.end() if head else 0
    keys: set[str] = set()
    values = _Values()
    while at < len(text):
        if match := _ENTRY.match(text, at):
            yield _entry(match, keys, values)
            at = match.end()
        else:
            end = _next_entry(text, at)
            yield _stretch(text, at, end)
            at = end


def _next_entry(text: str, start: int) -> int:
    """Where the next simple entry begins. Line by line, so that other threads get their turn between."""
    at = start
    while at := text.find("\n", at) + 1:
        if _ENTRY.match(text, at):
            return at
    return len(text)


def _stretch(text: str, start: int, end: int) -> str:
    stretch = text[start:end]
    if len(stretch) == len(text) or not re.match(_BEGINS, stretch) or _BOUND.search(stretch):
        raise NotPlainError
    return stretch


def _entry(match: re.Match[str], keys: set[str], values: _Values) -> Entry:
    try:
        return _read(match, keys, values)
    except ValueError as error:  # a number that is too long: the parser tells its line
        raise NotPlainError from error


def _read(match: re.Match[str], keys: set[str], values: _Values) -> Entry:
    """``keys`` are those that were found to be texts."""
    name, lines = match[1], match[2]
    pairs = _LINE.findall(lines)
    attributes = {key: values[text] for key, text in pairs}
    if not keys.issuperset(attributes):
        for key in attributes:
            _check(key)
        keys.update(attributes)
    _check(name)
    weight = match.end() - match.start() + 2 * VALUE_WEIGHT * (1 + len(pairs))
    if "[" in lines or "- " in lines:
        weight += VALUE_WEIGHT * sum(len(value) for _, text in pairs if isinstance(value := values[text], list))
    return Entry(name, attributes, weight)


def _value(text: str) -> Any:
    first = text[:1]
    if first in ("[", " ", "\r", "\n"):
        return [plain(item) for item in _ITEMS.findall(text)]
    return text[1:-1] if first in ("'", '"') else plain(text)


def _check(key: str) -> None:
    if len(key) > _MAX_KEY_CHARS or not is_plain(key):
        raise NotPlainError
