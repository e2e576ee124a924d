"""What the three formats share: bounds, text, sets of nodes and of tags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from domain.nodes.errors import bad_nodes, shown
from domain.nodes.formats.repeats import repeated_in, warnings_of
from domain.nodes.selection import NODE_NAME, TAGS, by_name
from schemas.nodes import Node

MAX_BYTES: Final = 64 << 20
"""Of a document in JSON or XML: some 200,000 nodes."""
MAX_YAML_BYTES: Final = 32 << 20
"""Some 150,000 nodes. The original's parser stops at 3 MiB, and what it reads is read here, too."""
MAX_DEPTH: Final = 50

TAG_SEPARATOR: Final = ", "
PROPERTIES: Final = frozenset(
    {"hostname", "osArch", "osFamily", "osName", "osVersion", "username", "description", TAGS, "name", NODE_NAME}
)
"""The attributes that the original has fields for, ``name`` being none of a node's."""
_BOM: Final = b"\xef\xbb\xbf"
MAX_SHARED_CHARS: Final = 200
"""Of tags: longer ones are those of few nodes."""


class Document(NamedTuple):
    """What was read."""

    nodes: list[Node]
    """Sorted by name, each name once."""
    warnings: list[str]
    """Without the document's place, which they are to be told with."""


def text_of(document: bytes | str, format_name: str, max_bytes: int) -> str:
    """The document as text (UTF-8, a byte order mark is dropped), within bounds."""
    _check_length(document, format_name, max_bytes)
    if isinstance(document, str):
        return document.removeprefix("\ufeff")
    try:
        return document.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = document.count(b"\n", 0, error.start) + 1
        raise bad_nodes(format_name, "not UTF-8; save the document as UTF-8.", line) from error


def bytes_of(document: bytes | str, format_name: str, max_bytes: int) -> bytes:
    """The document in UTF-8, without a byte order mark, within bounds; bytes are not checked, nor copied."""
    _check_length(document, format_name, max_bytes)
    return document.removeprefix("\ufeff").encode() if isinstance(document, str) else document.removeprefix(_BOM)


def _check_length(document: bytes | str, format_name: str, max_bytes: int) -> None:
    if len(document) > max_bytes:
        raise bad_nodes(format_name, f"longer than {max_bytes >> 20} MiB; split the document.")


def node_of(name: str, attributes: dict[str, str], tags: list[str]) -> Node:
    """A node; it takes over the attributes, but for what has a field of its own. Tags as of :func:`tag_list`."""
    attributes.pop(NODE_NAME, None)
    attributes.pop(TAGS, None)
    return Node(name=name, attributes=attributes, tags=tags)


def tag_list(tags: Iterable[str]) -> list[str]:
    """Each tag once, sorted."""
    found = tuple(sorted(set(tags)))
    return _shared(found) if sum(map(len, found)) <= MAX_SHARED_CHARS else list(found)


@lru_cache(maxsize=1024)
def _shared(tags: tuple[str, ...]) -> list[str]:
    """One list for all nodes with these tags: a hundred thousand lists are a pause of the garbage collector."""
    return list(tags)


def document_of(nodes: Sequence[Node], repeated: Iterable[str] = ()) -> Document:
    """The nodes sorted by name; of those with one name the last, and a warning of it.

    ``repeated`` are names of which others than the last are not among the nodes any more.
    """
    kept = {node.name: node for node in nodes}
    names = set(repeated)
    if len(kept) < len(nodes):
        names |= repeated_in(node.name for node in nodes)
    return Document(by_name(kept.values()), warnings_of(names, "of each name the last holds"))


def attributes_of(node: Node) -> dict[str, str]:
    """All attributes as the original writes them, sorted, the name first; tags joined."""
    tags = {TAGS: TAG_SEPARATOR.join(node.tags)}
    return {NODE_NAME: node.name} | dict(sorted((node.attributes | tags).items()))


def check_texts(node: Node, format_name: str, unfit: str, reason: str) -> None:
    """Raise for a text that the format cannot hold; ``unfit`` are characters it has no way to write."""
    for text in (node.name, *node.tags, *node.attributes, *node.attributes.values()):
        if any(char in unfit or "\ud800" <= char <= "\udfff" for char in text):
            raise bad_nodes(format_name, f"node {shown(node.name)}: {shown(text)} {reason}")
