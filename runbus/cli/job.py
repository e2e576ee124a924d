"""``runbus job``: store, show, run, remove and check jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from runbus.cli import exits
from runbus.cli.context import Options, SharedCommand
from runbus.cli.follow import start
from runbus.cli.jobcheck import print_warnings
from runbus.cli.optionvalues import Values, option_values, require_fit, say_how, values_in_clear
from runbus.cli.render import Column, print_facts, print_json, print_table, sentence
from runbus.cli.run import RunForm
from runbus.cli.session import Session, connected
from runbus.cli.steps import step_facts
from runbus.cli.values import limit_options, node_options, target_options
from schemas import catalog
from schemas.api import Done, JobList, JobListRequest, JobRemoveRequest, JobShowRequest
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import JobDefinition, RunnerSelector, SelectorMode
from schemas.options import Option


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
    yield "options", "\n".join(_option(each) for each in found.options)
    if found.nodes is not None:
        yield (
            "nodes",
            sentence(found.nodes.filter, found.nodes.filter_exclude and f"not {found.nodes.filter_exclude}"),
        )
        yield "threads", found.nodes.threadcount if found.nodes.threadcount != "1" else ""
        yield "keepgoing", "with other nodes after one that failed" if found.nodes.keepgoing else ""
    going = ", goes on after a failed step" if found.flow.keepgoing else ""
    yield "strategy", f"{found.flow.strategy}{going}"
    yield (
        "retry",
        sentence(found.retry.count, found.retry.delay and f"after {found.retry.delay}") if found.retry else "",
    )
    yield "log limit", sentence(found.log_limit.limit, found.log_limit.action) if found.log_limit else ""
    off = "" if found.schedule_enabled and found.execution_enabled else " (switched off)"
    yield "schedule", f"{found.schedule.crontab} {found.schedule.time_zone}".strip() + off if found.schedule else ""
    yield "disabled", "" if found.execution_enabled else "its executions are switched off"
    yield "notifies", "\n".join(f"{each.trigger}: {each.type}" for each in found.notifications)


def _option(option: Option) -> str:
    marks = [
        "required" if option.required else "",
        "secure" if option.secure else "",
        "several values" if option.multivalued else "",
        f"one of {', '.join(option.values)}" if option.enforced and option.values else "",
        option.regex or "",
    ]
    value = f"={option.value}" if option.value and not option.secure else ""
    return sentence(f"{option.name}{value}", *marks)


@click.command(cls=SharedCommand, epilog=exits.HELP)
@click.argument("name", metavar="JOB")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- -NAME VALUE...]")
@click.option(
    "-o",
    "--option",
    "options_given",
    multiple=True,
    metavar="NAME=VALUE",
    help="The value of an option; repeated for one name, several values.",
)
@click.option(
    "--secure-option",
    multiple=True,
    metavar="NAME",
    help="Ask for its value, or read a line of stdin; NAME=@FILE reads a file.",
)
@target_options
@node_options
@limit_options
@click.pass_context
def run(
    ctx: click.Context,
    /,
    name: str,
    words: tuple[str, ...],
    options_given: tuple[str, ...],
    secure_option: tuple[str, ...],
    **given: Any,
) -> None:
    """Run a job and follow it. Another target, or other nodes, are taken where the job allows that.

    \b
      runbus job run shop/deploy -o version=1.7 --secure-option password
      runbus job run shop/deploy -- -version 1.7
    """  # noqa: D301  (click reads the backspace as "do not fold this paragraph")
    form = msgspec.convert(given, RunForm)
    in_clear = values_in_clear(options_given, words)
    values = option_values(options_given, secure_option, words)
    request = form.request(job=name, options=values)

    async def work(session: Session) -> int:
        if values:
            await _look_at(session, name, values, in_clear)
        try:
            return await start(session, request, detach=form.detach)
        except RunbusError as error:
            raise say_how(error, values) from None

    options = ctx.find_object(Options) or Options()
    ctx.exit(connected(options, work))


async def _look_at(session: Session, name: str, values: Values, in_clear: Values) -> None:
    """Refuse secure values in arguments before anything is sent; where the job cannot be had, warn of them."""
    try:
        job = await session.call(catalog.JOB_SHOW, JobShowRequest(project=session.project, job=name))
    except RunbusError as error:
        if error.code in (ErrorCode.UNKNOWN_JOB, ErrorCode.UNKNOWN_PROJECT):
            raise
        if in_clear:
            names = ", ".join(map(repr, in_clear))
            print_warnings(
                [f"whether {names} of this job is secure could not be looked up: a secure value has no place in an "
                 "argument, use --secure-option NAME"]
            )  # fmt: skip
        return
    require_fit(job, values, in_clear)


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
