"""From a cron and a time zone to instants.

The rule where clocks are changed, Quartz' with one difference:

- A wall-clock time that is left out (the clock goes forward) does not come: no fire.
- One that comes twice (the clock goes back) counts the second time, in standard time.
- A cron that runs through every hour (``*`` in hours) fires both times. Quartz leaves the first one out here, too,
  and so lets a job that runs every minute rest for an hour.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from domain.schedule.cron import Cron

_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)


def next_fire(cron: Cron, after: datetime, zone: tzinfo) -> datetime | None:
    """The first fire later than ``after``, in UTC and whole seconds; None where there is none any more."""
    earliest = after.astimezone(UTC).replace(microsecond=0) + _SECOND
    for day in _days_from(cron, earliest.astimezone(zone).date()):
        found = _first_of_day(cron, day, earliest, zone)
        if found is not None:
            return found
    return None


def _days_from(cron: Cron, first: date) -> Iterator[date]:
    """The days of a cron from ``first`` on."""
    for year in cron.years[bisect_left(cron.years, first.year) :]:
        for month in cron.months:
            if (year, month) >= (first.year, first.month):
                for number in cron.days.of(year, month):
                    day = date(year, month, number)
                    if day >= first:
                        yield day


def _first_of_day(cron: Cron, day: date, earliest: datetime, zone: tzinfo) -> datetime | None:
    """The first fire of a day at ``earliest`` or later."""
    for begin, end, limit in _stretches(day, zone, repeats=cron.every_hour):
        offset = _offset(begin, zone)
        start = max(begin, earliest)
        if start >= end:
            continue
        wall = (start + offset).replace(tzinfo=None)
        found = _next_time(cron, wall.time()) if wall.date() == day else None
        if found is None:
            continue
        at = datetime.combine(day, found, UTC) - offset
        if at < min(end, limit):
            return at
    return None


def _stretches(day: date, zone: tzinfo, *, repeats: bool) -> Iterator[tuple[datetime, datetime, datetime]]:
    """The parts of a day within which the clock runs evenly: beginning, end, and where what comes again begins."""
    begin, end = _midnight(day, zone), _midnight(day + _DAY, zone)
    if begin >= end:
        return
    before, after = _offset(begin, zone), _offset(end, zone)
    if before == after:
        yield begin, end, end
        return
    change = _change(begin, end, zone)
    goes_back = max(before - after, timedelta(0))
    yield begin, change, change if repeats else change - goes_back
    yield change, end, end


def _change(begin: datetime, end: datetime, zone: tzinfo) -> datetime:
    """When the offset of ``begin`` ends, to the second."""
    low, high, offset = begin, end, _offset(begin, zone)
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
        if _offset(middle, zone) == offset:
            low = middle
        else:
            high = middle
    return high


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _offset(instant: datetime, zone: tzinfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def _next_time(cron: Cron, earliest: time) -> time | None:
    """The first time of day of a cron at ``earliest`` or later."""
    for hour in cron.hours[bisect_left(cron.hours, earliest.hour) :]:
        same_hour = hour == earliest.hour
        first_minute = earliest.minute if same_hour else 0
        for minute in cron.minutes[bisect_left(cron.minutes, first_minute) :]:
            first_second = earliest.second if same_hour and minute == earliest.minute else 0
            for second in cron.seconds[bisect_left(cron.seconds, first_second) :]:
                return time(hour, minute, second)
    return None
