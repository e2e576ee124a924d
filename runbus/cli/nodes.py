"""``runbus nodes``: load, list and show the nodes of a project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from bus.nodes import find_nodes, load_nodes
from runbus.cli.context import Options, SharedCommand
from runbus.cli.jobcheck import print_warnings
from runbus.cli.nodesfile import FORMAT_OPTION, file_name, format_of_file, text_of_file
from runbus.cli.nodesview import form_of, print_reply, selection_options
from runbus.cli.render import ago, moment, print_facts, print_json
from runbus.cli.session import Session, connected
from schemas.errors import ErrorCode, RunbusError
from schemas.nodes import Node, NodeListReply, NodeListRequest, NodeLoadReply, NodeLoadRequest


@click.command(cls=SharedCommand)
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@FORMAT_OPTION
@click.pass_obj
def load(options: Options, file: str, form: str | None) -> None:
    """Replace the nodes of the project by those of FILE ('-': stdin): all of them, or none."""
    name = format_of_file(file, form)
    try:
        text = text_of_file(file, name)
    except RunbusError as error:
        error.message = f"{file_name(file)}: {error.message}"
        raise

    async def work(session: Session) -> NodeLoadReply:
        request = NodeLoadRequest(format=name, project=session.project, text=text, file=file_name(file))
        return await load_nodes(session.client.bus, session.client.subjects, request)

    done = connected(options, work)
    print_warnings([f"{file_name(file)}: {text}" for text in done.warnings])
    if options.as_json:
        print_json(done)
    else:
        count = "1 node" if done.count == 1 else f"{done.count:,} nodes"
        click.echo(f"Loaded {count} into project {done.project}, in place of {done.previous_count:,}.")


@click.command("list", cls=SharedCommand)
@selection_options
@click.pass_obj
def list_(options: Options, /, **given: Any) -> None:
    """List the nodes of the project that FILTER selects, in the order of dispatch; without one, all.

    \b
      runbus nodes list 'tags: web+prod !os-family: windows'
      runbus nodes list 'name: db-.*' --columns hostname,rack --rank rack
    """  # noqa: D301  (click reads the backspace as "do not fold this paragraph")
    form = form_of(given, options)

    async def work(session: Session) -> NodeListReply:
        return await find_nodes(session.client.bus, session.client.subjects, form.request(session.project))

    print_reply(connected(options, work), form, options)


@click.command(cls=SharedCommand)
@click.argument("name", metavar="NAME")
@click.pass_obj
def show(options: Options, name: str) -> None:
    """Show one node with all its attributes."""

    async def work(session: Session) -> NodeListReply:
        request = NodeListRequest(project=session.project, filter=_exactly(name))
        reply = await find_nodes(session.client.bus, session.client.subjects, request)
        return _only(reply, name, session.project)

    reply = connected(options, work)
    if options.as_json:
        print_json(reply)
    else:
        print_facts(_facts(reply.nodes[0], reply))


def _exactly(name: str) -> str:
    """A filter for one name, whatever stands in it."""
    literal = name.replace("\\E", "\\E\\\\E\\Q").replace("'", "''")
    return f"name: '/\\Q{literal}\\E/'"


def _only(reply: NodeListReply, name: str, project: str) -> NodeListReply:
    found = [node for node in reply.nodes if node.name == name]
    if found:
        return msgspec.structs.replace(reply, nodes=found, matched=1)
    hint = "'runbus nodes list' shows" if reply.total else "'runbus nodes load FILE' loads some: it has"
    raise RunbusError(
        ErrorCode.UNKNOWN_NODE,
        f"project {project} has no node {name[:80]!r}; {hint} {f'its {reply.total:,}' if reply.total else 'none'}.",
        details={"node": name[:80], "project": project, "total": reply.total},
    )


def _facts(node: Node, reply: NodeListReply) -> Iterator[tuple[str, str]]:
    yield "node", node.name
    yield "tags", ", ".join(node.tags) or "none"
    yield from sorted(node.attributes.items())
    yield "loaded", f"{ago(reply.loaded_at)} ({moment(reply.loaded_at)})"
