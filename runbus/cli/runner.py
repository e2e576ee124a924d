"""``runbus runner``: list, show, ping, tag, create, remove and drain runners."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from domain.fleet import TAKES_WORK
from runbus.cli.context import Options, SharedCommand
from runbus.cli.failure import paint
from runbus.cli.render import Column, Run, Runs, ago, duration, moment, print_facts, print_json, print_table
from runbus.cli.session import Session, connected
from runbus.cli.values import chosen_tags, names_of, tags_of
from schemas import catalog
from schemas.api import (
    Done,
    DrainRequest,
    PingRequest,
    Pong,
    RunnerCreateRequest,
    RunnerList,
    RunnerListRequest,
    RunnerRemoveRequest,
    RunnerReply,
    RunnerShowRequest,
    RunnerTagsRequest,
)
from schemas.catalog import Endpoint
from schemas.errors import ErrorCode, RunbusError
from schemas.keys import KeyStorageInfo
from schemas.runners import PluginInfo, RunnerView
from schemas.states import RunnerStatus
from schemas.tokens import runner_id

_PROJECTS = click.option("--project", "projects", multiple=True, metavar="P",
                         help="Its project; may be repeated, or several with commas.")  # fmt: skip


class PingResult(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.cli.ping.v1"):
    """A runner's answer and how long it took."""

    round_trip_ms: float
    pong: Pong


@click.command("list", cls=SharedCommand)
@click.option("--project", "in_project", metavar="P", help="Those of this project.")
@click.option("--tags", metavar="A+B", help="Those that bear all these tags.")
@click.option("--status", type=click.Choice([str(each) for each in RunnerStatus], case_sensitive=False),
              metavar="STATUS", help=f"Those of this status: {', '.join(RunnerStatus)}.")  # fmt: skip
@click.pass_obj
def list_(options: Options, in_project: str | None, tags: str | None, status: str | None) -> None:
    """List runners, of all projects unless one is named."""
    wanted = [] if tags is None else chosen_tags([tags])

    async def work(session: Session) -> RunnerList:
        request = RunnerListRequest(
            project=in_project or options.project or "",
            tags=wanted,
            status=RunnerStatus(status) if status else None,
        )
        return await session.call(catalog.RUNNER_LIST, request)

    found = connected(options, work)
    if options.as_json:
        print_json(found)
    elif found.runners:
        columns = [Column("RUNNER", folds=True), Column("STATUS"), Column("TAGS", folds=True),
                   Column("PROJECTS", folds=True), Column("RUNNING"), Column("LAST SEEN")]  # fmt: skip
        print_table(columns, [_row(view) for view in found.runners])
    else:
        click.echo("No runners." if any((in_project, options.project, tags, status)) else
                   "No runners. 'runbus runner start --id ID' starts one.", err=True)  # fmt: skip


def _row(view: RunnerView) -> list[str]:
    return [view.id, view.status, _tags_text(view), ", ".join(view.projects),
            f"{view.running}/{view.max_running}", ago(view.last_seen_at)]  # fmt: skip


def _tags_text(view: RunnerView) -> str:
    return ", ".join([*(["(local)"] if view.local else []), *view.tags])


@click.command(cls=SharedCommand)
@click.argument("name", metavar="ID")
@click.pass_obj
def show(options: Options, name: str) -> None:
    """Show one runner with its plugins."""
    reply = connected(options, lambda session: _reply(session, name))
    if options.as_json:
        print_json(reply)
        return
    print_facts(_facts(reply.runner))
    click.echo(nl=bool(reply.runner.plugins))
    plugins = sorted(reply.runner.plugins, key=lambda each: (each.kind, each.name))
    print_facts([(plugin.kind, _plugin_text(plugin)) for plugin in plugins])


async def _reply(session: Session, name: str) -> RunnerReply:
    return await session.call(catalog.RUNNER_SHOW, RunnerShowRequest(runner=name))


def _plugin_text(plugin: PluginInfo) -> Runs:
    problem = [Run("cannot be used:", "red"), Run(plugin.problem)] if plugin.problem else []
    return Runs([Run(f"{plugin.name} {plugin.version}"), *problem])


def _facts(view: RunnerView) -> Iterator[tuple[str, str | Runs]]:
    yield "runner", view.id
    yield "status", view.status
    yield "description", view.description
    yield "tags", Runs([Run(", ".join(view.tags) or "none")])
    yield "local", "yes: it is the Local Runner" if view.local else ""
    yield "projects", Runs([Run(", ".join(view.projects))])
    for project, node_filter in sorted(view.node_filters.items()):
        yield "nodes", f"{node_filter} (project {project})"
    yield "running", f"{view.running} of {view.max_running}" if view.version else ""
    yield "last seen", f"{ago(view.last_seen_at)} ({moment(view.last_seen_at)})" if view.last_seen_at else "never"
    yield "up for", duration(view.uptime_s) if view.status in TAKES_WORK else ""
    for storage in view.key_storage:
        yield "keys", _storage_text(storage)
    yield "created", moment(view.created_at)
    yield "version", view.version
    yield "instance", view.instance


def _storage_text(storage: KeyStorageInfo) -> Runs:
    which = f"{storage.type} at runner/{storage.path}," if storage.path else f"{storage.type},"
    if not storage.problem:
        remark = [Run("remark:", "yellow"), Run(storage.remark)] if storage.remark else []
        return Runs([Run(f"{which} answers{';' if remark else ''}"), *remark])
    return Runs([Run(which), Run("does not answer:", "red"), Run(storage.problem)])


@click.command(cls=SharedCommand)
@click.argument("name", metavar="ID")
@click.pass_obj
def ping(options: Options, name: str) -> None:
    """Ask a runner whether it answers, and how fast."""

    async def work(session: Session) -> PingResult:
        await session.client.bus.flush()
        started_s = time.perf_counter()
        pong = await _control(session, name, catalog.PING, PingRequest())
        return PingResult(round_trip_ms=round((time.perf_counter() - started_s) * 1000, 3), pong=pong)

    result = connected(options, work)
    if options.as_json:
        print_json(result)
        return
    pong = result.pong
    click.echo(
        f"{pong.runner} answers in {paint(f'{result.round_trip_ms:.1f} ms', 'green')}: running {pong.running} of "
        f"{pong.max_running}, up for {duration(pong.uptime_s)}, Runbus {pong.version}"
    )


async def _control(session: Session, name: str, endpoint: Endpoint[Any, Any], request: msgspec.Struct) -> Any:
    """Ask a runner itself; where it does not answer, say what the registry knows of it."""
    try:
        return await session.call(endpoint, request, runner=runner_id(name))
    except RunbusError as error:
        if error.code is not ErrorCode.UNAVAILABLE:
            raise
        raise _silent((await _reply(session, name)).runner, error) from error


def _silent(view: RunnerView, error: RunbusError) -> RunbusError:
    if view.last_seen_at is None:
        seen = "it has never checked in"
    else:
        seen = f"last seen {ago(view.last_seen_at)} ({moment(view.last_seen_at)})"
    why = "is not connected" if error.details.get("reason") == "nobody listens" else "does not answer"
    return RunbusError(
        ErrorCode.RUNNER_NOT_CONNECTED,
        f"runner {view.id} {why}: it is {view.status}, {seen}.",
        details={"runner": view.id, "status": view.status, "last_seen_at": view.last_seen_at},
    )


@click.command(cls=SharedCommand)
@click.argument("name", metavar="ID")
@click.option("--set", "new", metavar="A,B", help="These tags instead of those it has ('': none).")
@click.option("--add", multiple=True, metavar="X", help="Add a tag.")
@click.option("--remove", "gone", multiple=True, metavar="Y", help="Take a tag away.")
@click.pass_obj
def tags(options: Options, name: str, *, new: str | None, add: tuple[str, ...], gone: tuple[str, ...]) -> None:
    """Show the tags of a runner, or change them. What is set here outlives its restart with other tags."""
    if new is not None and (add or gone):
        raise click.UsageError("--set replaces all tags: leave --add and --remove out.")
    asks = new is None and not add and not gone

    async def work(session: Session) -> RunnerReply:
        if asks:
            return await _reply(session, name)
        request = RunnerTagsRequest(
            runner=name,
            set=None if new is None else tags_of(new),
            add=[tag for text in add for tag in tags_of(text)],
            remove=[tag for text in gone for tag in tags_of(text)],
        )
        return await session.call(catalog.RUNNER_TAGS, request, timeout_s=15.0)

    reply = connected(options, work)
    if options.as_json:
        print_json(reply)
    elif asks:
        click.echo("\n".join(reply.runner.tags) or "no tags", err=not reply.runner.tags)
    else:
        when = "it takes their work already" if reply.rebound else f"it is {reply.runner.status}: once it connects"
        if not reply.runner.tags and not reply.runner.local:
            when = "no run can select it"
        click.echo(f"{name}: {', '.join(reply.runner.tags) or 'no tags'} ({when})")


@click.command(cls=SharedCommand)
@click.argument("name", metavar="ID")
@click.option("--tags", default="", metavar="A,B", help="Its tags; without, those it is started with.")
@_PROJECTS
@click.option("--description", default="", help="What it is.")
@click.pass_obj
def create(options: Options, name: str, tags: str, projects: tuple[str, ...], description: str) -> None:
    """Make a runner known before it first starts (status New)."""

    async def work(session: Session) -> RunnerReply:
        request = RunnerCreateRequest(
            runner=name, tags=tags_of(tags), projects=names_of(projects) or [session.project], description=description
        )
        return await session.call(catalog.RUNNER_CREATE, request)

    reply = connected(options, work)
    if options.as_json:
        print_json(reply)
    else:
        click.echo(f"Created {name}. Start it where it is to work: {options.hint(f'runner start --id {name}')}")


@click.command(cls=SharedCommand)
@click.argument("name", metavar="ID")
@click.pass_obj
def remove(options: Options, name: str) -> None:
    """Forget a runner that is not connected."""

    async def work(session: Session) -> Done:
        return await session.call(catalog.RUNNER_REMOVE, RunnerRemoveRequest(runner=name))

    done = connected(options, work)
    if options.as_json:
        print_json(done)
    else:
        click.echo(f"Removed {name}.")


@click.command(cls=SharedCommand)
@click.argument("name", metavar="ID")
@click.option("--reason", default="", help="Why; it stands in the runner's log.")
@click.pass_obj
def drain(options: Options, name: str, reason: str) -> None:
    """Let a runner take no new work, finish what runs, and leave."""

    async def work(session: Session) -> tuple[Pong, Done]:
        pong = await _control(session, name, catalog.PING, PingRequest())
        return pong, await _control(session, name, catalog.DRAIN, DrainRequest(reason=reason))

    pong, done = connected(options, work)
    if options.as_json:
        print_json(done)
    else:
        rest = f", finishes the {pong.running} it runs," if pong.running else ""
        click.echo(f"{name} takes no new work{rest} and leaves.")
