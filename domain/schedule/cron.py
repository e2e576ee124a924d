"""A cron expression in Quartz' form: 6 fields, and a year where one is given."""

from __future__ import annotations

from typing import Final

import msgspec

from domain.schedule.days import Days, parse_days
from domain.schedule.fields import HOURS, MINUTES, MONTH, SECONDS, YEAR, cron_error, values_of

_SHOWN_CHARS: Final = 120
_MOST_CHARS: Final = 1000
_FIELDS: Final = "seconds, minutes, hours, day of month, month, day of week and, if wanted, year"


class Cron(msgspec.Struct, frozen=True, kw_only=True):
    """What a cron expression means: the values of each field, in order."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: Days
    months: tuple[int, ...]
    years: tuple[int, ...]

    @property
    def every_hour(self) -> bool:
        """Whether it goes on through every hour of a day: it then does so through a repeated one, too."""
        return len(self.hours) == HOURS.high - HOURS.low + 1


def parse_cron(text: str) -> Cron:
    """Read ``seconds minutes hours day-of-month month day-of-week [year]``; case does not matter, Sunday is 1.

    Raises ``invalid_job`` with the field that is wrong, and what can be written instead. What Quartz refuses and has
    a clear meaning is taken: ``*`` in both day fields, several of ``#`` and ``L`` in one list.
    """
    if len(text) > _MOST_CHARS:
        raise cron_error(f"a crontab of {len(text)} characters: {_MOST_CHARS} is the most")
    fields = text.upper().split()
    if not 6 <= len(fields) <= 7:
        raise cron_error(
            f"the crontab {text[:_SHOWN_CHARS]!r} has {len(fields)} fields: write {_FIELDS}{_hint(fields)}"
        )
    seconds, minutes, hours, of_month, month, of_week = fields[:6]
    return Cron(
        seconds=values_of(SECONDS, seconds),
        minutes=values_of(MINUTES, minutes),
        hours=values_of(HOURS, hours),
        days=parse_days(of_month, of_week),
        months=values_of(MONTH, month),
        years=values_of(YEAR, fields[6] if len(fields) == 7 else "*"),
    )


def _hint(fields: list[str]) -> str:
    """A crontab of Unix has 5 fields, and other numbers for the days of the week."""
    if len(fields) != 5:
        return ""
    minutes, hours, of_month, month, of_week = fields
    if of_week == "*":
        of_week = "?"
    elif of_month == "*":
        of_month = "?"
    return (
        f". A crontab of Unix would begin with its seconds: '0 {minutes} {hours} {of_month} {month} {of_week}', "
        "and Sunday is 1 here"
    )[: 3 * _SHOWN_CHARS]
