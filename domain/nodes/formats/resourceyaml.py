"""``resourceyaml``: maps of nodes by name, or lists of nodes, in any number of documents ("Node sources")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import yaml

from domain.nodes.errors import bad_nodes, shown
from domain.nodes.formats.parts import PROPERTIES, attributes_of, check_texts, node_of, node_set, text_of
from domain.nodes.formats.yamlscalars import PREFIX, is_plain
from domain.nodes.formats.yamlvalues import LinedList, LinedMap, documents
from domain.nodes.javatext import printed, split, trim
from domain.nodes.selection import NODE_NAME, TAGS, by_name
from schemas.nodes import Node

NAME: Final = "resourceyaml"
MAX_TEXT_BYTES: Final = 32 << 20
"""Some 150,000 nodes. The original's parser stops at 3 MiB, and what it reads is read here, too."""
_IGNORED: Final = frozenset({"attributes", "frameworkProject", "class", "name"})
_DUMPER: Final[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def read(document: bytes | str) -> list[Node]:
    """The nodes of all documents.

    The key of a map is the node's name, whatever ``nodename`` says; an entry of a list needs ``nodename``. An entry
    that is null or no map is an error, as is a name that is no text; null attributes are dropped. A document that is
    neither a map nor a list has no nodes.
    """
    text = text_of(document, NAME, MAX_TEXT_BYTES)
    try:
        return node_set(_nodes(text))
    except RecursionError as error:
        raise bad_nodes(NAME, "aliases nest lists and maps too deep; write the values out.") from error


def _nodes(text: str) -> Iterator[Node]:
    for content in documents(text, NAME):
        if isinstance(content, LinedMap):
            for name, entry in content.items():
                line = content.lines[name]
                if not isinstance(name, str) or type(name) is not str:
                    raise bad_nodes(NAME, f"the name {shown(printed(name))} is no text; put it in quotes.", line)
                yield _node({**_entry(entry, line), NODE_NAME: name}, line)
        elif isinstance(content, LinedList):
            for entry in content:
                line = entry.line if isinstance(entry, LinedMap) else content.line
                yield _node(dict(_entry(entry, line)), line)


def _entry(entry: Any, line: int) -> LinedMap:
    if not isinstance(entry, LinedMap):
        found = "nothing" if entry is None else shown(printed(entry) if isinstance(entry, str) else str(type(entry)))
        raise bad_nodes(NAME, f"expected a node's attributes, 'hostname: ...', got {found}; write a map.", line)
    for key in entry:
        if not isinstance(key, str) or type(key) is not str:
            reason = f"the attribute name {shown(printed(key))} is no text; put it in quotes."
            raise bad_nodes(NAME, reason, entry.lines[key])
    return entry


def _node(entry: dict[str, Any], line: int) -> Node:
    attributes = {}
    for key, value in entry.items():
        # a list in one of the original's own fields counts as its first item, one in any other attribute is printed
        item = (
            (value[0] if value else None) if key in PROPERTIES and key != TAGS and isinstance(value, list) else value
        )
        if item is not None and key not in _IGNORED and key != TAGS:
            attributes[key] = printed(item)
    if NODE_NAME not in attributes:
        raise bad_nodes(NAME, "a node in a list has no 'nodename'; name it.", line)
    return node_of(attributes[NODE_NAME], attributes, _tags(entry.get(TAGS)))


def _tags(value: Any) -> list[str]:
    if value is None:
        return []
    if type(value) is str:
        found = [trim(tag) for tag in split(value, ",")]
    elif isinstance(value, list):
        found = [trim(printed(tag)) for tag in value if tag is not None]
    else:
        return [trim(printed(value))]
    return [tag for tag in found if tag]


def write(nodes: Iterable[Node]) -> str:
    """A map of nodes by name, as the original writes it, but sorted; no text where there are no nodes."""
    listed = by_name(nodes)
    for node in listed:
        check_texts(node, NAME, "\x00\ufffe\uffff", "holds a character that cannot stand in YAML; take it out.")
    if not listed:
        return ""
    entries = [(_scalar(node.name), _map(attributes_of(node))) for node in listed]
    tree = yaml.MappingNode(f"{PREFIX}map", entries, flow_style=False)
    return str(yaml.serialize(tree, Dumper=_DUMPER, allow_unicode=True, width=1 << 20))


def _map(attributes: dict[str, str]) -> yaml.MappingNode:
    entries = [(_scalar(key), _scalar(value)) for key, value in attributes.items()]
    return yaml.MappingNode(f"{PREFIX}map", entries, flow_style=False)


def _scalar(text: str) -> yaml.ScalarNode:
    return yaml.ScalarNode(f"{PREFIX}str", text, style=None if is_plain(text) else '"')
