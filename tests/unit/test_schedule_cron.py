"""Crons in Quartz' form: what is read, what is refused and how, and when they fire in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.schedule import next_fire, parse_cron
from schemas.errors import ErrorCode, RunbusError

AFTER = datetime(2024, 1, 1, tzinfo=UTC)
"""A Monday of a leap year."""


def fires(cron: str, count: int, *, after: datetime = AFTER) -> list[str]:
    """The next fires in UTC, as ``MM-DD HH:MM:SS``, with the year where it is not 2024."""
    found: list[str] = []
    at: datetime | None = after
    for _ in range(count):
        at = next_fire(parse_cron(cron), at, UTC) if at else None
        found.append(
            f"{at:%m-%d %H:%M:%S}" if at and at.year == 2024 else f"{at:%Y-%m-%d %H:%M:%S}" if at else "none"
        )
    return found


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 0 12 * * ?", ["01-01 12:00:00", "01-02 12:00:00"]),
        ("0 0 12 * * ? *", ["01-01 12:00:00"]),
        ("  0\t15  10 ?  *  * ", ["01-01 10:15:00"]),
        ("0 0 12 * * *", ["01-01 12:00:00", "01-02 12:00:00"]),
        ("0/30 * * ? * *", ["01-01 00:00:30", "01-01 00:01:00", "01-01 00:01:30"]),
        ("*/25 0 0 ? * *", ["01-01 00:00:25", "01-01 00:00:50", "01-02 00:00:00"]),
        ("/25 0 0 ? * *", ["01-01 00:00:25", "01-01 00:00:50", "01-02 00:00:00"]),
        ("0 0-10/5 6 ? * *", ["01-01 06:00:00", "01-01 06:05:00", "01-01 06:10:00", "01-02 06:00:00"]),
        ("0 50/20 6 ? * *", ["01-01 06:50:00", "01-02 06:50:00"]),
        ("0 0 22-2 ? * *", ["01-01 01:00:00", "01-01 02:00:00", "01-01 22:00:00", "01-01 23:00:00"]),
        ("0 0 22-4/3 ? * *", ["01-01 01:00:00", "01-01 04:00:00", "01-01 22:00:00"]),
        ("0 0 9 ? * MON-FRI", [f"01-0{day} 09:00:00" for day in (1, 2, 3, 4, 5, 8)]),
        ("0 0 9 ? * 2-6", [f"01-0{day} 09:00:00" for day in (1, 2, 3, 4, 5, 8)]),
        ("0 0 9 ? * fri-mon", [f"01-0{day} 09:00:00" for day in (1, 5, 6, 7, 8)]),
        ("0 0 9 ? * 1", ["01-07 09:00:00", "01-14 09:00:00"]),
        ("0 0 9 ? * SUN,WED", ["01-03 09:00:00", "01-07 09:00:00"]),
        ("0 0 9 ? * L", ["01-06 09:00:00", "01-13 09:00:00"]),
        ("0 0 9 ? NOV-FEB *", ["01-01 09:00:00"]),
        ("0 0 9 1 NOV-FEB ?", ["01-01 09:00:00", "02-01 09:00:00", "11-01 09:00:00", "12-01 09:00:00"]),
        ("0 0 0 1 2/5 ?", ["02-01 00:00:00", "07-01 00:00:00", "12-01 00:00:00", "2025-02-01 00:00:00"]),
        ("0 0 0 30-2 * ?", ["01-02 00:00:00", "01-30 00:00:00", "01-31 00:00:00", "02-01 00:00:00"]),
        ("0 0 0 L * ?", ["01-31 00:00:00", "02-29 00:00:00", "03-31 00:00:00", "04-30 00:00:00"]),
        ("0 0 0 L-3 * ?", ["01-28 00:00:00", "02-26 00:00:00", "03-28 00:00:00"]),
        ("0 0 0 LW * ?", ["01-31 00:00:00", "02-29 00:00:00", "03-29 00:00:00", "04-30 00:00:00"]),
        ("0 0 0 L-1W 3 ?", ["03-29 00:00:00"]),
        ("0 0 0 15W * ?", ["01-15 00:00:00", "02-15 00:00:00", "03-15 00:00:00", "04-15 00:00:00"]),
        ("0 0 0 15W 6,9 ?", ["06-14 00:00:00", "09-16 00:00:00"]),
        ("0 0 0 1W 6 ?", ["06-03 00:00:00"]),
        ("0 0 0 1W 9 ?", ["09-02 00:00:00"]),
        ("0 0 0 30W 6 ?", ["06-28 00:00:00"]),
        ("0 0 0 31W * ?", ["01-31 00:00:00", "03-29 00:00:00", "05-31 00:00:00"]),
        ("0 0 0 1,15W,L * ?", ["01-15 00:00:00", "01-31 00:00:00", "02-01 00:00:00"]),
        ("0 0 0 31 * ?", ["01-31 00:00:00", "03-31 00:00:00", "05-31 00:00:00", "07-31 00:00:00"]),
        ("0 0 0 29 2 ?", ["02-29 00:00:00", "2028-02-29 00:00:00"]),
        ("0 0 0 ? * 6L", ["01-26 00:00:00", "02-23 00:00:00", "03-29 00:00:00"]),
        ("0 0 0 ? * FRIL", ["01-26 00:00:00", "02-23 00:00:00"]),
        ("0 0 0 ? * 6#3", ["01-19 00:00:00", "02-16 00:00:00"]),
        ("0 0 0 ? * MON#1", ["02-05 00:00:00", "03-04 00:00:00"]),
        ("0 0 0 ? * 5#5", ["02-29 00:00:00", "05-30 00:00:00", "08-29 00:00:00"]),
        ("0 0 0 ? * 2#1,6L", ["01-26 00:00:00", "02-05 00:00:00", "02-23 00:00:00"]),
        ("0 0 0 1 1 ? 2025,2027", ["2025-01-01 00:00:00", "2027-01-01 00:00:00", "none"]),
        ("0 0 0 1 1 ? 2025-2026", ["2025-01-01 00:00:00", "2026-01-01 00:00:00", "none"]),
        ("0 0 0 1 1 ? 2024/3", ["2027-01-01 00:00:00", "2030-01-01 00:00:00"]),
        ("0 0 0 1 1 ? 2020", ["none"]),
        ("0 0 0 31 2 ?", ["none"]),
        ("59 59 23 31 12 ? 2199", ["2199-12-31 23:59:59", "none"]),
    ],
)
def test_fires(cron: str, expected: list[str]) -> None:
    assert fires(cron, len(expected)) == expected


def test_a_fire_is_later_than_the_moment_asked_for() -> None:
    at = datetime(2024, 1, 1, 12, tzinfo=UTC)
    cron = parse_cron("0 0 12 * * ?")
    assert next_fire(cron, at, UTC) == datetime(2024, 1, 2, 12, tzinfo=UTC)
    assert next_fire(cron, at.replace(hour=11, minute=59, second=59, microsecond=999_999), UTC) == at
    assert next_fire(parse_cron("* * * * * ?"), at.replace(microsecond=1), UTC) == at.replace(second=1)


@pytest.mark.parametrize(
    ("cron", "field", "said"),
    [
        ("60 * * * * ?", "seconds", "60"),
        ("0 -1 * * * ?", "minutes", "not understood"),
        ("0 61 * * * ?", "minutes", "0-59"),
        ("0 0 24 * * ?", "hours", "0-23"),
        ("0 0 0 0 * ?", "day of month", "1-31"),
        ("0 0 0 32 * ?", "day of month", "1-31"),
        ("0 0 0 32W * ?", "day of month", "1-31"),
        ("0 0 0 L-31 * ?", "day of month", "30 is the most"),
        ("0 0 0 WL * ?", "day of month", "WL"),
        ("0 0 0 1-5W * ?", "day of month", "1-5W"),
        ("0 0 0 * 13 ?", "month", "JAN-DEC"),
        ("0 0 0 * JANUARY ?", "month", "JANUARY"),
        ("0 0 0 * L ?", "month", "'L'"),
        ("0 0 0 ? * 0", "day of week", "1-7 or SUN-SAT"),
        ("0 0 0 ? * 8", "day of week", "1-7"),
        ("0 0 0 ? * 6#6", "day of week", "1 to 5"),
        ("0 0 0 ? * 6#0", "day of week", "1 to 5"),
        ("0 0 0 ? * FRY", "day of week", "FRY"),
        ("0 0 0 ? * W", "day of week", "'W'"),
        ("0 0 0 * * ? 1969", "year", "1970-2199"),
        ("0 0 0 * * ? 2030-2025", "year", "ends before it begins"),
        ("0/60 * * * * ?", "seconds", "at most 59"),
        ("*/0 * * * * ?", "seconds", "at least 1"),
        ("0, * * * * ?", "seconds", "empty item"),
        ("? * * * * ?", "seconds", "not understood"),
        ("*-5 * * * * ?", "seconds", "without a beginning"),
        ("5-/2 * * * * ?", "seconds", "not understood"),
        ("1e1 * * * * ?", "seconds", "not understood"),
        ("²0 * * * * ?", "seconds", "not understood"),
        ("0 0 0 ? * ?", "day of month", "both '?'"),
        ("0 0 0 1 * MON", "day of week", "write '?' in the other"),
        ("0 0 0 * * MON", "day of week", "write '?' in the other"),
    ],
)
def test_what_is_wrong_is_refused_by_its_field(cron: str, field: str, said: str) -> None:
    with pytest.raises(RunbusError) as caught:
        parse_cron(cron)
    assert caught.value.code is ErrorCode.INVALID_JOB
    assert caught.value.details["field"] == field
    assert field in caught.value.message
    assert said in caught.value.message


@pytest.mark.parametrize("cron", ["", "*", "* * * *", "0 0 0 * * ? 2030 more", "x" * 2000])
def test_another_number_of_fields_is_refused(cron: str) -> None:
    with pytest.raises(RunbusError) as caught:
        parse_cron(cron)
    assert caught.value.code is ErrorCode.INVALID_JOB
    assert len(caught.value.message) < 600


def test_a_crontab_of_unix_is_told_how_it_would_be_written() -> None:
    with pytest.raises(RunbusError, match=r"'0 \*/5 \* \* \* \?'"):
        parse_cron("*/5 * * * *")
    with pytest.raises(RunbusError, match=r"'0 0 4 \? \* 1'.*Sunday is 1 here"):
        parse_cron("0 4 * * 1")
