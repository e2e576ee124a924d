"""``runbus project``: create, list, show and set up projects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from runbus.cli.context import Options, SharedCommand
from runbus.cli.render import Column, moment, print_facts, print_json, print_table, short_moment
from runbus.cli.session import Session, connected
from runbus.cli.values import pairs_of
from schemas import catalog
from schemas.api import (
    DispatchMode,
    ProjectList,
    ProjectListRequest,
    ProjectRecord,
    ProjectRequest,
    ProjectSetRequest,
    ProjectShowRequest,
)

_GLOBALS: Final = "globals."


@click.command(cls=SharedCommand)
@click.argument("name", metavar="NAME")
@click.option("--description", default="", help="What it is for.")
@click.pass_obj
def create(options: Options, name: str, description: str) -> None:
    """Create a project."""

    async def work(session: Session) -> ProjectRecord:
        return await session.call(catalog.PROJECT_CREATE, ProjectRequest(project=name, description=description))

    record = connected(options, work)
    if options.as_json:
        print_json(record)
    else:
        click.echo(f"Created project {record.name}.")


@click.command("list", cls=SharedCommand)
@click.pass_obj
def list_(options: Options) -> None:
    """List projects."""

    async def work(session: Session) -> ProjectList:
        return await session.call(catalog.PROJECT_LIST, ProjectListRequest())

    found = connected(options, work)
    if options.as_json:
        print_json(found)
    else:
        columns = [Column("PROJECT"), Column("CREATED"), Column("DESCRIPTION", folds=True)]
        print_table(columns, [[each.name, short_moment(each.created_at), each.description]
                              for each in found.projects])  # fmt: skip


@click.command(cls=SharedCommand)
@click.argument("name", metavar="NAME")
@click.pass_obj
def show(options: Options, name: str) -> None:
    """Show one project with its settings."""

    async def work(session: Session) -> ProjectRecord:
        return await session.call(catalog.PROJECT_SHOW, ProjectShowRequest(project=name))

    _print(connected(options, work), options)


@click.command("set", cls=SharedCommand)
@click.argument("name", metavar="NAME")
@click.option(
    "--setting", "settings", multiple=True, metavar="K=V", help="Set one for node executors, such as ssh-keypath."
)
@click.option("--global", "globals_", multiple=True, metavar="K=V", help="Set what ${globals.K} stands for.")
@click.option("--unset", multiple=True, metavar="K", help="Remove a setting; globals.K: a global.")
@click.option(
    "--dispatch",
    type=click.Choice([str(each) for each in DispatchMode]),
    metavar="MODE",
    help="manual: the job says which runner; automatic: the nodes do.",
)
@click.option("--description", help="What it is for.")
@click.pass_obj
def set_(  # noqa: PLR0913  (click passes each option as an argument)
    options: Options,
    name: str,
    *,
    settings: tuple[str, ...],
    globals_: tuple[str, ...],
    unset: tuple[str, ...],
    dispatch: str | None,
    description: str | None,
) -> None:
    """Change a project: what is named is set or removed, all else stays."""
    if not (settings or globals_ or unset or dispatch or description is not None):
        raise click.UsageError(f"What is to change? 'runbus project show {name}' shows what there is.")
    request = ProjectSetRequest(
        project=name,
        settings=pairs_of("--setting", settings),
        globals=pairs_of("--global", globals_),
        unset_settings=[each for each in unset if not each.startswith(_GLOBALS)],
        unset_globals=[each.removeprefix(_GLOBALS) for each in unset if each.startswith(_GLOBALS)],
        dispatch=DispatchMode(dispatch) if dispatch else None,
        description=description,
    )

    async def work(session: Session) -> ProjectRecord:
        return await session.call(catalog.PROJECT_SET, request)

    _print(connected(options, work), options)


def _print(record: ProjectRecord, options: Options) -> None:
    if options.as_json:
        print_json(record)
    else:
        print_facts(_facts(record))


def _facts(record: ProjectRecord) -> Iterator[tuple[str, str]]:
    yield "project", record.name
    yield "description", record.description
    yield "dispatch", record.dispatch
    yield "created", moment(record.created_at)
    for label, values, prefix in (("setting", record.settings, ""), ("global", record.globals, _GLOBALS)):
        for key, value in sorted(values.items()):
            yield label, f"{prefix}{key} = {value}"
