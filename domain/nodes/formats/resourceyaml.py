"""``resourceyaml``: maps of nodes by name, or lists of nodes, in any number of documents ("Node sources")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

import yaml

from domain.calm import let_go
from domain.nodes.errors import bad_nodes, shown
from domain.nodes.formats import yamlvalues
from domain.nodes.formats.parts import (
    MAX_SHARED_CHARS,
    MAX_YAML_BYTES,
    PROPERTIES,
    Document,
    attributes_of,
    check_texts,
    document_of,
    tag_list,
    text_of,
)
from domain.nodes.formats.yamlentries import Entry, NotPlainError, entries
from domain.nodes.formats.yamlscalars import PREFIX, is_plain
from domain.nodes.formats.yamlvalues import LinedList, LinedMap
from domain.nodes.javatext import printed, split, trim
from domain.nodes.selection import NODE_NAME, TAGS, by_name
from schemas.errors import RunbusError
from schemas.nodes import Node

NAME: Final = "resourceyaml"
_IGNORED: Final = frozenset({"attributes", "frameworkProject", "class", "name", TAGS})
_TEXTS: Final = frozenset({str})
_DUMPER: Final[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def read(document: bytes | str) -> Document:
    """The nodes of all documents.

    The key of a map is the node's name, whatever ``nodename`` says; an entry of a list needs ``nodename``. An entry
    that is null or no map is an error, as is a name that is no text; null attributes are dropped. A document that is
    neither a map nor a list has no nodes.
    """
    text = text_of(document, NAME, MAX_YAML_BYTES)
    try:
        return document_of(*_nodes(text))
    except RecursionError as error:
        raise bad_nodes(NAME, "aliases nest lists and maps too deep; write the values out.") from error


def _nodes(text: str) -> tuple[list[Node], list[str]]:
    """All nodes, and the keys of which a map has kept only the last."""
    nodes: list[Node] = []
    repeated: list[str] = []
    try:
        nodes.extend(_piecewise(text, repeated))
    except (NotPlainError, RunbusError):
        # where a piece has a fault, the whole tells its place
        let_go(nodes)
        repeated.clear()
        contents = (content for content, _ in yamlvalues.documents(text, NAME))
        nodes.extend(node for content in contents for node in _nodes_in(content, repeated))
    return nodes, repeated


def _piecewise(text: str, repeated: list[str]) -> Iterator[Node]:
    """The nodes, read entry by entry. Raises ``NotPlainError`` or some error where only the whole tells."""
    weight = 2 * yamlvalues.VALUE_WEIGHT
    for piece in entries(text):
        if isinstance(piece, Entry):
            weight += piece.weight
            yield _node(piece.attributes, 0, piece.name)
        else:
            for content, added in yamlvalues.documents(piece, NAME):
                if not isinstance(content, LinedMap):
                    raise NotPlainError
                weight += added
                yield from _nodes_in(content, repeated)
        if weight > yamlvalues.MAX_WEIGHT:
            raise NotPlainError


def _nodes_in(content: Any, repeated: list[str]) -> Iterator[Node]:
    """The nodes of a document. It is let go of entry by entry: all at once is a pause for other threads."""
    if isinstance(content, LinedMap):
        repeated.extend(content.repeated)
        for name, entry in content.items():
            line = content.lines[name]
            if not isinstance(name, str) or type(name) is not str:
                raise bad_nodes(NAME, f"the name {shown(printed(name))} is no text; put it in quotes.", line)
            content[name] = None
            yield _node(_entry(entry, line), line, name)
    elif isinstance(content, LinedList):
        for number, entry in enumerate(content):
            line = entry.line if isinstance(entry, LinedMap) else content.line
            content[number] = None
            yield _node(_entry(entry, line), line)


def _entry(entry: Any, line: int) -> LinedMap:
    if not isinstance(entry, LinedMap):
        found = "nothing" if entry is None else "a list" if isinstance(entry, list) else shown(printed(entry))
        raise bad_nodes(NAME, f"expected a node's attributes, 'hostname: ...', got {found}; write a map.", line)
    for key in entry:
        if not isinstance(key, str) or type(key) is not str:
            reason = f"the attribute name {shown(printed(key))} is no text; put it in quotes."
            raise bad_nodes(NAME, reason, entry.lines[key])
    return entry


def _node(entry: dict[str, Any], line: int, name: str | None = None) -> Node:
    attributes = _attributes(entry)
    own = attributes.pop(NODE_NAME, None)
    named = own if name is None else name
    if named is None:
        raise bad_nodes(NAME, "a node in a list has no 'nodename'; name it.", line)
    return Node(name=named, attributes=attributes, tags=_tags(entry.get(TAGS)))


def _attributes(entry: dict[str, Any]) -> dict[str, str]:
    if type(entry) is dict and _TEXTS.issuperset(map(type, entry.values())):
        # a copy of any other map is one that the garbage collector looks through, too
        texts: dict[str, str] = dict(entry)
        for key in _IGNORED:
            texts.pop(key, None)
        return texts
    return {
        key: text
        for key, value in entry.items()
        if key not in _IGNORED and (text := value if type(value) is str else _text(key, value)) is not None
    }


def _text(key: str, value: Any) -> str | None:
    """A list in one of the original's own fields counts as its first item, one in any other attribute is printed."""
    if isinstance(value, list) and key in PROPERTIES:
        value = value[0] if value else None
    return None if value is None else printed(value)


def _tags(value: Any) -> list[str]:
    if value is None:
        return []
    if type(value) is str:
        return _tags_in_short(value) if len(value) <= MAX_SHARED_CHARS else _tags_in(value)
    return _trimmed(
        [printed(tag) for tag in value if tag is not None] if isinstance(value, list) else [printed(value)]
    )


def _tags_in(text: str) -> list[str]:
    return _trimmed(split(text, ","))


_tags_in_short: Final = lru_cache(maxsize=1024)(_tags_in)
"""Most texts of tags are those of many nodes."""


def _trimmed(tags: Iterable[str]) -> list[str]:
    return tag_list(tag for each in tags if (tag := trim(each)))


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
