"""Fires where clocks are changed, and a definition by brute force that all others must agree with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.schedule import Cron, next_fire, parse_cron
from schemas.errors import RunbusError

MINUTE = timedelta(minutes=1)


def local_fires(cron: str, zone: str, *, after: str, count: int) -> list[str]:
    """The next fires by the clock on the wall, with its offset."""
    at: datetime | None = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone))
    found = []
    for _ in range(count):
        assert at is not None
        at = next_fire(parse_cron(cron), at, ZoneInfo(zone))
        assert at is not None
        assert at.tzinfo is UTC
        found.append(at.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes"))
    return found


@pytest.mark.parametrize(
    ("zone", "after", "cron", "expected"),
    [
        pytest.param(
            "Europe/Berlin", "2024-03-30T00:00", "0 30 2 * * ?",
            ["2024-03-30T02:30+01:00", "2024-04-01T02:30+02:00"], id="Berlin-left-out",
        ),
        pytest.param(
            "Europe/Berlin", "2024-03-31T00:00", "0 30 * * * ?",
            ["2024-03-31T00:30+01:00", "2024-03-31T01:30+01:00", "2024-03-31T03:30+02:00"], id="Berlin-hourly-spring",
        ),
        pytest.param(
            "Europe/Berlin", "2024-03-30T04:00", "0 0 3 * * ?",
            ["2024-03-31T03:00+02:00", "2024-04-01T03:00+02:00"], id="Berlin-right-behind-the-gap",
        ),
        pytest.param(
            "Europe/Berlin", "2024-10-26T04:00", "0 30 2 * * ?",
            ["2024-10-27T02:30+01:00", "2024-10-28T02:30+01:00"], id="Berlin-twice-is-once",
        ),
        pytest.param(
            "Europe/Berlin", "2024-10-27T01:00", "0 0/30 1-3 * * ?",
            ["2024-10-27T01:30+02:00", "2024-10-27T02:00+01:00", "2024-10-27T02:30+01:00", "2024-10-27T03:00+01:00"],
            id="Berlin-some-hours-autumn",
        ),
        pytest.param(
            "Europe/Berlin", "2024-10-27T01:30", "0 0/30 * * * ?",
            [
                "2024-10-27T02:00+02:00", "2024-10-27T02:30+02:00", "2024-10-27T02:00+01:00",
                "2024-10-27T02:30+01:00", "2024-10-27T03:00+01:00",
            ],
            id="Berlin-every-hour-goes-on",
        ),
        pytest.param(
            "America/New_York", "2024-03-09T03:00", "0 15 2 * * ?",
            ["2024-03-11T02:15-04:00", "2024-03-12T02:15-04:00"], id="New-York-left-out",
        ),
        pytest.param(
            "America/New_York", "2024-11-02T02:00", "0 15 1 * * ?",
            ["2024-11-03T01:15-05:00", "2024-11-04T01:15-05:00"], id="New-York-twice-is-once",
        ),
        pytest.param(
            "America/New_York", "2024-11-02T12:00", "0 0 0 ? * SUN",
            ["2024-11-03T00:00-04:00", "2024-11-10T00:00-05:00"], id="New-York-midnight-before",
        ),
        pytest.param(
            "Australia/Lord_Howe", "2024-04-06T12:00", "0 45 1 * * ?",
            ["2024-04-07T01:45+10:30", "2024-04-08T01:45+10:30"], id="half-an-hour",
        ),
        pytest.param(
            "America/Sao_Paulo", "2018-11-03T12:00", "0 0 0 * * ?",
            ["2018-11-05T00:00-02:00", "2018-11-06T00:00-02:00"], id="a-day-without-midnight",
        ),
        pytest.param(
            "America/Sao_Paulo", "2018-02-17T12:00", "0 30 23 * * ?",
            ["2018-02-17T23:30-03:00", "2018-02-18T23:30-03:00"], id="a-midnight-that-goes-back",
        ),
        pytest.param(
            "Pacific/Apia", "2011-12-29T12:00", "0 0 12 * * ?",
            ["2011-12-31T12:00+14:00", "2012-01-01T12:00+14:00"], id="a-day-left-out",
        ),
    ],
)  # fmt: skip
def test_where_clocks_are_changed(zone: str, after: str, cron: str, expected: list[str]) -> None:
    assert local_fires(cron, zone, after=after, count=len(expected)) == expected


def by_brute_force(cron: Cron, after: datetime, zone: ZoneInfo, *, until: datetime) -> datetime | None:
    """The definition, for crons of whole minutes: the first minute whose clock on the wall matches.

    Unless the cron runs through every hour, a time on the wall that comes again later does not count.
    """
    at = after.replace(second=0, microsecond=0) + MINUTE
    while at <= until:
        wall = at.astimezone(zone)
        repeated = wall.replace(fold=1).utcoffset() != wall.utcoffset() and wall.fold == 0
        if (
            wall.minute in cron.minutes
            and wall.hour in cron.hours
            and wall.month in cron.months
            and wall.year in cron.years
            and wall.day in cron.days.of(wall.year, wall.month)
            and (cron.every_hour or not repeated)
        ):
            return at
        at += MINUTE
    return None


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.tuples(number, number).map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.tuples(number, st.integers(1, high)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        st.lists(number, min_size=1, max_size=3).map(lambda values: ",".join(map(str, values))),
    )


DAYS = st.sampled_from(["* * ?", "? * SUN", "? * 1L", "27-31 * ?", "L * ?", "LW * ?", "? * 1#1,1#2", "L-3W * ?"])
CHANGES = st.sampled_from(
    [
        ("Europe/Berlin", datetime(2024, 3, 31, 1, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2024, 10, 27, 1, tzinfo=UTC)),
        ("America/New_York", datetime(2024, 3, 10, 7, tzinfo=UTC)),
        ("America/New_York", datetime(2024, 11, 3, 6, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2024, 4, 6, 15, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2024, 10, 5, 15, 30, tzinfo=UTC)),
        ("America/Sao_Paulo", datetime(2018, 2, 18, 2, tzinfo=UTC)),
        ("America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),
        ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
        ("Africa/Casablanca", datetime(2024, 3, 10, 2, tzinfo=UTC)),
        ("UTC", datetime(2024, 2, 29, tzinfo=UTC)),
    ]
)


@settings(max_examples=150, deadline=None)
@given(minutes=field(0, 59), hours=field(0, 23), days=DAYS, change=CHANGES, minutes_before=st.integers(0, 1500))
@pytest.mark.slow
def test_agrees_with_the_definition(
    minutes: str, hours: str, days: str, change: tuple[str, datetime], minutes_before: int
) -> None:
    of_month, month, of_week = days.split()
    cron = parse_cron(f"0 {minutes} {hours} {of_month} {month} {of_week}")
    zone, at = ZoneInfo(change[0]), change[1] - minutes_before * MINUTE
    until = change[1] + timedelta(days=1, hours=6)
    for _ in range(8):
        expected = by_brute_force(cron, at, zone, until=until)
        found = next_fire(cron, at, zone)
        if expected is None:
            assert found is None or found > until
            return
        assert found == expected
        at = found


@settings(max_examples=100, deadline=None)
@given(
    second=field(0, 59), minute=field(0, 59), hour=field(0, 23), zone=st.sampled_from(["Europe/Berlin", "UTC"]),
    at=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
)  # fmt: skip
def test_fires_go_forward_and_stand_in_the_cron(second: str, minute: str, hour: str, zone: str, at: datetime) -> None:
    cron = parse_cron(f"{second} {minute} {hour} * * ?")
    for _ in range(5):
        found = next_fire(cron, at, ZoneInfo(zone))
        assert found is not None
        assert found > at
        wall = found.astimezone(ZoneInfo(zone))
        assert (wall.second in cron.seconds, wall.minute in cron.minutes, wall.hour in cron.hours) == (True,) * 3
        assert found.microsecond == 0
        earlier = at + (found - at) / 2
        assert next_fire(cron, earlier, ZoneInfo(zone)) == found, "there is none in between"
        at = found


@settings(max_examples=300)
@given(text=st.text(alphabet="0123456789*?/-,LW# JANSUMOFRI²\t", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        cron = parse_cron(text)
    except RunbusError:
        return
    assert cron.seconds
    next_fire(cron, datetime(2024, 1, 1, tzinfo=UTC), UTC)
