"""Plans: which schedule is in force, the ids of its runs, and what becomes of fires that are taken up late."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.schedule import Plan, check_schedule, fire_id, next_fires, plan_of, zone_of
from domain.schedule.plan import MOST_COUNTED, MOST_MISSED, due_from
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import JobDefinition, Schedule, Step
from schemas.tokens import identifier

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
GRACE = timedelta(seconds=60)


def job(crontab: str = "0 * * * * ?", zone: str = "", **fields: Any) -> JobDefinition:
    schedule = Schedule(crontab=crontab, time_zone=zone)
    own = {"uuid": "7c1f", "name": "n", "project": "p", "steps": [Step(plugin="command")], "schedule": schedule}
    return JobDefinition(**{**own, **fields})


def plan(crontab: str = "0 * * * * ?", zone: str = "", default_zone: str = "UTC") -> Plan:
    found = plan_of(job(crontab, zone), default_zone)
    assert found is not None
    return found


@pytest.mark.parametrize("off", [{"schedule": None}, {"schedule_enabled": False}, {"execution_enabled": False}])
def test_no_plan_where_a_switch_is_off(off: dict[str, Any]) -> None:
    assert plan_of(job(**off)) is None


def test_no_plan_without_a_job() -> None:
    assert plan_of(None) is None


def test_one_digest_for_one_schedule() -> None:
    same = {
        plan("0 0 9 ? * mon-fri").digest,
        plan("0  0 9\t? * MON-FRI").digest,
        plan("0 0 9 ? * MON-FRI", "UTC").digest,
    }
    assert len(same) == 1
    others = [plan("0 0 9 ? * MON-SAT"), plan("0 0 9 ? * MON-FRI", "Asia/Tokyo"), plan(default_zone="Europe/Berlin")]
    assert len({each.digest for each in others} | same) == 4


def test_the_zone_is_the_jobs_own_or_the_default() -> None:
    assert plan("0 0 9 * * ?", "Asia/Tokyo", "Europe/Berlin").after(NOON) == datetime(2024, 5, 2, 0, tzinfo=UTC)
    assert plan("0 0 9 * * ?", "", "Europe/Berlin").after(NOON) == datetime(2024, 5, 2, 7, tzinfo=UTC)


def test_the_id_of_a_fire_is_the_same_everywhere() -> None:
    uuid = "f0a175e6-75ef-41e3-a11c-18e8dca833a9"
    found = fire_id(uuid, NOON)
    assert found == fire_id(uuid, NOON.astimezone(timezone(timedelta(hours=9))))
    assert found.startswith("s-")
    assert found.endswith("-20240501T120000Z")
    assert identifier("execution id", found) == found
    assert len({found, fire_id(uuid, NOON + timedelta(seconds=1)), fire_id(uuid[:-1], NOON)}) == 3


def test_jobs_whose_uuids_begin_alike_have_ids_of_their_own() -> None:
    assert fire_id("nightly-backup-of-a", NOON) != fire_id("nightly-backup-of-b", NOON)
    assert identifier("execution id", fire_id("x" * 64, NOON))


def test_a_fire_in_time_is_run() -> None:
    due = due_from(plan(), NOON, now=NOON + timedelta(milliseconds=2), grace=GRACE)
    assert (due.run, due.missed, due.more_missed, due.last) == ([NOON], [], 0, NOON)


def test_a_fire_that_comes_before_its_time_by_our_clock_is_run() -> None:
    due = due_from(plan(), NOON, now=NOON - timedelta(seconds=3), grace=GRACE)
    assert (due.run, due.last) == ([NOON], NOON)


def test_late_within_the_grace_is_run_later_than_that_is_missed() -> None:
    minute = timedelta(minutes=1)
    due = due_from(plan(), NOON, now=NOON + 3.5 * minute, grace=GRACE)
    assert due.missed == [NOON, NOON + minute, NOON + 2 * minute]
    assert due.run == [NOON + 3 * minute]
    assert due.last == NOON + 3 * minute
    assert due_from(plan(), NOON, now=NOON + GRACE, grace=GRACE).run == [NOON, NOON + minute]


def test_many_that_were_missed_are_counted_in_one_record() -> None:
    hour = timedelta(hours=1)
    due = due_from(plan("0 0 * * * ?"), NOON, now=NOON + 100 * hour + GRACE / 2, grace=GRACE)
    assert due.missed == [NOON + number * hour for number in range(MOST_MISSED)]
    assert due.first_of_more == NOON + MOST_MISSED * hour
    assert due.more_missed == 100 - MOST_MISSED
    assert due.run == [NOON + 100 * hour]


def test_counting_ends_somewhere_and_the_fires_in_time_are_still_run() -> None:
    due = due_from(plan("* * * * * ?"), NOON, now=NOON + timedelta(days=30), grace=timedelta(seconds=5))
    assert due.more_missed == MOST_COUNTED
    assert due.run == [NOON + timedelta(days=30) - timedelta(seconds=late) for late in range(5, -1, -1)]


def test_a_schedule_that_has_ended_meanwhile() -> None:
    due = due_from(plan("0 0 12 1 5 ? 2024"), NOON, now=NOON + timedelta(days=900), grace=GRACE)
    assert (due.missed, due.run, due.last) == ([NOON], [], NOON)


@settings(max_examples=100, deadline=None)
@given(
    crontab=st.sampled_from(["* * * * * ?", "*/7 * * * * ?", "0 */5 * * * ?", "0 0 */3 * * ?", "0 0 12 * * ?"]),
    late_s=st.floats(0, 100_000),
    grace_s=st.floats(0, 600),
    seed=st.integers(0, 2**32),
)
def test_every_fire_until_now_is_dealt_with_once(crontab: str, late_s: float, grace_s: float, seed: int) -> None:
    the_plan = plan(crontab, "Europe/Berlin")
    fire = the_plan.after(NOON + timedelta(days=random.Random(seed).uniform(0, 400)))
    assert fire is not None
    now = fire + timedelta(seconds=late_s)
    due = due_from(the_plan, fire, now=now, grace=timedelta(seconds=grace_s))
    assert all(now - at > timedelta(seconds=grace_s) for at in due.missed)
    assert all(now - at <= timedelta(seconds=grace_s) for at in due.run)
    after = the_plan.after(due.last)
    assert after is not None
    assert due.last <= now < after
    if due.more_missed < MOST_COUNTED:
        count, at = 0, fire
        while at <= now:
            count += 1
            following = the_plan.after(at)
            assert following is not None
            at = following
        assert len(due.missed) + due.more_missed + len(due.run) == count


def test_next_fires() -> None:
    schedule = Schedule(crontab="0 30 6 1 * ? 2024", time_zone="America/New_York")
    found = next_fires(schedule, datetime(2024, 10, 15, tzinfo=UTC), 5)
    assert found == [datetime(2024, 11, 1, 10, 30, tzinfo=UTC), datetime(2024, 12, 1, 11, 30, tzinfo=UTC)]
    assert next_fires(schedule, datetime(2024, 1, 2, tzinfo=UTC), 2)[0] == datetime(2024, 2, 1, 11, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (Schedule(crontab="0 0 25 * * ?"), "hours"),
        (Schedule(crontab="0 0 2 * * ?", time_zone="Europe/Berlim"), "Europe/Berlin"),
        (Schedule(crontab="0 0 2 30 2 ?"), "never fires again"),
        (Schedule(crontab="0 0 2 * * ? 2023"), "never fires again"),
    ],
)
def test_a_schedule_is_refused_with_a_reason(schedule: Schedule, said: str) -> None:
    with pytest.raises(RunbusError, match=said) as caught:
        check_schedule(schedule, after=NOON)
    assert caught.value.code is ErrorCode.INVALID_JOB


def test_a_schedule_that_is_switched_off_need_not_fire_again() -> None:
    check_schedule(Schedule(crontab="0 0 2 * * ? 2023"))
    check_schedule(Schedule(crontab="0 0 2 * * ? 2024"), after=NOON)


@pytest.mark.parametrize(
    ("name", "near"),
    [("berlin", "Europe/Berlin"), ("Amercia/New_York", "America/New_York"), ("New York", "America/New_York")],
)
def test_an_unknown_zone_is_refused_with_the_nearest_names(name: str, near: str) -> None:
    with pytest.raises(RunbusError, match=f"did you mean .*{near}") as caught:
        zone_of(name)
    assert caught.value.code is ErrorCode.INVALID_JOB


@pytest.mark.parametrize("name", ["", "../etc/passwd", "/etc/localtime", "a\0b", "x" * 500, "Europe", "GMT+25:00"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(RunbusError):
        zone_of(name)


def test_the_short_names_of_java_are_known() -> None:
    assert zone_of("PST") == ZoneInfo("America/Los_Angeles")
    assert zone_of("EST").utcoffset(NOON) == timedelta(hours=-5)
