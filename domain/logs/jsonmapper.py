"""The log filter ``json-mapper``: values out of output that is JSON, for filters that are no more than a path.

The original takes any jq program; what is more than a path (``.``, ``.a.b``, ``.[0]``, ``.items[].name``) is not
supported, and said to be so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from domain.context.masking import Masker
from domain.logs.capture import GROUP, Capture, OutputText
from domain.logs.chain import BuiltFilter, Captured, Effects, Said
from domain.logs.levels import Level
from domain.logs.lines import LogLine
from domain.logs.settings import Settings

_PART: Final = re.compile(r'\.?(?:([A-Za-z_][A-Za-z0-9_]*)|\[("(?:[^"\\]|\\.)*")\])|\.?\[(-?\d+)\]|\.?\[(\])')

Key = str | int | None
"""A field, an index, or None for all elements."""


class NotAPathError(ValueError):
    """The jq filter does more than to follow a path."""


def parse_path(text: str) -> tuple[Key, ...]:
    """The parts of a path. Raises ``NotAPathError``."""
    text = text.strip()
    if text == ".":
        return ()
    if not text.startswith("."):
        raise NotAPathError(text)
    parts: list[Key] = []
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None or (found[1] and text[at] != "."):
            raise NotAPathError(text)
        at = found.end()
        if found[4]:
            parts.append(None)
        elif found[3]:
            parts.append(int(found[3]))
        else:
            parts.append(found[1] or json.loads(found[2]))
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class _Rules:
    path: tuple[Key, ...]
    prefix: str
    log_data: bool


def json_mapper(settings: Settings) -> BuiltFilter:
    """``json-mapper``: the fields of an object by their names, of an inner one as ``outer.inner``; else ``prefix``.

    Raises ``NotAPathError``.
    """
    path = parse_path(settings.text("filter", "."))
    rules = _Rules(path, settings.text("prefix", "result"), settings.flag("logData"))
    return BuiltFilter(settings.filter_type, lambda masker: _JsonMapper(rules, masker))


class _JsonMapper:
    def __init__(self, rules: _Rules, masker: Masker) -> None:
        self._rules = rules
        self._masker = masker
        self._text = OutputText()

    def take(self, line: LogLine, effects: Effects) -> None:
        if line.level is Level.NORMAL and line.text:
            self._text.add(line.text, "", effects)

    def finish(self, effects: Effects) -> None:
        if not self._text.parts:
            return
        capture = Capture(self._masker)
        try:
            found = [pair for each in _followed(json.loads("".join(self._text.parts)), self._rules.path)
                     for pair in self._pairs(each)]  # fmt: skip
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            effects.said.append(Said(LogLine(f"json-mapper: the output cannot be mapped: {error}", Level.ERROR)))
            return
        for key, value in found:
            capture.put(key, value, effects)
        effects.captured += [Captured(GROUP, *pair) for pair in capture.values.items()]
        if self._rules.log_data:
            capture.log(effects)

    def _pairs(self, value: Any) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            yield from _fields(value, "")
        elif isinstance(value, list):
            yield from ((f"{self._rules.prefix}.{index}", _text(each)) for index, each in enumerate(value))
        else:
            yield self._rules.prefix, _written(value)


def _fields(value: dict[str, Any], before: str) -> Iterator[tuple[str, str]]:
    for key, each in value.items():
        if isinstance(each, dict):
            yield from _fields(each, f"{before}{key}.")
        else:
            yield before + key, _text(each)


def _followed(value: Any, path: tuple[Key, ...]) -> Iterator[Any]:
    """What stands at the end of the path. Raises ``TypeError`` where a value has no such parts."""
    if not path:
        yield value
        return
    key, rest = path[0], path[1:]
    if key is None:
        if not isinstance(value, list | dict):
            raise TypeError(f"{_written(value)[:40]} has no elements")
        for each in value.values() if isinstance(value, dict) else value:
            yield from _followed(each, rest)
        return
    yield from _followed(_part(value, key), rest)


def _part(value: Any, key: str | int) -> Any:
    """One part; what is not there is null, as in jq."""
    if value is None:
        return None
    if isinstance(key, str) and isinstance(value, dict):
        return value.get(key)
    if isinstance(key, int) and isinstance(value, list):
        return value[key] if -len(value) <= key < len(value) else None
    raise TypeError(f"{_written(value)[:40]} has no part {key!r}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _written(value)


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
