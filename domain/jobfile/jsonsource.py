"""From JSON to the nodes that YAML has, so that one set of tables reads both; what YAML cannot read of JSON, too."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable
from typing import Final, NoReturn

import yaml

from domain.jobfile.bounds import MAX_DEPTH, MAX_NODES, TooMuchError, mark_at, too_deep, too_many

_TOKEN: Final = re.compile(
    r"""[ \t\r\n]*(?:
        (?P<str>"(?:[^"\\]++|\\.)*+")
      | (?P<bool>true|false) | (?P<null>null)
      | (?P<float>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++(?:[eE][+-]?[0-9]++)?|[eE][+-]?[0-9]++))
      | (?P<int>-?(?:0|[1-9][0-9]*+))
      | (?P<sign>[\[\]{},:])
    )""",
    re.VERBOSE | re.DOTALL,
)
_PREFIX: Final = "tag:yaml.org,2002:"
_BLANKS: Final = re.compile(r"[ \t\r\n]*\Z")

Locate = Callable[[int], yaml.error.Mark]
"""From an index of the text to its place in the file."""


class NotJsonError(Exception):
    """The text is no JSON."""

    def __init__(self, mark: yaml.error.Mark, text: str) -> None:
        super().__init__(text)
        self.mark = mark


def json_node(text: str, locate: Locate | None = None) -> yaml.Node:
    """The node of a JSON text. Raises NotJsonError, and TooMuchError beyond the bounds of depth and size."""
    return _Reader(text, locate or _lines(text)).read()


def _lines(text: str) -> Locate:
    starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def locate(index: int) -> yaml.error.Mark:
        line = bisect_right(starts, index) - 1
        return mark_at(line, index - starts[line])

    return locate


class _Reader:
    def __init__(self, text: str, locate: Locate) -> None:
        self._text = text
        self._locate = locate
        self._at = 0
        self._nodes = 0

    def read(self) -> yaml.Node:
        node = self._value(1)
        if not _BLANKS.match(self._text, self._at):
            self._fail("more text behind the end; write one list of jobs")
        return node

    def _value(self, depth: int) -> yaml.Node:
        what, word, mark = self._token()
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise TooMuchError(mark, too_deep())
        if self._nodes > MAX_NODES:
            raise TooMuchError(mark, too_many())
        if word == "[":
            return yaml.SequenceNode(f"{_PREFIX}seq", self._items(depth), mark, mark)
        if word == "{":
            return yaml.MappingNode(f"{_PREFIX}map", self._pairs(depth), mark, mark)
        if what == "sign":
            self._fail(f"a value is missing before {word!r}", mark)
        return self._scalar(what, word, mark)

    def _scalar(self, what: str, word: str, mark: yaml.error.Mark) -> yaml.ScalarNode:
        if what == "str":
            try:
                word = json.loads(word, strict=False)
            except ValueError:
                self._fail("an escape in this text is not valid", mark)
        return yaml.ScalarNode(f"{_PREFIX}{what}", word, mark, mark)

    def _items(self, depth: int) -> list[yaml.Node]:
        items: list[yaml.Node] = []
        while not (self._taken("]") if not items else self._ended("]")):
            items.append(self._value(depth + 1))
        return items

    def _pairs(self, depth: int) -> list[tuple[yaml.Node, yaml.Node]]:
        pairs: list[tuple[yaml.Node, yaml.Node]] = []
        while not (self._taken("}") if not pairs else self._ended("}")):
            what, word, mark = self._token()
            if what != "str":
                self._fail("a field's name stands in double quotes", mark)
            key = self._scalar(what, word, mark)
            if not self._taken(":"):
                self._fail("':' is missing behind a field's name")
            pairs.append((key, self._value(depth + 1)))
        return pairs

    def _ended(self, end: str) -> bool:
        if self._taken(","):
            return False
        if not self._taken(end):
            self._fail(f"',' or {end!r} is missing")
        return True

    def _taken(self, sign: str) -> bool:
        found = _TOKEN.match(self._text, self._at)
        if found is None or found["sign"] != sign:
            return False
        self._at = found.end()
        return True

    def _token(self) -> tuple[str, str, yaml.error.Mark]:
        found = _TOKEN.match(self._text, self._at)
        if found is None or found.lastgroup is None:
            self._fail("no value begins here")
        self._at = found.end()
        return found.lastgroup, found[found.lastgroup], self._locate(found.start(found.lastgroup))

    def _fail(self, text: str, mark: yaml.error.Mark | None = None) -> NoReturn:
        blank = re.compile(r"[ \t\r\n]*").match(self._text, self._at)
        raise NotJsonError(mark or self._locate(blank.end() if blank else self._at), text)
