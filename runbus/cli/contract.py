"""``runbus contract``."""

from __future__ import annotations

import click

from runbus.cli.context import SharedCommand

_DOCUMENTS = ("asyncapi", "schema", "subjects")


class ContractCommand(SharedCommand):
    """It needs no connection."""

    shared = ("debug",)


@click.command(cls=ContractCommand)
@click.argument("document", type=click.Choice(_DOCUMENTS), metavar="|".join(_DOCUMENTS))
def contract(document: str) -> None:
    """Print the contract: asyncapi (AsyncAPI 3.0, YAML), schema (JSON Schema) or subjects (Markdown)."""
    from runbus.contract import DOCUMENTS  # noqa: PLC0415  (brings the YAML writer)

    click.echo(DOCUMENTS[document](), nl=False)
