"""Documents of nodes: ``resourceyaml``, ``resourcejson`` and ``resourcexml`` ("Node sources", formats)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from domain.calm import uncollected
from domain.nodes.errors import bad_nodes, shown
from domain.nodes.formats import resourcejson, resourcexml, resourceyaml
from schemas.nodes import Node

_READERS: Final[dict[str, Callable[[bytes | str], list[Node]]]] = {
    resourceyaml.NAME: resourceyaml.read,
    resourcejson.NAME: resourcejson.read,
    resourcexml.NAME: resourcexml.read,
}
_WRITERS: Final[dict[str, Callable[[Iterable[Node]], str]]] = {
    resourceyaml.NAME: resourceyaml.write,
    resourcejson.NAME: resourcejson.write,
    resourcexml.NAME: resourcexml.write,
}
_EXTENSIONS: Final = {
    "yaml": resourceyaml.NAME,
    "yml": resourceyaml.NAME,
    "json": resourcejson.NAME,
    "xml": resourcexml.NAME,
}
NAMES: Final = tuple(_READERS)


def read_nodes(format_name: str, document: bytes | str) -> list[Node]:
    """The nodes of a document, sorted by name, each name once. Raises ``invalid_message``, with its line."""
    reader = _READERS[_known(format_name)]
    with uncollected():
        return reader(document)


def write_nodes(format_name: str, nodes: Iterable[Node]) -> str:
    """A document that reads back as the same nodes. Raises ``invalid_message`` for what the format cannot hold.

    Tags are joined with ``,`` as in the original: a tag with a comma in it, or with blanks around it, reads back as
    others.
    """
    return _WRITERS[_known(format_name)](nodes)


def format_of(file_name: str) -> str:
    """The format that a file's extension means. Raises ``invalid_message`` for any other."""
    extension = file_name.rpartition(".")[2].lower()
    if extension not in _EXTENSIONS:
        raise bad_nodes("nodes", f"the file name {shown(file_name)} tells no format; name one of {', '.join(NAMES)}.")
    return _EXTENSIONS[extension]


def _known(format_name: str) -> str:
    if format_name not in _READERS:
        raise bad_nodes("nodes", f"the format {shown(format_name)} is not known; name one of {', '.join(NAMES)}.")
    return format_name
