"""What the answer to a delivery means, and when the next try is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

from schemas.errors import ErrorCode, RunbusError

MOST_WAIT_S: Final = 3600.0
"""The longest that a receiver may put us off."""
_TRY_AGAIN: Final = frozenset({408, 425, 429})


class Verdict(StrEnum):
    """What an HTTP status means for a delivery."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    """Trying again would not help."""
    LATER = "later"


def verdict_of(status: int) -> Verdict:
    """2xx is delivered, 4xx refused but for 408, 425 and 429, and everything else may pass."""
    if 200 <= status < 300:
        return Verdict.DELIVERED
    return Verdict.REFUSED if 300 <= status < 500 and status not in _TRY_AGAIN else Verdict.LATER


def read_delays(text: str) -> tuple[float, ...]:
    """Seconds between tries, separated by commas: ``1,5,30``. Raises ``invalid_message``."""
    try:
        delays = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        delays = (-1.0,)
    if any(not 0 <= delay <= 86_400 for delay in delays):
        raise RunbusError(
            ErrorCode.INVALID_MESSAGE,
            f"RUNBUS_NOTIFY_RETRY_S={text[:80]!r}: give seconds between tries, separated by commas, as in '1,5,30'.",
        )
    return delays


def next_try_s(delays: Sequence[float], tried: int, *, asked_s: float | None = None) -> float | None:
    """Seconds until the next try after ``tried`` ones; None: no more. A receiver may ask for longer, not for less."""
    if tried > len(delays):
        return None
    return max(delays[tried - 1], min(asked_s or 0.0, MOST_WAIT_S))


def retry_after_s(header: str, now: datetime) -> float | None:
    """``Retry-After`` as seconds from now: a number, or a date. None for anything else."""
    header = header.strip()
    if header.isascii() and header.isdigit():
        return min(float(header[:9]), MOST_WAIT_S)
    try:
        at = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(0.0, (at - now).total_seconds()), MOST_WAIT_S)
