"""``runbus job schedule``: the next fires, for people and as JSON."""

from __future__ import annotations

import msgspec
import pytest

from tests.integration.cli_system import Cli
from tests.support.schedules import scheduled_job, store
from tests.support.system import System

pytestmark = pytest.mark.slow


async def test_the_next_fires_in_the_jobs_zone_and_in_utc(system: System) -> None:
    cli = Cli.of(await system.up())
    job = await store(system, scheduled_job("0 30 6 1 1 ? *", time_zone="Asia/Tokyo", group="ops"))
    shown = await cli("job", "schedule", job.ref.path, "--count", "2")
    assert shown.code == 0, shown.err
    lines = shown.text.splitlines()
    assert lines[:3] == [
        f"job          {job.ref.path}",
        "crontab      0 30 6 1 1 ? *",
        "time zone    Asia/Tokyo",
    ]
    assert lines[4].split() == ["NEXT", "(Asia/Tokyo)", "UTC"]
    assert len(lines) == 7
    assert all("-01-01 06:30:00 JST" in line and line.endswith("-12-31 21:30:00") for line in lines[5:])
    found = (await cli("job", "schedule", job.uuid, "--json")).json
    assert (found["in_force"], found["assumed_zone"], len(found["fires"])) == (True, False, 5)
    assert found["fires"][0].endswith("-12-31T21:30:00Z")
    assert found["local"][0].endswith("-01-01T06:30:00+09:00")


async def test_a_job_without_a_zone_is_shown_in_the_one_given(system: System) -> None:
    cli = Cli.of(await system.up())
    job = await store(system, scheduled_job("0 0 12 * * ?", schedule_enabled=False))
    found = (await cli("job", "schedule", job.uuid, "--json", env={"RUNBUS_TIME_ZONE": "Asia/Kolkata"})).json
    assert (found["time_zone"], found["assumed_zone"], found["in_force"]) == ("Asia/Kolkata", True, False)
    assert all(each.endswith("T06:30:00Z") for each in found["fires"])
    shown = await cli("job", "schedule", job.uuid, "--time-zone", "UTC")
    assert "UTC (the job names none)" in shown.text
    assert "no: the schedule is switched off" in shown.text
    wrong = await cli("job", "schedule", job.uuid, "--time-zone", "Kolkata")
    assert wrong.code != 0
    assert "Asia/Kolkata" in wrong.err


@pytest.mark.parametrize("crontab", ["", "0 0 0 1 1 ? 2020"])
async def test_a_job_that_does_not_run_by_itself_says_so(system: System, crontab: str) -> None:
    cli = Cli.of(await system.up())
    job = scheduled_job(crontab)
    await store(system, job if crontab else msgspec.structs.replace(job, schedule=None))
    shown = await cli("job", "schedule", job.uuid)
    assert shown.code == 0
    assert ("never fires again" if crontab else "has no schedule") in shown.err
