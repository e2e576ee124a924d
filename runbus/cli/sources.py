"""``runbus nodes source …``: what a project's nodes are discovered by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
import msgspec

from runbus.cli import exits
from runbus.cli.context import Options, SharedCommand
from runbus.cli.jobcheck import read_text
from runbus.cli.render import print_json
from runbus.cli.session import Session, connected
from runbus.cli.sourcesview import print_refreshed, print_source, print_sources, print_stored, print_tested
from runbus.cli.values import pairs_of, seconds_of, selector_of, tags_of
from schemas import catalog
from schemas.api import Done
from schemas.sources import (
    SourceDefinition,
    SourceList,
    SourceListRequest,
    SourcePutRequest,
    SourceRefreshRequest,
    SourceRemoveRequest,
    SourceReply,
    SourceState,
    SourceTested,
    SourceTestRequest,
    SourceView,
)

F = TypeVar("F", bound=Callable[..., Any])

_MARGIN_S = 60.0
"""For the way there and back, and for a refresh that is under way already."""


class Every(click.ParamType[float]):
    """An interval in seconds; 0, or ``never``, for none."""

    name = "interval"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        seconds = 0.0 if str(value) == "never" else seconds_of(str(value))
        if seconds is None:
            self.fail(f"{value!r} is no interval: write 30s, 5m, 1h, or never.", param, ctx)
        return seconds


def definition_options(command: F) -> F:
    """What a source is."""
    options = (
        click.option("--type", "kind", metavar="TYPE", help="The plugin: ansible, docker, file, kubernetes, ..."),
        click.option("--config", multiple=True, metavar="K=V", help="A setting; a secret names a key (keys/...)."),
        click.option("--tags", multiple=True, metavar="T,...", help="Ask a runner that bears all these tags."),
        click.option("--filter", "filter_text", metavar="TAGS", help="The same, typed: 'linux+dev'."),
        click.option("--local", is_flag=True, help="Ask the Local Runner.  [default]"),
        click.option("--interval", type=Every(), metavar="TIME", help="Between refreshes; never: on request.  [5m]"),
        click.option("--timeout", type=Every(), metavar="TIME", help="For one refresh.  [2m]"),
    )
    for option in reversed(options):
        command = option(command)
    return command


def changed(source: SourceDefinition, given: dict[str, Any]) -> SourceDefinition:
    """The source with what the command line says of it."""
    changes: dict[str, Any] = {}
    if given["kind"]:
        changes["type"] = given["kind"]
    changes["config"] = {**source.config, **pairs_of("--config", given["config"])}
    tags = [tag for each in given["tags"] for tag in tags_of(each)]
    selector = selector_of(tags, given["filter_text"], local=given["local"])
    if selector is not None:
        changes["runner"] = None if given["local"] else selector
    for name, field in (("interval", "interval_s"), ("timeout", "timeout_s")):
        if given[name] is not None:
            changes[field] = given[name]
    return msgspec.structs.replace(source, **changes)


def without(source: SourceDefinition, unset: Sequence[str]) -> dict[str, str]:
    """The settings without these. Raises a usage error for one that it does not have."""
    for name in unset:
        if name not in source.config:
            has = f"there are: {', '.join(sorted(source.config))}" if source.config else "it has none"
            raise click.UsageError(f"--unset {name!r}: node source {source.name} has no such setting; {has}.")
    return {name: value for name, value in source.config.items() if name not in unset}


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
    sources, fresh = (_of_file(file), False) if file else ([_new(name or "", given)], True)

    async def work(session: Session) -> tuple[list[SourceReply], list[SourceState]]:
        replies = [
            await session.call(
                catalog.SOURCE_PUT,
                SourcePutRequest(source=each, project=session.project, position=position or 0, fresh=fresh),
                timeout_s=30.0,
            )
            for each in sources
        ]
        asked = [] if no_refresh else [each for each in sources if each.enabled]
        return replies, await _refresh(session, asked)

    _finish(*connected(options, work), options)


@click.command("set", cls=SharedCommand)
@click.argument("name", metavar="NAME")
@definition_options
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
        before = (await _found(session, name)).definition
        is_on = before.enabled if enabled is None else enabled
        source = changed(msgspec.structs.replace(before, config=without(before, unset), enabled=is_on), given)
        request = SourcePutRequest(source=source, project=session.project, position=position or 0)
        reply = await session.call(catalog.SOURCE_PUT, request, timeout_s=30.0)
        return [reply], await _refresh(session, [source] if is_on else [])

    _finish(*connected(options, work), options)


@click.command("list", cls=SharedCommand)
@click.pass_obj
def list_(options: Options) -> None:
    """List the node sources of the project in order, and how they stand."""

    async def work(session: Session) -> SourceList:
        request = SourceListRequest(project=session.project)
        return await session.call(catalog.SOURCE_LIST, request, timeout_s=30.0)

    found = connected(options, work)
    if options.as_json:
        print_json(found)
    else:
        print_sources(found.sources)


@click.command(cls=SharedCommand)
@click.argument("name", metavar="NAME")
@click.pass_obj
def show(options: Options, name: str) -> None:
    """Show one with its settings, how it stands, and which runners could be asked."""

    async def work(session: Session) -> SourceView:
        return await _found(session, name)

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
        source = _new(name, given) if is_new else changed((await _found(session, name)).definition, given)
        request = SourceTestRequest(source=source, project=session.project)
        return await session.call(catalog.SOURCE_TEST, request, timeout_s=source.timeout_s + _MARGIN_S)

    tested = connected(options, work)
    if options.as_json:
        print_json(tested)
    else:
        print_tested(tested)


@click.command(cls=SharedCommand)
@click.argument("name", metavar="NAME")
@click.pass_obj
def remove(options: Options, name: str) -> None:
    """Remove a node source, and its nodes."""

    async def work(session: Session) -> Done:
        request = SourceRemoveRequest(name=name, project=session.project)
        return await session.call(catalog.SOURCE_REMOVE, request, timeout_s=30.0)

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
        request = SourceListRequest(project=session.project)
        views = (await session.call(catalog.SOURCE_LIST, request, timeout_s=30.0)).sources
        known = {view.definition.name: view.definition for view in views}
        for name in names:
            if name not in known:
                await _found(session, name)
        wanted = names or [name for name, source in known.items() if source.enabled]
        return await _refresh(session, [known[name] for name in wanted])

    states = connected(options, work)
    if options.as_json:
        print_json(states)
    elif not states:
        click.echo("No node source. 'runbus nodes source add' makes one.", err=True)
    else:
        print_refreshed(states)
    if any(state.error for state in states):
        raise click.exceptions.Exit(exits.PROBLEMS)


async def _refresh(session: Session, sources: Sequence[SourceDefinition]) -> list[SourceState]:
    """All beside one another: one that hangs keeps nobody else waiting."""

    async def ask(source: SourceDefinition) -> SourceState:
        request = SourceRefreshRequest(name=source.name, project=session.project)
        reply = await session.call(catalog.SOURCE_REFRESH, request, timeout_s=source.timeout_s + _MARGIN_S)
        return reply.state

    return list(await asyncio.gather(*map(ask, sources)))


async def _found(session: Session, name: str) -> SourceView:
    request = SourceListRequest(project=session.project, name=name)
    return (await session.call(catalog.SOURCE_LIST, request, timeout_s=30.0)).sources[0]


def _new(name: str, given: dict[str, Any]) -> SourceDefinition:
    if not given["kind"]:
        raise click.UsageError("which plugin? Give its --type: ansible, docker, file, kubernetes, script, vmware.")
    return changed(SourceDefinition(name=name, type=""), given)


def _is_given(value: object) -> bool:
    """Whether an option was on the command line; an interval of 0 was."""
    return value not in (None, ()) and value is not False


def _of_file(file: str) -> list[SourceDefinition]:
    from domain.discovery.sourcesfile import read_sources  # noqa: PLC0415  (brings the YAML parser)

    return read_sources(read_text(file), file)


def _finish(replies: list[SourceReply], states: list[SourceState], options: Options) -> None:
    if options.as_json:
        print_json({"stored": replies, "refreshed": states})
    else:
        print_stored(replies)
        print_refreshed(states)
    if any(state.error for state in states):
        raise click.exceptions.Exit(exits.PROBLEMS)
