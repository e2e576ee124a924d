"""The plan of a job: its cron and zone in force, the ids of its runs, and what becomes of fires taken up late."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

import msgspec

from domain.schedule.cron import Cron, parse_cron
from domain.schedule.fields import cron_error
from domain.schedule.fires import next_fire
from domain.schedule.zones import DEFAULT_ZONE, zone_of
from schemas.jobs import JobDefinition, Schedule

MOST_MISSED: Final = 10
"""How many missed fires are recorded one by one before one record stands for the rest."""
MOST_COUNTED: Final = 1_000
"""Missed fires are counted up to this number."""
_JOB_CHARS: Final = 13


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule in force. Two of one ``digest`` have the same fires."""

    digest: str
    cron: Cron
    zone: tzinfo

    def after(self, instant: datetime) -> datetime | None:
        """The next fire."""
        return next_fire(self.cron, instant, self.zone)


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done about the fires from one on that was taken up."""

    missed: list[datetime]
    """Later than the grace: recorded one by one."""
    more_missed: int
    """How many more there were, beyond those; the record of the first of them stands for all."""
    first_of_more: datetime | None
    run: list[datetime]
    """In time, or within the grace."""
    last: datetime
    """Every fire up to here is dealt with: the schedule goes on behind it."""


def plan_of(job: JobDefinition | None, default_zone: str = DEFAULT_ZONE) -> Plan | None:
    """The plan of a job that runs by itself, or None: no schedule, or a switch is off. Raises ``invalid_job``."""
    if job is None or job.schedule is None or not (job.schedule_enabled and job.execution_enabled):
        return None
    name = job.schedule.time_zone or default_zone
    fields = " ".join(job.schedule.crontab.upper().split())
    digest = hashlib.sha256(f"{fields}\n{name}".encode()).hexdigest()[:16]
    return Plan(digest=digest, cron=parse_cron(fields), zone=zone_of(name))


def check_schedule(schedule: Schedule, *, after: datetime | None = None, default_zone: str = DEFAULT_ZONE) -> None:
    """Raise ``invalid_job`` for a crontab or a zone that cannot be read; with ``after``, for one without a fire then.

    The original refuses a job, too, whose schedule never fires again.
    """
    cron, zone = parse_cron(schedule.crontab), zone_of(schedule.time_zone or default_zone)
    if after is not None and next_fire(cron, after, zone) is None:
        raise cron_error(
            f"the crontab {schedule.crontab[:120]!r} never fires again: look at its year, and whether its months "
            "have such a day; or set scheduleEnabled to false",
            field="crontab",
        )


def next_fires(
    schedule: Schedule, after: datetime, count: int, *, default_zone: str = DEFAULT_ZONE
) -> list[datetime]:
    """The next fires, in UTC; fewer than ``count`` where it ends. Raises ``invalid_job``."""
    cron, zone = parse_cron(schedule.crontab), zone_of(schedule.time_zone or default_zone)
    found: list[datetime] = []
    at: datetime | None = after
    while at is not None and len(found) < count:
        at = next_fire(cron, at, zone)
        if at is not None:
            found.append(at)
    return found


def fire_id(uuid: str, at: datetime) -> str:
    """The id of the execution of a job's fire: the same wherever and however often it is made.

    A digest of the uuid and no part of it: a uuid may be any name, and two may begin alike.
    """
    job = hashlib.sha256(uuid.encode()).hexdigest()[:_JOB_CHARS]
    return f"s-{job}-{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def due_from(plan: Plan, fire: datetime, *, now: datetime, grace: timedelta) -> Due:
    """What becomes of a fire that was taken up ``now``, and of those that came after it until now.

    One later than the grace is missed, as the original's scheduler has it (its misfires are not run).
    """
    missed: list[datetime] = []
    first_of_more: datetime | None = None
    more = 0
    run: list[datetime] = []
    at: datetime | None = fire
    last = fire
    while at is not None and (at <= now or at == fire):
        if now - at <= grace:
            run.append(at)
        elif len(missed) < MOST_MISSED:
            missed.append(at)
        else:
            first_of_more = first_of_more or at
            more += 1
        last = at
        at = plan.after(at)
        if more >= MOST_COUNTED and at is not None and now - at > grace:
            last = now - grace - timedelta(microseconds=1)
            at = plan.after(last)
    return Due(missed=missed, more_missed=more, first_of_more=first_of_more, run=run, last=last)
