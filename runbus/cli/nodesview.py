"""Which nodes a command shows, and how: as a table, as JSON, as a document of the original's formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click
import msgspec

from runbus.cli.context import Options
from runbus.cli.render import Column, ago, print_json, print_table
from schemas.nodes import Node, NodeFormat, NodeListReply, NodeListRequest, RankOrder

F = TypeVar("F", bound=Callable[..., Any])

ANSIBLE: Final = "ansible"
"""An inventory that Ansible reads."""
DOCUMENTS: Final = (ANSIBLE, *map(str, NodeFormat))
DEFAULT_COLUMNS: Final = ("hostname", "osFamily", "tags")
_TITLES: Final = {"osFamily": "OS FAMILY"}


class NodesForm(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says of the nodes to show."""

    words: tuple[str, ...] = ()
    exclude: str = ""
    include_wins: bool = False
    columns: str | None = None
    rank: str = ""
    descending: bool = False
    limit: int = 0
    as_yaml: bool = False
    as_xml: bool = False
    document: str | None = None

    @property
    def written_as(self) -> str | None:
        """The format of the document to print; None: a table, or JSON."""
        return self.document or ("resourceyaml" if self.as_yaml else "resourcexml" if self.as_xml else None)

    def request(self, project: str) -> NodeListRequest:
        """The request for them. No filter at all means all nodes, an empty one none."""
        return NodeListRequest(
            project=project,
            filter=" ".join(self.words) if self.words else None,
            filter_exclude=self.exclude,
            exclude_precedence=not self.include_wins,
            rank_attribute=self.rank,
            rank_order=RankOrder.DESCENDING if self.descending else RankOrder.ASCENDING,
            limit=self.limit,
        )


DOCUMENT_OPTIONS: Final = (
    click.option("--yaml", "as_yaml", is_flag=True, help="Print a resourceyaml document."),
    click.option("--xml", "as_xml", is_flag=True, help="Print a resourcexml document."),
    click.option("--format", "document", type=click.Choice(sorted(DOCUMENTS)), metavar="FORMAT",
                 help="Print a document: ansible, resourcejson, resourcexml, resourceyaml."),
)  # fmt: skip
"""How nodes are written where no table is wanted; the same of each command that shows nodes."""


def selection_options(command: F) -> F:
    """The filter, its order, and the form of the output: see :class:`NodesForm`."""
    options = (
        click.argument("words", nargs=-1, metavar="[FILTER]"),
        click.option("--exclude", default="", metavar="FILTER", help="Without those that this filter selects."),
        click.option("--include-wins", is_flag=True, help="Keep what is both selected and excluded."),
        click.option("--columns", metavar="A,B", help="Show these attributes.  [hostname,osFamily,tags]"),
        click.option("--rank", default="", metavar="ATTR", help="Order by this attribute instead of the name."),
        click.option("--descending", is_flag=True, help="The other way round."),
        click.option("--limit", type=click.IntRange(0), default=0, metavar="N", help="So many at most; 0: all."),
        *DOCUMENT_OPTIONS,
    )
    for option in reversed(options):
        command = option(command)
    return command


def document_options(command: F) -> F:
    """Only the form of the output."""
    for option in reversed(DOCUMENT_OPTIONS):
        command = option(command)
    return command


def form_of(given: dict[str, Any], options: Options) -> NodesForm:
    """The form; two kinds of output are a usage error."""
    form = msgspec.convert(given, NodesForm)
    if form.as_yaml + form.as_xml + options.as_json + (form.document is not None) > 1:
        raise click.UsageError("--json, --yaml, --xml and --format exclude each other: give one of them.")
    return form


def print_reply(reply: NodeListReply, form: NodesForm, options: Options, *, of_project: bool = True) -> None:
    """The nodes in the form asked for; how many of how many, and an empty result, are said on stderr.

    ``of_project``: they are those of a project, which other commands bring more into.
    """
    if options.as_json:
        print_json(reply)
    elif form.written_as:
        click.echo(_document(form.written_as, reply.nodes), nl=False)
    elif reply.nodes:
        _print_table(reply.nodes, _columns(form))
        click.echo(_summary(reply), err=True)
    else:
        click.echo(_nothing(reply, of_project=of_project), err=True)


def _document(form: str, nodes: Sequence[Node]) -> str:
    if form == ANSIBLE:
        from domain.nodes.ansibleform import ansible_inventory  # noqa: PLC0415

        return ansible_inventory(nodes)
    from domain.nodes.formats import write_nodes  # noqa: PLC0415  (brings the YAML writer)

    return write_nodes(form, nodes)


def _columns(form: NodesForm) -> Sequence[str]:
    if form.columns is None:
        return DEFAULT_COLUMNS
    return [name.strip() for name in form.columns.split(",") if name.strip()]


def _print_table(nodes: Sequence[Node], names: Sequence[str]) -> None:
    titles = [Column(_TITLES.get(name, name.upper()), folds=True) for name in names]
    rows = [[node.name, *(_cell(node, name) for name in names)] for node in nodes]
    print_table([Column("NODE", folds=True), *titles], rows)


def _cell(node: Node, name: str) -> str:
    return ", ".join(node.tags) if name == "tags" else node.attributes.get(name, "")


def _summary(reply: NodeListReply) -> str:
    shown = len(reply.nodes)
    count = f"{shown:,} of {reply.total:,} nodes" if shown < reply.total else f"{shown:,} node{'s' * (shown != 1)}"
    return f"{count}, loaded {ago(reply.loaded_at)}" if reply.loaded_at else count


def _nothing(reply: NodeListReply, *, of_project: bool) -> str:
    if reply.total:
        return f"No node matches; there {'is 1' if reply.total == 1 else f'are {reply.total:,}'}."
    if of_project and (reply.revision or reply.loaded_at is None):
        return "No nodes. 'runbus nodes source add' discovers some, 'runbus nodes load FILE' loads some."
    return "No nodes."
