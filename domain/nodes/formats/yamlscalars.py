"""What plain scalars mean to the original's YAML parser (SnakeYAML, YAML 1.1): ``010`` is 8, ``yes`` is true."""

from __future__ import annotations

import re
from typing import Any, Final

PREFIX: Final = "tag:yaml.org,2002:"
MAX_NUMBER_CHARS: Final = 400

_BOOL: Final = r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF"
_TRUE: Final = frozenset({"yes", "true", "on"})
_FALSE: Final = frozenset({"no", "false", "off"})
_NULL: Final = r"~|null|Null|NULL|[ ]|"
_INT: Final = r"""
    [-+]?0b_*[01][01_]*|[-+]?0_*[0-7][0-7_]*|[-+]?(?:0|[1-9][0-9_]*)
    |[-+]?0x_*[0-9a-fA-F][0-9a-fA-F_]*|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+"""
_FLOAT: Final = r"""
    [-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
    |\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*
    |[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"""
_TIMESTAMP: Final = r"""
    [0-9]{4}-[0-9]{2}-[0-9]{2}
    |[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?
    (?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?"""
_OTHER_THAN_TEXT: Final = re.compile(
    f"(?:(?P<bool>{_BOOL})|(?P<int>{_INT})|(?P<float>{_FLOAT})|(?P<null>{_NULL})|(?P<timestamp>{_TIMESTAMP}))\\Z",
    re.VERBOSE,
)
"""The name of the group that matches is the tag."""
BEGINNINGS: Final = frozenset("yYnNtTfFoO~ <+-.0123456789")
"""What a plain scalar begins with that may be no text."""


class Moment(str):
    """A date, as it is written: the original prints it in its server's language and time zone, which nobody wants."""

    __slots__ = ()


class Merge:
    """The key ``<<``."""


def resolved(value: str, tag: str | None, *, plain: bool) -> Any:
    """A scalar's value. Raises ``ValueError``, with the reason, for a tag or a number that cannot be read."""
    if tag is None or tag == "!":
        tag = _implied(value) if plain and tag is None else "str"
    elif tag.startswith(PREFIX):
        tag = tag.removeprefix(PREFIX)
    reader = _READERS.get(tag)
    if reader is None:
        raise ValueError(f"the tag {tag[:60]!r} is not read; take it away")
    return reader(value)


def plain(value: str) -> Any:
    """The value of a plain scalar without a tag. Raises as :func:`resolved` does."""
    tag = _implied(value)
    return value if tag == "str" else _READERS[tag](value)


def is_plain(value: str) -> bool:
    """Whether a text may stand without quotes and still be a text."""
    return _implied(value) == "str"


def _implied(value: str) -> str:
    if value and value[0] not in BEGINNINGS:
        return "str"
    if value == "<<":
        return "merge"
    match = _OTHER_THAN_TEXT.match(value)
    return str(match.lastgroup) if match else "str"


def _bool(value: str) -> bool:
    if value.lower() not in _TRUE | _FALSE:
        raise ValueError(f"{value[:60]!r} is neither true nor false")
    return value.lower() in _TRUE


def _int(value: str) -> int:
    digits = value.replace("_", "").lstrip("+-")
    sign = -1 if value.startswith("-") else 1
    if len(digits) > MAX_NUMBER_CHARS:
        raise ValueError("a number has too many digits; put it in quotes")
    if digits.startswith("0b"):
        return sign * int(digits[2:], 2)
    if digits.startswith("0x"):
        return sign * int(digits[2:], 16)
    if digits.startswith("0") and len(digits) > 1:
        return sign * int(digits, 8)
    if ":" in digits:
        return sign * int(_sixties(digits, int))
    return sign * int(digits)


def _float(value: str) -> float:
    text = value.replace("_", "").lower()
    sign = -1.0 if text.startswith("-") else 1.0
    digits = text.lstrip("+-")
    if len(digits) > MAX_NUMBER_CHARS:
        raise ValueError("a number has too many digits; put it in quotes")
    if digits in (".inf", ".nan"):
        return sign * float(digits[1:])
    return sign * (float(_sixties(digits, float)) if ":" in digits else float(digits))


def _sixties(digits: str, last: type[int] | type[float]) -> float:
    total: float = 0
    *heads, tail = digits.split(":")
    for head in heads:
        total = total * 60 + int(head)
    return total * 60 + last(tail)


_READERS: Final[dict[str, Any]] = {
    "str": str,
    "bool": _bool,
    "int": _int,
    "float": _float,
    "null": lambda _: None,
    "timestamp": Moment,
    "merge": lambda _: Merge,
}
