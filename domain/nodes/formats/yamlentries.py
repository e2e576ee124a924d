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

from domain.nodes.formats.yamlgrammar import BEGINS, BLOCK, BOUND, ENTRY, HEAD, ITEMS, LINE, PAIR, TITLE, WORDLY
from domain.nodes.formats.yamlscalars import is_plain, plain
from domain.nodes.formats.yamlvalues import VALUE_WEIGHT
from domain.nodes.selection import NODE_NAME

_MAX_KEY_CHARS: Final = 1000
"""YAML ends a key after 1024."""
_MAX_VALUES: Final = 4096
_MAX_INDENTATIONS: Final = 16


class Entry(NamedTuple):
    """A node's name and attributes; ``weight`` is at least what the parser would count."""

    name: str
    attributes: dict[str, Any]
    weight: int


class NotPlainError(Exception):
    """The document has to be read as a whole."""


class _OtherLineError(Exception):
    """A line is no pair of key and value, or is indented otherwise."""


class _Values(dict[str, Any]):
    """What texts behind keys mean. Most are those of many nodes, which then share them."""

    def __missing__(self, text: str) -> Any:
        if len(self) >= _MAX_VALUES:
            self.clear()
        value = self[text] = _value(text)
        return value


class _Pairs(dict[str, tuple[str, Any]]):
    """Key and value of lines with one indentation. Most are those of many nodes, too."""

    def __init__(self, margin: str, known: _Known) -> None:
        self.margin: Final = margin
        self._known = known
        self._keys: dict[str, str] = {}
        """By what stands before the colon."""

    def __missing__(self, line: str) -> tuple[str, Any]:
        if len(self) >= _MAX_VALUES:
            self.clear()
        pair = self[line] = self._pair(line)
        return pair

    def _pair(self, line: str) -> tuple[str, Any]:
        """Words behind a known key, in quotes or not, need no pattern, which takes several times as long."""
        before, _, value = line.partition(": ")
        if key := self._keys.get(before):
            if value[:1].isalnum() and not value.strip(WORDLY):
                return key, plain(value)
            if value[:1] == '"' == value[-1:] and (text := value[1:-1]) and not text.strip(WORDLY):
                return key, text
        match = PAIR.fullmatch(line)
        if match is None or match[1] != self.margin:
            raise _OtherLineError
        key = self._known.key(match[2])
        if len(self._keys) < _MAX_VALUES:
            self._keys[self.margin + key] = key
        return key, _value(match[3] or "")


class _Known:
    """What earlier entries of the document have shown."""

    def __init__(self) -> None:
        self.values: Final = _Values()
        self._keys: set[str] = set()
        self._pairs: dict[str, _Pairs] = {}

    def key(self, key: str) -> str:
        """The same. Raises :class:`NotPlainError` where it is no text, or too long."""
        if key not in self._keys:
            _check(key)
            self._keys.add(key)
        return key

    def pairs(self, line: str) -> _Pairs:
        """Those of lines that are indented as this one."""
        margin = line[: -len(line.lstrip(" "))]
        if (pairs := self._pairs.get(margin)) is None:
            if len(self._pairs) >= _MAX_INDENTATIONS:
                self._pairs.clear()
            pairs = self._pairs[margin] = _Pairs(margin, self)
        return pairs


def entries(text: str) -> Iterator[Entry | str]:
    """Simple entries, and stretches of others that can be read on their own, in order.

    Raises :class:`NotPlainError`, at any place, where the whole may mean something else.
    """
    head = HEAD.match(text)
    at = head.end() if head else 0
    known = _Known()
    while at < len(text):
        if (block := BLOCK.match(text, at)) and (entry := _line_by_line(block[0], known)):
            yield entry
            at = block.end()
        elif match := ENTRY.match(text, at):
            yield _entry(match, known)
            at = match.end()
        else:
            end = _next_entry(text, at)
            yield _stretch(text, at, end)
            at = end


def _line_by_line(block: str, known: _Known) -> Entry | None:
    """The quickest way, for an entry whose lines are all pairs; None where they are not."""
    title, *lines, _ = block.split("\n")
    name = title[:-1]
    if title[-1] != ":" or name.strip(WORDLY) or not name[:1].isalnum():
        if not (match := TITLE.fullmatch(title)):
            return None
        name = match[1]
    pairs = known.pairs(lines[0])
    own = [(NODE_NAME, name)] if lines[0] == f"{pairs.margin}{NODE_NAME}: {name}" else []  # as nodes are exported
    try:
        return _made(block, name, [*own, *map(pairs.__getitem__, lines[len(own) :])])
    except _OtherLineError:
        return None
    except ValueError as error:  # a number that is too long: the parser tells its line
        raise NotPlainError from error


def _made(text: str, name: str, pairs: list[tuple[str, Any]]) -> Entry:
    """Of a key given twice each value is weighed, and the last counts, as the parser has it."""
    _check(name)
    weight = len(text) + 2 * VALUE_WEIGHT * (1 + len(pairs))
    if "[" in text or "- " in text:
        weight += VALUE_WEIGHT * sum(len(value) for _, value in pairs if isinstance(value, list))
    return Entry(name, dict(pairs), weight)


def _next_entry(text: str, start: int) -> int:
    """Where the next simple entry begins. Line by line, so that other threads get their turn between."""
    at = start
    while at := text.find("\n", at) + 1:
        if ENTRY.match(text, at):
            return at
    return len(text)


def _stretch(text: str, start: int, end: int) -> str:
    stretch = text[start:end]
    if len(stretch) == len(text) or not re.match(BEGINS, stretch) or BOUND.search(stretch):
        raise NotPlainError
    return stretch


def _entry(match: re.Match[str], known: _Known) -> Entry:
    try:
        pairs = [(known.key(key), known.values[text]) for key, text in LINE.findall(match[2])]
    except ValueError as error:  # a number that is too long: the parser tells its line
        raise NotPlainError from error
    return _made(match[0], match[1], pairs)


def _value(text: str) -> Any:
    first = text[:1]
    if first in ("[", " ", "\r", "\n"):
        return [plain(item) for item in ITEMS.findall(text)]
    return text[1:-1] if first in ("'", '"') else plain(text)


def _check(key: str) -> None:
    if len(key) > _MAX_KEY_CHARS or not is_plain(key):
        raise NotPlainError
