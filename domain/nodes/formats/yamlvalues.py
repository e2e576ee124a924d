"""From YAML to values, event by event: no node tree is built, and aliases cannot make much out of little."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from domain.jobfile.notes import position_at
from domain.jobfile.source import LOADER
from domain.nodes.errors import bad_nodes
from domain.nodes.formats.parts import MAX_DEPTH
from domain.nodes.formats.repeats import repeated_in
from domain.nodes.formats.yamlscalars import PREFIX, Merge, resolved

MAX_WEIGHT: Final = 64 << 20
"""Of one document: its characters and 16 a value, counting what an alias repeats as often as it is repeated."""
VALUE_WEIGHT: Final = 16
_COLLECTIONS: Final = (None, "!", f"{PREFIX}map", f"{PREFIX}seq")


class LinedMap(dict[Any, Any]):
    """A map that knows its line, that of each key, and which texts are keys of it more than once."""

    __slots__ = ("line", "lines", "repeated")
    line: int
    lines: dict[Any, int]
    repeated: Collection[str]


class LinedList(list[Any]):
    """A list that knows its line."""

    __slots__ = ("line",)
    line: int


@dataclass(slots=True)
class _Frame:
    """A collection that is being read; in a map, keys and values follow one another."""

    is_map: bool
    line: int
    anchor: str | None
    values: list[Any] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    weight: int = VALUE_WEIGHT


def documents(text: str, format_name: str) -> Iterator[tuple[Any, int]]:
    """Each document's value and weight: texts, numbers, true and false, None, ``LinedMap`` and ``LinedList``.

    Raises ``invalid_message`` with the line for what is no YAML, or too much of it.
    """
    try:
        yield from _Composer(format_name).documents(text)
    except yaml.MarkedYAMLError as error:
        # the parser counts one line more where the text ends without a line feed
        line = min(position_at(error.problem_mark or error.context_mark).line, text.count("\n") + 1)
        reason = " ".join(str(part) for part in (error.context, error.problem) if part)
        advice = "check indentation, quotes and brackets here"
        raise bad_nodes(format_name, f"not valid YAML: {reason}; {advice}.", line) from error
    except (yaml.YAMLError, UnicodeError, OverflowError) as error:
        raise bad_nodes(format_name, "a character that cannot stand in YAML; take it out.") from error


class _Composer:
    def __init__(self, format_name: str) -> None:
        self._format = format_name
        self._frames: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._line = 0

    def documents(self, text: str) -> Iterator[tuple[Any, int]]:
        # asked directly: the parser's own generator asks twice for every event
        loader = LOADER(text)
        try:
            while (event := loader.get_event()) is not None:
                if (mark := event.start_mark) is not None:
                    self._line = mark.line + 1
                if isinstance(event, yaml.DocumentStartEvent):
                    self._anchors.clear()
                    self._frames = [_Frame(is_map=False, line=self._line, anchor=None)]
                elif isinstance(event, yaml.DocumentEndEvent):
                    ended = self._frames[0]
                    yield from ((value, ended.weight) for value in ended.values)
                else:
                    self._follow(event)
        finally:
            loader.dispose()

    def _follow(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            frame = self._frames.pop()
            self._add(self._map(frame) if frame.is_map else _list(frame), frame.weight, frame.anchor)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._error("an alias has no anchor before it, or contains itself; write the value out")
            self._add(*self._anchors[event.anchor], None)

    def _begin(self, event: yaml.CollectionStartEvent) -> None:
        if event.tag not in _COLLECTIONS:
            raise self._error(f"the tag {str(event.tag)[:60]!r} is not read; take it away")
        if len(self._frames) > MAX_DEPTH:
            raise self._error(f"more than {MAX_DEPTH} lists and maps inside one another; flatten it")
        is_map = isinstance(event, yaml.MappingStartEvent)
        self._frames.append(_Frame(is_map=is_map, line=self._line, anchor=event.anchor))

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        try:
            value = resolved(event.value, event.tag, plain=event.implicit[0])
        except ValueError as error:
            raise self._error(str(error)) from error
        self._add(value, VALUE_WEIGHT + len(event.value), event.anchor)

    def _add(self, value: Any, weight: int, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = (value, weight)
        frame = self._frames[-1]
        frame.values.append(value)
        frame.lines.append(self._line)
        frame.weight += weight
        if frame.weight > MAX_WEIGHT:
            raise self._error("too many values, or aliases repeat too much; split the document")

    def _map(self, frame: _Frame) -> LinedMap:
        own, merged = LinedMap(), LinedMap()
        own.line, own.lines, merged.lines = frame.line, {}, {}
        merges = 0
        for key, value, line in zip(frame.values[::2], frame.values[1::2], frame.lines[::2], strict=True):
            if key is Merge:
                merges += 1
                self._merge(merged, value)
            elif isinstance(key, list | dict):
                raise self._error("a list or a map cannot be a key; write a text", line)
            else:
                # of one key given twice the last counts, in the original too
                own[key] = value
                own.lines[key] = line
        has_repeated = len(own) + merges < len(frame.values) // 2
        own.repeated = repeated_in(filter(_is_text, frame.values[::2])) if has_repeated else ()
        for key, value in merged.items():
            if key not in own:
                own[key] = value
                own.lines[key] = merged.lines[key]
        return own

    def _merge(self, target: LinedMap, value: Any) -> None:
        for each in value if isinstance(value, LinedList) else [value]:
            if not isinstance(each, LinedMap):
                raise self._error("'<<' merges maps only; name the anchor of a map")
            for key, item in each.items():
                if key not in target:
                    target[key] = item
                    target.lines[key] = each.lines[key]

    def _error(self, reason: str, line: int = 0) -> Exception:
        return bad_nodes(self._format, f"{reason}.", line or self._line)


def _is_text(key: Any) -> bool:
    return type(key) is str


def _list(frame: _Frame) -> LinedList:
    items = LinedList(frame.values)
    items.line = frame.line
    return items
