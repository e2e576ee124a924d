"""Documents of nodes: ``resourceyaml``, ``resourcejson`` and ``resourcexml`` ("Node sources", formats)."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Final, Protocol, cast

from domain.calm import uncollected
from domain.nodes.errors import bad_nodes, shown
from domain.nodes.formats.parts import Document
from schemas.nodes import Node

_EXTENSIONS: Final = {
    "yaml": "resourceyaml",
    "yml": "resourceyaml",
    "json": "resourcejson",
    "xml": "resourcexml",
}
NAMES: Final = ("resourceyaml", "resourcejson", "resourcexml")
"""Each is the module of its name here."""


class _Format(Protocol):
    def read(self, document: bytes | str) -> Document: ...

    def write(self, nodes: Iterable[Node]) -> str: ...


def read_nodes(format_name: str, document: bytes | str) -> list[Node]:
    """The nodes of a document, sorted by name, each name once. Raises ``invalid_message``, with its line."""
    return read_document(format_name, document).nodes


def read_document(format_name: str, document: bytes | str) -> Document:
    """The same, with a warning of names that stand more than once in it."""
    form = _format(format_name)
    with uncollected():
        return form.read(document)


def write_nodes(format_name: str, nodes: Iterable[Node]) -> str:
    """A document that reads back as the same nodes. Raises ``invalid_message`` for what the format cannot hold.

    Tags are joined with ``,`` as in the original: a tag with a comma in it, or with blanks around it, reads back as
    others.
    """
    return _format(format_name).write(nodes)


def format_of(file_name: str) -> str:
    """The format that a file's extension means. Raises ``invalid_message`` for any other."""
    extension = file_name.rpartition(".")[2].lower()
    if extension not in _EXTENSIONS:
        raise bad_nodes("nodes", f"the file name {shown(file_name)} tells no format; name one of {', '.join(NAMES)}.")
    return _EXTENSIONS[extension]


def _format(name: str) -> _Format:
    """Imported at its first use: what parses YAML and XML takes 4 MB, which an idle runner has no use for."""
    if name not in NAMES:
        raise bad_nodes("nodes", f"the format {shown(name)} is not known; name one of {', '.join(NAMES)}.")
    return cast("_Format", import_module(f"{__name__}.{name}"))
