"""What the three formats share: bounds, text, sets of nodes and of tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from domain.nodes.errors import bad_nodes, shown
from domain.nodes.selection import NODE_NAME, TAGS, by_name
from schemas.nodes import Node

MAX_BYTES: Final = 64 << 20
"""Of a document in JSON or XML: some 200,000 nodes."""
MAX_DEPTH: Final = 50

TAG_SEPARATOR: Final = ", "
PROPERTIES: Final = frozenset(
    {"hostname", "osArch", "osFamily", "osName", "osVersion", "username", "description", TAGS, "name", NODE_NAME}
)
"""The attributes that the original has fields for, ``name`` being none of a node's."""


def text_of(document: bytes | str, format_name: str, max_bytes: int) -> str:
    """The document as text (UTF-8, a byte order mark is dropped), within bounds."""
    if len(document) > max_bytes:
        raise bad_nodes(format_name, f"longer than {max_bytes >> 20} MiB; split the document.")
    if isinstance(document, str):
        return document.removeprefix("\ufeff")
    try:
        return document.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = document.count(b"\n", 0, error.start) + 1
        raise bad_nodes(format_name, "not UTF-8; save the document as UTF-8.", line) from error


def node_of(name: str, attributes: dict[str, str], tags: Iterable[str]) -> Node:
    """A node; what has a field of its own is dropped from the attributes."""
    kept = {key: value for key, value in attributes.items() if key not in (NODE_NAME, TAGS)}
    return Node(name=name, attributes=kept, tags=sorted(set(tags)))


def node_set(nodes: Iterable[Node]) -> list[Node]:
    """The nodes sorted by name; of those with one name the last."""
    return by_name({node.name: node for node in nodes}.values())


def attributes_of(node: Node) -> dict[str, str]:
    """All attributes as the original writes them, sorted, the name first; tags joined."""
    tags = {TAGS: TAG_SEPARATOR.join(node.tags)}
    return {NODE_NAME: node.name} | dict(sorted((node.attributes | tags).items()))


def check_texts(node: Node, format_name: str, unfit: str, reason: str) -> None:
    """Raise for a text that the format cannot hold; ``unfit`` are characters it has no way to write."""
    for text in (node.name, *node.tags, *node.attributes, *node.attributes.values()):
        if any(char in unfit or "\ud800" <= char <= "\udfff" for char in text):
            raise bad_nodes(format_name, f"node {shown(node.name)}: {shown(text)} {reason}")
