"""Readers of single values: text, true or false, whole trees, durations. Nothing is guessed from a wrong type."""

from __future__ import annotations

import math
import re
from typing import Any, Final

import yaml
from yaml.constructor import SafeConstructor

from domain.jobfile.notes import Place, Refused

NOT_YET: Final = "not supported yet"

_PREFIX: Final = "tag:yaml.org,2002:"
_NAMES: Final = {
    "str": "text",
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
_TEXTS: Final = frozenset({"str", "value", "merge"})
_TRUE: Final = frozenset({"true", "yes", "on"})
_DURATION: Final = re.compile(r"(?:[0-9]{1,9}[dhms]\s*)+\Z")
_DURATION_PART: Final = re.compile(r"([0-9]+)([dhms])")
_SECONDS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?\Z")
_UNIT_S: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_MAX_INT: Final = 1 << 63
_MAX_NUMBER_CHARS: Final = 100
_REFERENCE: Final = re.compile(
    r"\$\{(?:option|job|node|data|globals|export|execution|result)\.[^}\s]{1,200}\}"
    r"|@(?:option|job|node|data|globals|export|execution)\.[\w.:/-]{1,200}@"
)


def kind(node: yaml.Node) -> str:
    """YAML's type of a node (``str``, ``int``, ``map``, ...), or the tag it bears."""
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
    """A text, as it stands."""
    node = place.node
    if not isinstance(node, yaml.ScalarNode):
        raise wrong_type(place, "text")
    if kind(node) not in _TEXTS:
        raise wrong_type(place, "text", "write the text" if is_null(node) else "put it in quotes")
    return str(node.value)


def optional_text(place: Place) -> str | None:
    """A text, or None where nothing is given."""
    return None if is_null(place.node) else text(place)


def filled_text(place: Place) -> str:
    """A text with something in it."""
    value = text(place)
    if not value.strip():
        raise Refused("empty; write something here")
    return value


def command_text(place: Place) -> str:
    """A filled text in which the original would put values for ``${group.key}``."""
    value = filled_text(place)
    _warn_of_reference(place, value)
    return value


def arguments(place: Place) -> str | None:
    """The same, where nothing may be given."""
    value = optional_text(place)
    _warn_of_reference(place, value or "")
    return value


def boolean(place: Place) -> bool:
    """True or false; the text ``'false'`` is neither (the original takes it for true)."""
    if kind(place.node) != "bool" or str(place.node.value).lower() not in _TRUE | {"false", "no", "off"}:
        advice = "take the quotes away" if str(place.node.value).lower() in {"true", "false"} else ""
        raise wrong_type(place, "true or false", advice)
    return str(place.node.value).lower() in _TRUE


def optional_boolean(place: Place) -> bool | None:
    """True or false, or None where nothing is given."""
    return None if is_null(place.node) else boolean(place)


def duration(place: Place) -> float | None:
    """Seconds: from ``90``, or ``1d 2h 3m 4s`` (each unit once at most); None for nothing and for 0, no limit."""
    node = place.node
    if not isinstance(node, yaml.ScalarNode):
        raise wrong_type(place, "a duration", "write seconds, or '1d 2h 3m 4s'")
    value = node.value.strip()
    if "${" in value:
        raise Refused(f"{NOT_YET}: a duration from {quoted(value)}; write seconds, or '1d 2h 3m 4s'")
    if is_null(node) or not value:
        return None
    if _SECONDS.match(value):
        return float(value) or None
    parts = _DURATION_PART.findall(value) if _DURATION.match(value) else []
    if not parts or len({unit for _, unit in parts}) < len(parts):
        raise wrong_type(place, "a duration", "write seconds, or '1d 2h 3m 4s' with each unit once at most")
    return float(sum(int(count) * _UNIT_S[unit] for count, unit in parts)) or None


def plain_map(place: Place) -> dict[str, Any]:
    """A map of plain values, as a plugin is given it; empty where nothing is given."""
    if is_null(place.node):
        return {}
    if not isinstance(place.node, yaml.MappingNode) or kind(place.node) != "map":
        raise wrong_type(place, "a map", "write 'name: value' lines")
    return {name: _plain_or_none(part) for name, part in place.fields()}


def _plain_or_none(place: Place) -> Any:
    try:
        return _plain(place)
    except Refused as refused:
        place.problem(refused.text)
        return None


def _plain(place: Place) -> Any:
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
        _warn_of_reference(place, node.value)
        return str(node.value)
    if what == "bool":
        return boolean(place)
    if what == "null":
        return None
    return _number(place, node, what)


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


def _warn_of_reference(place: Place, value: str) -> None:
    found = _REFERENCE.search(value)
    if found:
        place.warn(f"{quoted(found[0])} is passed on as it stands: putting values in is {NOT_YET}")
