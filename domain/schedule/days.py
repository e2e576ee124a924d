"""Which days of a month a cron means: day of month, or day of week, with Quartz' ``L``, ``W`` and ``#``."""

from __future__ import annotations

import calendar
import re
from typing import Final

import msgspec

from domain.schedule.fields import DAY_OF_MONTH, DAY_OF_WEEK, cron_error, items_of

_LAST: Final = re.compile(r"L(?:-(?P<before>[0-9]{1,3}))?(?P<weekday>W)?\Z")
_NEAREST: Final = re.compile(r"(?P<day>[0-9]{1,3})W\Z")
_OF_MONTH: Final = re.compile(r"(?P<day>[A-Z]{3}|[0-9])(?:(?P<last>L)|#(?P<nth>[0-9]+))\Z")
_MOST_BEFORE: Final = 30
_SATURDAY: Final = 5
_SUNDAY: Final = 6


class Nearest(msgspec.Struct, frozen=True):
    """A day that may have to be the weekday (Monday to Friday) nearest to it, within its month."""

    day: int
    """Counted from the beginning, from 1; or from the end, 0 and below: 0 is the last day, -3 the third before it."""
    weekday: bool = False


class Nth(msgspec.Struct, frozen=True):
    """A day of the week that is counted in the month: the ``nth``, or the last (0)."""

    day: int
    """1 is Sunday."""
    nth: int = 0


class Days(msgspec.Struct, frozen=True, kw_only=True):
    """The days of a month: those that match one of the parts. None of them: every day."""

    of_month: tuple[Nearest, ...] = ()
    of_week: frozenset[int] = frozenset()
    """1 is Sunday."""
    nth: tuple[Nth, ...] = ()

    def of(self, year: int, month: int) -> list[int]:
        """The days of this month, in order."""
        first, length = calendar.monthrange(year, month)
        found = {day for each in self.of_month if (day := _placed(each, first, length))}
        found |= {day for each in self.nth if (day := _counted(each, first, length))}
        found |= {day for day in range(1, length + 1) if _quartz_weekday(first, day) in self.of_week}
        if not (self.of_month or self.of_week or self.nth):
            return list(range(1, length + 1))
        return sorted(found)


def parse_days(of_month: str, of_week: str) -> Days:
    """Both fields together; one of them has to be open, as Quartz wants it. Raises ``invalid_job``."""
    if of_month == "?" and of_week == "?":
        raise cron_error(
            "day of month and day of week are both '?': write '*' in one of them for every day",
            field=DAY_OF_MONTH.name,
        )
    if of_week == "?" or of_month == of_week == "*":
        return Days() if of_month == "*" else _days_of_month(of_month)
    if of_month == "?":
        return Days() if of_week == "*" else _days_of_week(of_week)
    raise cron_error(
        f"day of month ({of_month[:40]!r}) and day of week ({of_week[:40]!r}) are both given, and a schedule is by "
        "one of the two: write '?' in the other",
        field=DAY_OF_WEEK.name,
    )


def _days_of_month(text: str) -> Days:
    found: set[Nearest] = set()
    for item in items_of(DAY_OF_MONTH, text):
        if last := _LAST.match(item):
            before = int(last["before"] or 0)
            if before > _MOST_BEFORE:
                raise DAY_OF_MONTH.wrong(item, f"goes back {before} days, and {_MOST_BEFORE} is the most")
            found.add(Nearest(-before, bool(last["weekday"])))
        elif nearest := _NEAREST.match(item):
            found.add(Nearest(DAY_OF_MONTH.number(nearest["day"], item), weekday=True))
        else:
            found |= {Nearest(day) for day in DAY_OF_MONTH.values(item)}
    return Days(of_month=tuple(sorted(found, key=lambda each: (each.day, each.weekday))))


def _days_of_week(text: str) -> Days:
    days: set[int] = set()
    counted: list[Nth] = []
    for item in items_of(DAY_OF_WEEK, text):
        if item == "L":
            days.add(DAY_OF_WEEK.high)
        elif special := _OF_MONTH.match(item):
            day = DAY_OF_WEEK.number(special["day"], item)
            nth = 0 if special["last"] else int(special["nth"])
            if not special["last"] and not 1 <= nth <= 5:
                raise DAY_OF_WEEK.wrong(item, f"asks for number {nth} of the month, and there are 1 to 5")
            counted.append(Nth(day, nth))
        else:
            days |= DAY_OF_WEEK.values(item)
    return Days(of_week=frozenset(days), nth=tuple(counted))


def _weekday(first: int, day: int) -> int:
    """Monday is 0; ``first`` is that of the month's first day."""
    return (first + day - 1) % 7


def _quartz_weekday(first: int, day: int) -> int:
    return (_weekday(first, day) + 1) % 7 + 1


def _placed(each: Nearest, first: int, length: int) -> int | None:
    """The day in a month of this length, or None where it has no such day."""
    day = each.day if each.day > 0 else length + each.day
    if not 1 <= day <= length:
        return None
    if not each.weekday:
        return day
    weekday = _weekday(first, day)
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == _SUNDAY:
        return day + 1 if day < length else day - 2
    return day


def _counted(each: Nth, first: int, length: int) -> int | None:
    days = [day for day in range(1, length + 1) if _quartz_weekday(first, day) == each.day]
    if each.nth == 0:
        return days[-1]
    return days[each.nth - 1] if each.nth <= len(days) else None
