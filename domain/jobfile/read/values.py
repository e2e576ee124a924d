"""Readers of single values: text, true or false, numbers, whole trees. Nothing is guessed from a wrong type."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

import yaml
from yaml.constructor import SafeConstructor

from domain.durations import duration_s
from domain.jobfile.notes import Place, Refused
from schemas.errors import RunbusError

XML_TEXT: Final = "tag:yaml.org,2002:xml"
"""The tag of a text from XML, where true, false and numbers are texts, too."""

_PREFIX: Final = "tag:yaml.org,2002:"
_NAMES: Final = {
    "str": "text",
    "xml": "text",
    "value": "text",
    "merge": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
    "timestamp": "a date",
    "map": "a map",
    "seq": "a list",
}
_TEXTS: Final = frozenset({"str", "xml", "value", "merge"})
_TRUE: Final = frozenset({"true", "yes", "on"})
_FALSE: Final = frozenset({"false", "no", "off"})
_MAX_INT: Final = 1 << 63
_MAX_NUMBER_CHARS: Final = 100
_WHOLE: Final = re.compile(r"[0-9]{1,9}\Z")
_DURATION_ADVICE: Final = "write seconds, '1d 2h 3m 4s', or '${option.NAME}'"


def kind(node: yaml.Node) -> str:
    """YAML's type of a node (``str``, ``int``, ``map``, ...), ``xml`` for a text from XML, or the tag it bears."""
    tag: str = node.tag
    return tag.removeprefix(_PREFIX)


def is_null(node: yaml.Node) -> bool:
    """Whether nothing is given."""
    return kind(node) == "null"


def is_blank(node: yaml.Node) -> bool:
    """Whether there is nothing in it, however deep: ``{LogFilter: [], ExecutionLifecycle: null}``."""
    if isinstance(node, yaml.MappingNode):
        return all(is_blank(value) for _, value in node.value)
    if isinstance(node, yaml.SequenceNode):
        return all(is_blank(item) for item in node.value)
    return is_null(node) or not str(node.value).strip()


def quoted(value: str) -> str:
    """What a file holds, safe and short enough for a message."""
    return repr(value if len(value) <= 60 else value[:57] + "...")


def wrong_type(place: Place, expected: str, advice: str = "") -> Refused:
    """``expected X, got Y; what to do``."""
    node = place.node
    got = _NAMES.get(kind(node), f"a value with the tag {quoted(str(node.tag))}")
    if isinstance(node, yaml.ScalarNode) and node.value:
        got += f" ({quoted(node.value)})"
    return Refused(f"expected {expected}, got {got}; {advice or f'write {expected} here'}")


def text(place: Place) -> str:
    """A text. Numbers, true and false become texts, as the original has it: YAML reads ``0755`` as 493."""
    node = place.node
    if not isinstance(node, yaml.ScalarNode):
        raise wrong_type(place, "text")
    what = kind(node)
    if what in _TEXTS:
        return str(node.value)
    if what == "bool":
        return str(_bool_of(place)).lower()
    if what not in ("int", "float"):
        raise wrong_type(place, "text", "write the text" if what == "null" else "put it in quotes")
    number = _number(place, node, what)
    if what == "int" and str(number) != node.value:
        place.warn(f"read as {quoted(str(number))}, which is what YAML takes {quoted(node.value)} for; quote it")
        return str(number)
    return str(node.value)


def optional_text(place: Place) -> str | None:
    """A text, or None where nothing is given."""
    return None if is_null(place.node) else text(place)


def some_text(place: Place) -> str | None:
    """A text, or None where there is nothing in it, not even blanks."""
    return optional_text(place) or None


def trimmed_text(place: Place) -> str | None:
    """A text without blanks around it, or None where that leaves nothing."""
    return (optional_text(place) or "").strip() or None


def filled_text(place: Place) -> str:
    """A text with something in it."""
    value = text(place)
    if not value.strip():
        raise Refused("empty; write something here")
    return value


def has_reference(value: str) -> bool:
    """Whether a run puts values in here: ``${option.NAME}``."""
    return "${" in value


def _bool_of(place: Place) -> bool:
    value = str(place.node.value).lower()
    if value not in _TRUE | _FALSE:
        raise wrong_type(place, "true or false")
    return value in _TRUE


def _boolean(place: Place, *, takes_false_text: bool) -> bool:
    what, value = kind(place.node), place.node.value
    if what == "bool":
        return _bool_of(place)
    word = value.strip().lower() if what in _TEXTS else ""
    if word == "true" or (word == "false" and (takes_false_text or what == "xml")):
        return bool(word == "true")
    if word == "false":
        advice = "take the quotes away: the original takes this text for true"
        raise wrong_type(place, "true or false", advice)
    raise wrong_type(place, "true or false")


def boolean(place: Place) -> bool | None:
    """True or false, None for nothing. The text ``'false'`` is neither: the original takes it for true."""
    return None if is_blank(place.node) else _boolean(place, takes_false_text=False)


def flag(place: Place) -> bool | None:
    """The same where the original reads the texts ``'true'`` and ``'false'`` as what they say."""
    return None if is_blank(place.node) else _boolean(place, takes_false_text=True)


def whole_number(*, least: int) -> Callable[[Place], str | None]:
    """A whole number of at least ``least``, or a reference that a run fills in; as text."""

    def read(place: Place) -> str | None:
        value = trimmed_text(place)
        if value is None or has_reference(value):
            return value
        if not _WHOLE.match(value) or int(value) < least:
            raise Refused(f"{quoted(value)} is no whole number from {least} up; write one, or '${{option.NAME}}'")
        return value

    return read


def duration(place: Place) -> str | None:
    """A duration, or a reference that a run fills in; as it is written."""
    if isinstance(place.node, yaml.CollectionNode):
        raise wrong_type(place, "a duration", _DURATION_ADVICE)
    value = trimmed_text(place)
    if value is not None and not has_reference(value):
        try:
            duration_s(value)
        except RunbusError:
            raise wrong_type(place, "a duration", _DURATION_ADVICE) from None
    return value


def one_word(*known: str, folded: Callable[[str], str] = str) -> Callable[[Place], str | None]:
    """One of some words, or None where nothing is given."""

    def read(place: Place) -> str | None:
        value = trimmed_text(place)
        if value is None or folded(value) in known:
            return None if value is None else folded(value)
        raise Refused(f"{quoted(value)} is not known; use {', '.join(known[:-1])} or {known[-1]}")

    return read


def plain_map(place: Place) -> dict[str, Any]:
    """A map of plain values, as a plugin is given it; empty where nothing is given."""
    if is_null(place.node) or (kind(place.node) == "xml" and is_blank(place.node)):
        return {}
    if not isinstance(place.node, yaml.MappingNode) or kind(place.node) != "map":
        raise wrong_type(place, "a map", "write 'name: value' lines")
    return {name: _plain_or_none(part) for name, part in place.fields()}


def plain(place: Place) -> Any:
    """Any plain value, however deep."""
    node = place.node
    what = kind(node)
    if isinstance(node, yaml.MappingNode):
        return plain_map(place)
    if isinstance(node, yaml.SequenceNode):
        if what != "seq":
            raise wrong_type(place, "a plain list", "take the tag away")
        return [_plain_or_none(item) for item in place.items()]
    if not isinstance(node, yaml.ScalarNode):
        raise wrong_type(place, "a plain value")
    if what in _TEXTS or what == "timestamp":
        return str(node.value)
    if what == "bool":
        return _bool_of(place)
    if what == "null":
        return None
    return _number(place, node, what)


def _plain_or_none(place: Place) -> Any:
    try:
        return plain(place)
    except Refused as refused:
        place.problem(refused.text)
        return None


def _number(place: Place, node: yaml.ScalarNode, what: str) -> int | float:
    advice = "put it in quotes if it is a text"
    value: int | float = math.inf
    try:
        if len(node.value) > _MAX_NUMBER_CHARS:
            raise wrong_type(place, "a number that fits into 64 bits", advice)
        if what == "int":
            value = SafeConstructor().construct_yaml_int(node)
        elif what == "float":
            value = SafeConstructor().construct_yaml_float(node)
        else:
            raise wrong_type(place, "a plain value", "take the tag away")
    except (ValueError, OverflowError, IndexError):
        raise wrong_type(place, "a number", advice) from None
    if not math.isfinite(value) or (what == "int" and not -_MAX_INT <= value < _MAX_INT):
        raise wrong_type(place, "a number that fits into 64 bits", advice)
    return value
