"""``resourcejson``: a map of nodes by name, or a list of nodes ("Node sources", formats, JSON)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from domain.nodes.errors import bad_nodes
from domain.nodes.formats.parts import MAX_BYTES, attributes_of, check_texts, node_of, node_set, text_of
from domain.nodes.javatext import is_blank, printed, split
from domain.nodes.selection import NODE_NAME, TAGS, by_name
from schemas.nodes import Node

NAME: Final = "resourcejson"
_BYTE: Final = re.compile(r" *\(byte (\d+)\)")
_SEPARATOR: Final = re.compile(", *")
_LONG_BYTES: Final = 1 << 20
_BEGINNING: Final = 1000
_KINDS: Final[dict[bytes, Any]] = {b"{": dict[str, msgspec.Raw], b"[": list[msgspec.Raw]}


def read(document: bytes | str) -> list[Node]:
    """The nodes of a document.

    A ``nodename`` in the entry overrides the key; in a list, entries without one are skipped, as is everywhere what
    is no map. Attributes that are null, a list or a map are dropped; a list of tags is taken.
    """
    text = text_of(document, NAME, MAX_BYTES)
    try:
        return node_set(_nodes(text.encode()))
    except msgspec.DecodeError as error:
        found = _BYTE.search(str(error))
        line = text.encode().count(b"\n", 0, int(found[1])) + 1 if found else 0
        raise bad_nodes(NAME, f"not valid JSON: {_BYTE.sub('', str(error))}; correct it.", line) from error
    except UnicodeEncodeError as error:
        raise bad_nodes(NAME, "half a character stands in the text; correct it.") from error
    except RecursionError as error:
        raise bad_nodes(NAME, "too many lists and maps inside one another; flatten the document.") from error


def _nodes(document: bytes) -> Iterator[Node]:
    """The nodes of a document; a long one is decoded node by node, so that other threads get their turn between."""
    kind = _KINDS.get(document[:_BEGINNING].lstrip()[:1]) if len(document) > _LONG_BYTES else None
    if kind is None:
        return _nodes_in(msgspec.json.decode(document), lambda entry: entry)
    try:
        return iter(list(_nodes_in(msgspec.json.decode(document, type=kind), msgspec.json.decode)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # decoded as a whole it goes wrong, too, and tells the place of the fault
        return _nodes_in(msgspec.json.decode(document), lambda entry: entry)


def _nodes_in(data: Any, value_of: Callable[[Any], Any]) -> Iterator[Node]:
    if isinstance(data, dict):
        for key, raw in data.items():
            if isinstance(entry := value_of(raw), dict):
                yield _node(key, entry)
    elif isinstance(data, list):
        for number, raw in enumerate(data, start=1):
            if isinstance(entry := value_of(raw), dict) and NODE_NAME in entry:
                if entry[NODE_NAME] is None or isinstance(entry[NODE_NAME], list | dict):
                    raise bad_nodes(NAME, f"the nodename of entry {number} is no text; name the node.")
                yield _node("", entry)
    else:
        raise bad_nodes(
            NAME, "the document is neither a map nor a list; write {name: {...}} or [{nodename: ...}].", 1
        )


def _node(key: str, entry: dict[str, Any]) -> Node:
    attributes = {
        name: printed(value)
        for name, value in entry.items()
        if value is not None and not isinstance(value, list | dict)
    }
    return node_of(attributes.get(NODE_NAME, key), attributes, _tags(entry.get(TAGS)))


def _tags(value: Any) -> list[str]:
    if isinstance(value, list):
        return [_flat(tag) for tag in value if tag is not None]
    if value is None or isinstance(value, dict) or is_blank(printed(value)):
        return []
    return split(_SEPARATOR.sub(",", printed(value)), ",")


def _flat(tag: Any) -> str:
    if isinstance(tag, list | dict):
        raise bad_nodes(NAME, "a tag is a list or a map; write texts.")
    return printed(tag)


def write(nodes: Iterable[Node]) -> str:
    """A map of nodes by name, every attribute a text, tags joined: as the original writes it, but sorted."""
    listed = by_name(nodes)
    for node in listed:
        check_texts(node, NAME, "", "holds half a character; correct it.")
    data = msgspec.json.encode({node.name: attributes_of(node) for node in listed})
    return msgspec.json.format(data, indent=2).decode() + "\n"
