"""What is wrong with a message that cannot be decoded: the place and what may stand there, never what came."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

from msgspec import inspect

_SAFE: Final = (
    "Expected ", "Object missing required field ", "JSON is malformed", "Input data was truncated",
    "Invalid RFC3339 ", "Invalid base64 ", "Integer value out of range", "Number out of range",
    "Timestamp is out of range",
)  # fmt: skip
"""How the decoder's texts begin that are made of our own types and of places alone."""
_PLACE: Final = re.compile(r" - at (?:`key` in )?`(\$[^`]*)`\Z")
_KEY_PLACE: Final = re.compile(r" - at `key` in `\$[^`]*`\Z")
_STEP: Final = re.compile(r"\.([^.\[]+)|\[[^\]]*\]")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$[^`]*`)?\Z", re.DOTALL)
_CLOSE: Final = 0.75
"""How like a field's name one has to be to count as that one, misspelt."""
_SHOWN: Final = 40
"""How many values or names are told at most."""


def fault_of(cause: Exception, message_type: Any) -> str:
    """The decoder's error in words that hold nothing of the data: it may be a secret in the wrong field."""
    text = str(cause)
    if isinstance(cause, (UnicodeDecodeError, RecursionError)):
        return "no UTF-8 text" if isinstance(cause, UnicodeDecodeError) else "it is nested too deeply"
    if text.startswith(_SAFE):
        return text
    if unknown := _UNKNOWN.match(text):
        return _unknown_field(unknown[1], text, message_type)
    allowed = list(dict.fromkeys(_allowed(_at(text, message_type))))[:_SHOWN]
    expected = f", expected {' or '.join(allowed)}" if allowed else ""
    return f"Invalid value (it is not shown){expected}{_where(text)}"


def _where(text: str) -> str:
    found = _PLACE.search(text)
    return found[0] if found else ""


def _unknown_field(name: str, text: str, message_type: Any) -> str:
    """A misspelt name is shown; one that is like none of ours may be anything."""
    fields = [field.encode_name for struct in _structs(_at(text, message_type)) for field in struct.fields]
    if get_close_matches(name[:100], fields, 1, _CLOSE):
        return f"Object contains unknown field `{name[:100]}`{_where(text)}"
    shown = ", ".join(dict.fromkeys(fields[:_SHOWN]))
    known = f", fields are {shown}" if shown else ""
    return f"Object contains an unknown field (it is not shown){known}{_where(text)}"


def _at(text: str, message_type: Any) -> list[inspect.Type]:
    """The types that may stand at the place that a text of the decoder ends with."""
    place = _PLACE.search(text)
    types = list(_members([_info(message_type)]))
    for step in _STEP.finditer(place[1]) if place else ():
        inner = _of_field(types, step[1]) if step[1] else _of_items(types)
        types = list(_members(inner))
    if _KEY_PLACE.search(text):
        types = list(_members(each.key_type for each in types if isinstance(each, inspect.DictType)))
    return types


@cache
def _info(message_type: Any) -> inspect.Type:
    return inspect.type_info(message_type)


def _members(types: Iterable[inspect.Type]) -> Iterator[inspect.Type]:
    for each in types:
        yield from _members(each.types) if isinstance(each, inspect.UnionType) else (each,)


def _of_field(types: Iterable[inspect.Type], name: str) -> Iterator[inspect.Type]:
    for struct in _structs(types):
        yield from (field.type for field in struct.fields if field.encode_name == name)


def _of_items(types: Iterable[inspect.Type]) -> Iterator[inspect.Type]:
    for each in types:
        if isinstance(each, inspect.DictType):
            yield each.value_type
        elif isinstance(each, inspect.CollectionType):
            yield each.item_type
        elif isinstance(each, inspect.TupleType):
            yield from each.item_types


def _structs(types: Iterable[inspect.Type]) -> Iterator[inspect.StructType]:
    return (each for each in types if isinstance(each, inspect.StructType))


def _allowed(types: Iterable[inspect.Type]) -> Iterator[str]:
    """The values of enumerations and literals; they are of the schema, and no secret."""
    for each in types:
        if isinstance(each, inspect.EnumType):
            yield from (str(member.value) for member in each.cls)
        elif isinstance(each, inspect.LiteralType):
            yield from map(str, each.values)
