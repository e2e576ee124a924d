"""``runbus execution``: find, show, follow and abort executions."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import click

from runbus.cli import exits
from runbus.cli.context import Options, SharedCommand
from runbus.cli.failure import clean, paint, reference
from runbus.cli.follow import Following, execution_id
from runbus.cli.nodefacts import outcome_lines, run_facts, step_state
from runbus.cli.render import (
    UNLIMITED,
    Column,
    duration,
    moment,
    print_facts,
    print_json,
    print_table,
    screen_width,
    sentence,
    short_moment,
)
from runbus.cli.session import Session, connected
from runbus.cli.show import JsonView, OnlyNodes, Output, TextView, View, end_text, has_run, set_text
from runbus.cli.steps import step_facts
from runbus.cli.values import MOMENT
from schemas import catalog
from schemas.api import AbortRequest, ExecutionListRequest, ExecutionPage, ExecutionView, ResultRequest
from schemas.states import FINAL, ExecutionState

_ABORT_WITHIN_S = 15.0
_TITLE_CHARS = 40
"""Of a title on a terminal, where a long one would fold into many lines; ``show`` has all of it."""


@click.command("list", cls=SharedCommand)
@click.option("--job", default="", metavar="JOB", help="Of this job: its uuid or group/name.")
@click.option("--state", "states", multiple=True, type=click.Choice([str(each) for each in ExecutionState]),
              metavar="STATE", help=f"In this state; may be repeated: {', '.join(ExecutionState)}.")  # fmt: skip
@click.option("--runner", default="", metavar="ID", help="Carried out by this runner.")
@click.option("--since", type=MOMENT, help="Requested since: 2h, 7d, 2026-11-24, 2026-11-24T08:30.")
@click.option("--until", type=MOMENT, help="Requested before.")
@click.option("--text", default="", help="Words in title, commands, user or error.")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 500), metavar="N", help="At most so many."
)
@click.option("--cursor", default="", help="Go on behind the page that gave this cursor.")
@click.pass_obj
def list_(options: Options, /, *, states: tuple[str, ...], **given: Any) -> None:
    """Search the executions of the project, newest first; every filter must hold."""

    async def work(session: Session) -> ExecutionPage:
        request = ExecutionListRequest(
            project=session.project, states=[ExecutionState(state) for state in states], **given
        )
        return await session.call(catalog.EXECUTION_LIST, request, timeout_s=30.0)

    page = connected(options, work)
    if options.as_json:
        print_json(page)
    else:
        _print_page(page)


def _print_page(page: ExecutionPage) -> None:
    if page.executions:
        columns = [Column("ID"), Column("STATE"), Column("QUEUED"), Column("TOOK"), Column("RUNNER", folds=True),
                   Column("TITLE", folds=True)]  # fmt: skip
        print_table(columns, [_row(view) for view in page.executions])
    else:
        click.echo("No executions.", err=True)
    if page.next_cursor:
        click.echo(f"There are more: --cursor {page.next_cursor}", err=True)
    if page.events_behind:
        click.echo(f"The history is still being read in ({page.events_behind} events to go): some may be missing.",
                   err=True)  # fmt: skip


def _row(view: ExecutionView) -> list[str]:
    took = duration(view.duration_s) if view.state in FINAL and has_run(view) else ""
    title = view.title
    if len(title) > _TITLE_CHARS and screen_width() < UNLIMITED:
        title = title[: _TITLE_CHARS - 1] + "…"
    return [view.id, view.state, short_moment(view.queued_at), took, view.runner or f"({set_text(view)})", title]


@click.command(cls=SharedCommand)
@click.argument("execution_id_", metavar="ID")
@click.pass_obj
def show(options: Options, execution_id_: str) -> None:
    """Show one execution with all its steps; its runner stands at the top."""
    view = connected(options, lambda session: _view(session, execution_id_))
    if options.as_json:
        print_json(view)
        return
    print_facts(_facts(view))
    for number, step in enumerate(view.steps, start=1):
        outcomes = [each for each in view.outcomes if each.step == number]
        own = [each for each in outcomes if not each.context]
        click.echo()
        if len(outcomes) == 1 and own:
            print_facts(step_facts(number, step, own[0]))
        else:
            state = step_state(own) if own else "not run" if view.state in FINAL else ""
            print_facts([*step_facts(number, step, state=state), *outcome_lines(outcomes)])


async def _view(session: Session, name: str) -> ExecutionView:
    request = ResultRequest(project=session.project, execution=execution_id(name))
    return await session.call(catalog.EXECUTION_SHOW, request)


def _facts(view: ExecutionView) -> Iterator[tuple[str, str]]:
    attempt = f"attempt {view.attempt}" if view.attempt > 1 else ""
    yield "runner", sentence(f"{view.runner} ({set_text(view)})", attempt) if view.runner else ""
    yield "selected", "" if view.runner else set_text(view)
    yield "execution", view.id
    yield "state", end_text(view)
    if view.error:
        yield "error", f"{view.error.message}\n{reference(view.error)}"
    yield "title", view.title
    yield "job", f"{view.job.path} ({view.job.uuid})" if view.job else ""
    yield "project", view.project
    yield "user", view.user
    yield from run_facts(view)
    if view.abort_requested_by is not None:
        yield "abort asked", f"by {view.abort_requested_by}" if view.abort_requested_by else "yes"
    yield "queued", moment(view.queued_at)
    yield "started", moment(view.started_at)
    yield "finished", moment(view.finished_at)
    yield "timeout", duration(view.timeout_s)
    yield "deadline", moment(view.deadline_at)
    yield "instance", view.instance


@click.command(cls=SharedCommand)
@click.argument("execution_id_", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on until it has ended.")
@click.option("--offset", default=0, type=click.IntRange(0), metavar="N", help="Only what is behind this offset.")
@click.option("--timestamps", is_flag=True, help="Put the time before each line.")
@click.option("--node", "nodes", multiple=True, metavar="NAME", help="Only of this node; may be repeated.")
@click.pass_obj
def log(
    options: Options, execution_id_: str, *, follow: bool, offset: int, timestamps: bool, nodes: tuple[str, ...]
) -> None:
    """Print the output of an execution: stdout to stdout, the rest to stderr.

    Lines of an execution on several nodes bear the name of their node, and in a called job their step (2/1).
    With --json each line is one object with its offset. Ctrl-C says the offset to resume with.
    """

    async def work(session: Session) -> None:
        view = await _view(session, execution_id_)
        tags = False if len(set(nodes)) == 1 else None
        text = TextView(Output(), view, timestamps=timestamps, framed=follow, tags=tags)
        shown: View = JsonView(states=False) if options.as_json else text
        only = OnlyNodes(shown, nodes) if nodes else None
        following = Following(session, view, shown=only or shown, after_log_seq=offset, to_the_end=follow)
        handlers = {
            signal.SIGINT: lambda: following.leave(exits.ABORTED),
            signal.SIGTERM: following.terminate,
        }
        with following.interrupts(handlers):
            await following.run()
        for name in only.missing if only else ():
            shown.remark(f"The log has nothing of node {clean(name)}.")

    connected(options, work)


@click.command(cls=SharedCommand)
@click.argument("execution_id_", metavar="ID")
@click.option("--reason", default="", help="Why; it stands in the execution's error.")
@click.pass_obj
def abort(options: Options, execution_id_: str, reason: str) -> None:
    """End an execution, queued or running, and wait for its end (15 s at most)."""

    async def work(session: Session) -> ExecutionView:
        request = AbortRequest(
            execution=execution_id(execution_id_), project=session.project, user=session.user, reason=reason,
            wait_s=_ABORT_WITHIN_S,
        )  # fmt: skip
        return await session.call(catalog.ABORT, request, timeout_s=_ABORT_WITHIN_S + 10.0)

    view = connected(options, work)
    if options.as_json:
        print_json(view)
    elif view.state in FINAL:
        click.echo(f"{view.id}: {end_text(view)}")
    else:
        click.echo(
            f"{view.id}: {paint('abort requested', 'yellow')}; it has not ended within {_ABORT_WITHIN_S:g} s. "
            f"See {options.hint(f'execution show {view.id}')}"
        )
