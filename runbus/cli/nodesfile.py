"""``runbus nodes filter``: what a filter selects from files of nodes. Nothing here needs the bus."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbus.cli.context import Options, SharedCommand
from runbus.cli.jobcheck import print_warnings
from runbus.cli.nodesview import form_of, print_reply, selection_options
from schemas.errors import RunbusError
from schemas.nodes import Node, NodeFormat, NodeListReply

if TYPE_CHECKING:
    from domain.nodes.formats.parts import Document

FORMATS = click.Choice([str(each) for each in NodeFormat])
FORMAT_OPTION = click.option(
    "--format", "form", type=FORMATS, metavar="FORMAT",
    help="resourceyaml, resourcejson or resourcexml.  [by the file's extension]",
)  # fmt: skip


class FilterCommand(SharedCommand):
    """It needs no connection."""

    shared = ("as_json", "debug")


@click.command("filter", cls=FilterCommand)
@click.option("--file", "files", multiple=True, required=True, metavar="FILE",
              type=click.Path(exists=True, dir_okay=False, allow_dash=True),
              help="A file of nodes ('-': stdin); of several, the last that has a node counts.")  # fmt: skip
@click.option("--file-format", "form", type=FORMATS, metavar="FORMAT",
              help="Of the files: resourceyaml, resourcejson or resourcexml.  [by the extension]")  # fmt: skip
@selection_options
@click.pass_obj
def filter_(options: Options, /, files: tuple[str, ...], form: str | None, **given: Any) -> None:
    """Show which nodes of files a filter selects, in order, without a connection.

    \b
      runbus nodes filter --file nodes.yaml 'tags: web+prod !os-family: windows'
    """  # noqa: D301  (click reads the backspace as "do not fold this paragraph")
    from domain.nodes.listing import listed_nodes  # noqa: PLC0415  (brings the regexes)

    asked = form_of(given, options)
    nodes: dict[str, Node] = {}
    for file in files:
        listed, warnings = nodes_of_file(file, form, "--file-format")
        print_warnings([f"{file_name(file)}: {text}" for text in warnings])
        nodes.update((node.name, node) for node in listed)
    found, matched = listed_nodes(list(nodes.values()), asked.request("default"))
    reply = NodeListReply(nodes=found, matched=matched, total=len(nodes), revision=0)
    print_reply(reply, asked, options, of_project=False)


def nodes_of_file(file: str, form: str | None, option: str = "--format") -> Document:
    """The nodes of a resource file, and warnings. Raises ``invalid_message`` with the place of the fault."""
    from domain.nodes.formats import read_document  # noqa: PLC0415  (brings the YAML parser)

    name = format_of_file(file, form, option)
    try:
        return read_document(name, text_of_file(file, name))
    except RunbusError as error:
        error.message = f"{file_name(file)}: {error.message}"
        raise


def format_of_file(file: str, form: str | None, option: str = "--format") -> NodeFormat:
    """The format given, else the one that the file's extension means. Raises a usage error for neither."""
    from domain.nodes.formats import format_of  # noqa: PLC0415

    if form is not None:
        return NodeFormat(form)
    try:
        return NodeFormat(format_of(file))
    except RunbusError:
        raise click.UsageError(
            f"the name of {file_name(file)} tells no format: give one with {option} ({', '.join(NodeFormat)})."
        ) from None


def text_of_file(file: str, form: NodeFormat) -> str:
    """A file as text. Raises ``invalid_message`` with the line where it is no UTF-8, or too large."""
    from domain.nodes.formats.parts import MAX_BYTES, text_of  # noqa: PLC0415

    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    return text_of(data, form, MAX_BYTES)


def file_name(file: str) -> str:
    """As texts call it."""
    return "stdin" if file == "-" else file
