"""From which running time on an execution has taken longer than its average."""

from __future__ import annotations

import re
from typing import Final

_NUMBER: Final = re.compile(r"-?(?:\d+\.\d*|\.\d+|\d+)", re.ASCII)
_PART: Final = re.compile(r"(\d+)(.)?", re.ASCII | re.DOTALL)
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_MOST_CHARS: Final = 64
_MOST_S: Final = 10.0**9


def threshold_s(text: str, average_s: float | None) -> float | None:
    """Seconds after which ``onavgduration`` fires; None where it never does.

    ``20%`` or ``+20%`` is the average and a fifth more, ``+30s`` or ``+30`` so much more than the average, and
    ``5m`` or ``1h 30m`` stands for itself. Nothing, 0 and what holds no number mean the average.
    Where no execution of the job has succeeded yet, the average is 0: then a percentage of it never fires.
    Units are ``s m h d w y``; a number without one is seconds, one with another unit counts nothing.
    """
    text = text.strip()[:_MOST_CHARS]
    average = average_s or 0.0
    if "%" in text:
        numbers = _NUMBER.findall(text)
        more = float(numbers[0]) if len(numbers) == 1 else 0.0
        limit = average * (1 + more / 100)
    elif "+" in text:
        limit = average + _seconds(text.replace("+", ""))
    else:
        limit = _seconds(text) or average
    return min(limit, _MOST_S) if limit > 0 else None


def _seconds(text: str) -> float:
    return float(sum(int(count) * (_UNIT_S.get(unit, 0) if unit else 1) for count, unit in _PART.findall(text)))
