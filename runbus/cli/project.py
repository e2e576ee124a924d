"""``runbus project``."""

from __future__ import annotations

import click

from runbus.cli.context import Options, SharedCommand
from runbus.cli.render import Column, print_json, print_table, short_moment
from runbus.cli.session import Session, connected
from schemas import catalog
from schemas.api import ProjectList, ProjectListRequest, ProjectRecord, ProjectRequest


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
