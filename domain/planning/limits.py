"""Numbers and durations of a job that may be written as references."""

from __future__ import annotations

import re
from typing import Final

from domain.context.references import Missing, expand
from domain.context.scopes import DataContext, View
from domain.durations import duration_s
from schemas.errors import ErrorCode, RunbusError

MAX_THREADS: Final = 10_000
MAX_RETRIES: Final = 1000
_WHOLE: Final = re.compile(r"\s*[0-9]{1,6}\s*\Z", re.ASCII)


def filled(text: str, data: DataContext) -> str:
    """``text`` with its references filled in; those without a value stay, so that an error can show them."""
    return expand(text, data, View(), Missing.LITERAL)


def whole_number(text: str, data: DataContext, *, what: str, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``. Raises ``invalid_job`` naming ``what``, as written and filled in."""
    value = filled(text, data)
    number = int(value) if _WHOLE.match(value) else -1
    if not least <= number <= most:
        raise RunbusError(
            ErrorCode.INVALID_JOB,
            f"{what} is {_as_written(text, value)}: it has to be a whole number from {least} to {most}.",
            details={"field": what, "written": text[:200], "value": value[:200]},
        )
    return number


def limit_s(text: str, data: DataContext, *, what: str) -> float | None:
    """A duration in seconds, None for none. Raises ``invalid_job`` naming ``what``."""
    value = filled(text, data)
    try:
        return duration_s(value)
    except RunbusError as error:
        raise RunbusError(
            ErrorCode.INVALID_JOB,
            f"{what} is {_as_written(text, value)}: it has to be seconds, or '1d 2h 3m 4s'.",
            details={"field": what, "written": text[:200], "value": value[:200]},
        ) from error


def _as_written(text: str, value: str) -> str:
    return repr(value[:80]) if text == value else f"{value[:80]!r} (from {text[:80]!r})"
