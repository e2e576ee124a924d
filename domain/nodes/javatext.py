"""How the original's language trims, splits, compares and prints: its rules for nodes are built on that."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Final

_BLANKS: Final = "".join(map(chr, range(0x21)))


def trim(text: str) -> str:
    """Without the characters up to U+0020 at both ends (``String.trim``)."""
    return text.strip(_BLANKS)


def is_blank(text: str | None) -> bool:
    """Whether there is nothing in it (``trim`` leaves nothing)."""
    return not text or (text[0] <= " " and not trim(text))


def split(text: str, separator: str) -> list[str]:
    """The parts, without the empty ones at the end (``String.split``): ``"a,,b,"`` has three, ``","`` has none."""
    parts = text.split(separator)
    if len(parts) == 1:
        return parts
    while parts and not parts[-1]:
        parts.pop()
    return parts


def sort_keys(texts: list[str]) -> list[str] | list[bytes]:
    """One key a text, that sort like ``String.compareTo``: by UTF-16 units."""
    if all(map(str.isascii, texts)):
        return texts
    return [text.encode("utf-16-be", "surrogatepass") for text in texts]


def printed(value: Any) -> str:
    """A value of YAML or JSON as ``toString`` prints it; the caller bounds depth and size."""
    if isinstance(value, str):
        # of a moment of YAML the text alone: nobody can encode its type
        return value if type(value) is str else str.__str__(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return _printed_double(value)
    if isinstance(value, list):
        return f"[{', '.join(printed(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{printed(key)}={printed(item)}" for key, item in value.items()) + "}"
    return str(value)


def _printed_double(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    parts = Decimal(repr(value)).as_tuple()
    digits = "".join(map(str, parts.digits)).rstrip("0")
    exponent = len(parts.digits) - 1 + int(parts.exponent)
    return f"{'-' if parts.sign else ''}{digits[0]}.{digits[1:] or '0'}E{exponent}"
