"""``runbus job schedule``: when a job will run by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Final

import click
import msgspec

from domain.schedule import next_fires, zone_of
from runbus.cli.context import Options, SharedCommand
from runbus.cli.render import Column, print_facts, print_json, print_table
from runbus.cli.session import Session, connected
from schemas import catalog
from schemas.api import JobShowRequest
from schemas.jobs import JobDefinition, Schedule
from services.dispatcher.schedule_zone import zone_in_force

_MOST: Final = 1000
_FORM: Final = "%Y-%m-%d %H:%M:%S"


class _Fires(msgspec.Struct, frozen=True, kw_only=True):
    """What the command prints as JSON."""

    job: str
    crontab: str
    time_zone: str
    assumed_zone: bool
    in_force: bool
    fires: list[datetime]
    local: list[datetime]


@click.command(cls=SharedCommand)
@click.argument("name", metavar="JOB")
@click.option("--count", type=click.IntRange(1, _MOST), default=5, metavar="N", help="Show so many fires.  [5]")
@click.option("--time-zone", default="", metavar="ZONE", help="Of the dispatchers, for a job that names none.  "
              "[env: RUNBUS_TIME_ZONE; default: this machine's]", envvar="RUNBUS_TIME_ZONE")  # fmt: skip
@click.pass_obj
def schedule(options: Options, name: str, count: int, time_zone: str) -> None:
    """Show when a job runs next by itself, in its time zone and in UTC."""

    async def work(session: Session) -> JobDefinition:
        return await session.call(catalog.JOB_SHOW, JobShowRequest(project=session.project, job=name))

    job = connected(options, work)
    if job.schedule is None:
        if options.as_json:
            print_json(None)
        else:
            click.echo(f"{job.ref.path} has no schedule: it runs when it is asked to.", err=True)
        return
    found = _fires(job, job.schedule, count=count, default_zone=zone_in_force(time_zone))
    if options.as_json:
        print_json(found)
        return
    print_facts(_facts(job, found))
    click.echo()
    if found.fires:
        columns = [Column(f"NEXT ({found.time_zone})"), Column("UTC")]
        print_table(columns, [[f"{local:{_FORM}} {local:%Z}", f"{at:{_FORM}}"]
                              for local, at in zip(found.local, found.fires, strict=True)])  # fmt: skip
    else:
        click.echo("It never fires again.", err=True)


def _fires(job: JobDefinition, when: Schedule, *, count: int, default_zone: str) -> _Fires:
    name = when.time_zone or default_zone
    zone: tzinfo = zone_of(name)
    fires = next_fires(when, datetime.now(UTC), count, default_zone=default_zone)
    return _Fires(
        job=job.ref.path,
        crontab=when.crontab,
        time_zone=name,
        assumed_zone=not when.time_zone,
        in_force=job.schedule_enabled and job.execution_enabled,
        fires=fires,
        local=[at.astimezone(zone) for at in fires],
    )


def _facts(job: JobDefinition, found: _Fires) -> Iterator[tuple[str, str]]:
    yield "job", found.job
    yield "crontab", found.crontab
    yield "time zone", f"{found.time_zone} (the job names none)" if found.assumed_zone else found.time_zone
    if not job.execution_enabled:
        yield "in force", "no: executions of the job are switched off"
    elif not job.schedule_enabled:
        yield "in force", "no: the schedule is switched off"
