"""Durations as the original writes them: seconds, or ``1d 2h 3m 4s``."""

from __future__ import annotations

import re
from typing import Final

from schemas.errors import ErrorCode, RunbusError

_SECONDS: Final = re.compile(r"[0-9]{1,9}\Z", re.ASCII)
_PART: Final = re.compile(r"([0-9]{1,9})\s*([wdhms])", re.ASCII)
_WHOLE: Final = re.compile(r"(?:[0-9]{1,9}\s*[wdhms]\s*)+\Z", re.ASCII)
_UNIT_S: Final = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}


def duration_s(text: str) -> float | None:
    """Seconds; None for nothing and for 0, which mean no limit ("Retry, limits": ``timeout``, ``retry`` delay).

    Raises ``invalid_job`` for any other text, and where a unit stands twice.
    """
    text = text.strip()
    if not text:
        return None
    if _SECONDS.match(text):
        return float(text) or None
    parts = _PART.findall(text) if _WHOLE.match(text) else []
    if not parts or len({unit for _, unit in parts}) < len(parts):
        raise RunbusError(
            ErrorCode.INVALID_JOB,
            f"{text[:80]!r} is no duration: write seconds, or '1d 2h 3m 4s' with each unit once at most.",
            details={"duration": text[:80]},
        )
    return float(sum(int(count) * _UNIT_S[unit] for count, unit in parts)) or None
