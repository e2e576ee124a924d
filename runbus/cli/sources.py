"""``runbus nodes source …``: what a project's nodes are discovered by."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from runbus.cli import exits
from runbus.cli.context import Options, SharedCommand
from runbus.cli.render import print_json
from runbus.cli.session import Session, connected
from runbus.cli.sourceoptions import (
    change_options,
    changed,
    definition_options,
    new_source,
    sources_of_file,
    without,
)
from runbus.cli.sourcescalls import found, listed, refreshed, removed, stored, tested
from runbus.cli.sourcesview import print_none_to_ask, print_source, print_sources, print_tested
from schemas.api import Done
from schemas.sources import SourcePutRequest, SourceReply, SourceState, SourceTested, SourceView


@click.command(cls=SharedCommand)
@click.argument("name", required=False, metavar="[NAME]")
@definition_options
@click.option("--position", type=click.IntRange(1), metavar="N", help="Its place in the order.  [last]")
@click.option("--file", "file", metavar="FILE", help="Add, or change, all sources of this file instead.")
@click.option("--no-refresh", is_flag=True, help="Do not wait for its first nodes.")
@click.pass_obj
def add(
    options: Options, /, name: str | None, *, position: int | None, file: str | None, no_refresh: bool, **given: Any
) -> None:
    """Add a node source to the project, and ask it.

    \b
      runbus nodes source add web --type docker --tags DMZ
      runbus nodes source add --file sources.yaml
    """  # noqa: D301  (click reads the backspace as "do not fold this paragraph")
    if (name is None) == (file is None):
        raise click.UsageError("give the NAME of a source, or the --file of several.")
    if file is not None and any(map(_is_given, (position, *given.values()))):
        raise click.UsageError("the --file says all of its sources: leave out what else says what one is, and where.")
    sources, fresh = (sources_of_file(file), False) if file else ([new_source(name or "", given)], True)

    async def work(session: Session) -> tuple[list[SourceReply], list[SourceState]]:
        replies = []
        for each in sources:
            request = SourcePutRequest(source=each, project=session.project, position=position or 0, fresh=fresh)
            replies.append(await stored(session, request))
        asked = [] if no_refresh else [each for each in sources if each.enabled]
        return replies, await refreshed(session, asked)

    _finish(*connected(options, work), options)


@click.command("set", cls=SharedCommand)
@click.argument("name", metavar="NAME")
@change_options
@click.option("--unset", multiple=True, metavar="K", help="Remove a setting.")
@click.option("--position", type=click.IntRange(1), metavar="N", help="Its place in the order.")
@click.option("--enable/--disable", "enabled", default=None, help="Whether it is asked, and its nodes count.")
@click.pass_obj
def set_(
    options: Options,
    /,
    name: str,
    *,
    unset: tuple[str, ...],
    position: int | None,
    enabled: bool | None,
    **given: Any,
) -> None:
    """Change a node source: what is named is set, all else stays."""

    async def work(session: Session) -> tuple[list[SourceReply], list[SourceState]]:
        before = (await found(session, name)).definition
        is_on = before.enabled if enabled is None else enabled
        source = changed(msgspec.structs.replace(before, config=without(before, unset), enabled=is_on), given)
        request = SourcePutRequest(source=source, project=session.project, position=position or 0)
        return [await stored(session, request)], await refreshed(session, [source] if is_on else [])

    _finish(*connected(options, work), options)


@click.command("list", cls=SharedCommand)
@click.pass_obj
def list_(options: Options) -> None:
    """List the node sources of the project in order, and how they stand."""
    reply = connected(options, listed)
    if options.as_json:
        print_json(reply)
    else:
        print_sources(reply.sources)


@click.command(cls=SharedCommand)
@click.argument("name", metavar="NAME")
@click.pass_obj
def show(options: Options, name: str) -> None:
    """Show one with its settings, how it stands, and which runners could be asked."""

    async def work(session: Session) -> SourceView:
        return await found(session, name)

    view = connected(options, work)
    if options.as_json:
        print_json(view)
    else:
        print_source(view)


@click.command(cls=SharedCommand)
@click.argument("name", metavar="NAME")
@definition_options
@click.pass_obj
def test(options: Options, /, name: str, **given: Any) -> None:
    """Ask a source and store nothing: the one of this NAME, with what else is said here; with --type, a new one."""

    async def work(session: Session) -> SourceTested:
        is_new = bool(given["kind"])
        source = new_source(name, given) if is_new else changed((await found(session, name)).definition, given)
        return await tested(session, source)

    answer = connected(options, work)
    if options.as_json:
        print_json(answer)
    else:
        print_tested(answer)


@click.command(cls=SharedCommand)
@click.argument("name", metavar="NAME")
@click.pass_obj
def remove(options: Options, name: str) -> None:
    """Remove a node source, and its nodes."""

    async def work(session: Session) -> Done:
        return await removed(session, name)

    done = connected(options, work)
    if options.as_json:
        print_json(done)
    else:
        click.echo(f"Removed node source {name}, and its nodes.")


@click.command(cls=SharedCommand)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.pass_obj
def refresh(options: Options, names: tuple[str, ...]) -> None:
    """Ask sources now, all at once, and wait: these, or all of the project. The exit code is 1 where one failed."""

    async def work(session: Session) -> list[SourceState]:
        views = (await listed(session)).sources
        known = {view.definition.name: view.definition for view in views}
        for name in names:
            if name not in known:
                await found(session, name)
        wanted = dict.fromkeys(names) or [name for name, source in known.items() if source.enabled]
        if not (wanted or options.as_json):
            print_none_to_ask(views)
        return await refreshed(session, [known[name] for name in wanted])

    states = connected(options, work)
    if options.as_json:
        print_json(states)
    if any(state.error for state in states):
        raise click.exceptions.Exit(exits.PROBLEMS)


def _is_given(value: object) -> bool:
    """Whether an option was on the command line; an interval of 0 was."""
    return value not in (None, ()) and value is not False


def _finish(replies: list[SourceReply], states: list[SourceState], options: Options) -> None:
    if options.as_json:
        print_json({"stored": replies, "refreshed": states})
    if any(state.error for state in states):
        raise click.exceptions.Exit(exits.PROBLEMS)
