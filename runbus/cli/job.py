"""``runbus job``: store, show, run, remove and check jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from runbus.cli import exits
from runbus.cli.context import Options, SharedCommand
from runbus.cli.follow import start
from runbus.cli.render import Column, duration, print_facts, print_json, print_table
from runbus.cli.run import RunForm
from runbus.cli.session import Session, connected
from runbus.cli.steps import step_facts
from runbus.cli.values import limit_options, target_options
from schemas import catalog
from schemas.api import Done, JobList, JobListRequest, JobRemoveRequest, JobShowRequest
from schemas.jobs import JobDefinition, RunnerSelector, SelectorMode


@click.command("list", cls=SharedCommand)
@click.pass_obj
def list_(options: Options) -> None:
    """List the jobs of the project, by group and name."""

    async def work(session: Session) -> JobList:
        return await session.call(catalog.JOB_LIST, JobListRequest(project=session.project), timeout_s=10.0)

    found = connected(options, work)
    if options.as_json:
        print_json(found)
    elif found.jobs:
        columns = [Column("JOB", folds=True), Column("RUNS ON", folds=True), Column("STEPS"), Column("UUID")]
        print_table(columns, [[each.ref.path, target(each.runner), str(len(each.steps)), each.uuid]
                              for each in found.jobs])  # fmt: skip
    else:
        click.echo("No jobs. 'runbus job put FILE' stores some.", err=True)


def target(selector: RunnerSelector | None) -> str:
    """Where a job runs, as its file says it."""
    return "local" if selector is None or selector.mode is SelectorMode.LOCAL else selector.filter


@click.command(cls=SharedCommand)
@click.argument("name", metavar="JOB")
@click.pass_obj
def show(options: Options, name: str) -> None:
    """Show one job with all its steps."""

    async def work(session: Session) -> JobDefinition:
        return await session.call(catalog.JOB_SHOW, JobShowRequest(project=session.project, job=name))

    found = connected(options, work)
    if options.as_json:
        print_json(found)
        return
    print_facts(_facts(found))
    for number, step in enumerate(found.steps, start=1):
        click.echo()
        print_facts(step_facts(number, step))


def _facts(found: JobDefinition) -> Iterator[tuple[str, str]]:
    yield "job", found.ref.path
    yield "uuid", found.uuid
    yield "project", found.project
    yield "description", found.description
    change = " (a run may choose another target)" if found.runner_editable else ""
    yield "runs on", target(found.runner) + change
    yield "timeout", found.timeout


@click.command(cls=SharedCommand, epilog=exits.HELP)
@click.argument("name", metavar="JOB")
@target_options
@limit_options
@click.pass_context
def run(ctx: click.Context, /, name: str, **given: Any) -> None:
    """Run a job and follow it. Another target is taken where the job allows that."""
    form = msgspec.convert(given, RunForm)
    request = form.request(job=name)
    options = ctx.find_object(Options) or Options()
    ctx.exit(connected(options, lambda session: start(session, request, detach=form.detach)))


@click.command(cls=SharedCommand)
@click.argument("name", metavar="JOB")
@click.pass_obj
def remove(options: Options, name: str) -> None:
    """Remove one job. Its executions stay."""

    async def work(session: Session) -> Done:
        return await session.call(catalog.JOB_REMOVE, JobRemoveRequest(project=session.project, job=name))

    done = connected(options, work)
    if options.as_json:
        print_json(done)
    else:
        click.echo(f"Removed {name}.")
