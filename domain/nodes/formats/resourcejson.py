"""``resourcejson``: a map of nodes by name, or a list of nodes ("Node sources", formats, JSON)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import msgspec

from domain.nodes.errors import bad_nodes
from domain.nodes.formats.parts import (
    MAX_BYTES,
    MAX_SHARED_CHARS,
    Document,
    attributes_of,
    bytes_of,
    check_texts,
    document_of,
    node_of,
    tag_list,
    text_of,
)
from domain.nodes.formats.repeats import repeated_in
from domain.nodes.javatext import is_blank, printed, split
from domain.nodes.selection import NODE_NAME, TAGS, by_name
from schemas.errors import RunbusError
from schemas.nodes import Node

NAME: Final = "resourcejson"
_BYTE: Final = re.compile(r" *\(byte (\d+)\)")
_SEPARATOR: Final = re.compile(", *")
_SLICE_BYTES: Final = 256 << 10
"""Decoded in a millisecond or two."""
_BORDER: Final = re.compile(rb'\}\s*+(,)(?=\s*+["{])')
"""Where one node may end and the next begin: or it is in a text, or between maps within a node."""
_WINDOW_BYTES: Final = 64 << 10
_MAX_TRIES: Final = 16
_BEGINNING: Final = 1000
_CLOSING: Final = {b"{": b"}", b"[": b"]"}


def read(document: bytes | str) -> Document:
    """The nodes of a document.

    A ``nodename`` in the entry overrides the key; in a list, entries without one are skipped, as is everywhere what
    is no map. Attributes that are null, a list or a map are dropped; a list of tags is taken.
    """
    try:
        data = bytes_of(document, NAME, MAX_BYTES)
    except UnicodeEncodeError as error:
        raise bad_nodes(NAME, "half a character stands in the text; correct it.") from error
    try:
        return document_of(*_nodes(data))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        text_of(document, NAME, MAX_BYTES)  # tells the line of what is not UTF-8
        found = _BYTE.search(str(error))
        line = data.count(b"\n", 0, int(found[1])) + 1 if found else 0
        raise bad_nodes(NAME, f"not valid JSON: {_BYTE.sub('', str(error))}; correct it.", line) from error
    except RecursionError as error:
        raise bad_nodes(NAME, "too many lists and maps inside one another; flatten the document.") from error


def _nodes(document: bytes) -> tuple[list[Node], set[str]]:
    """All nodes, and the keys of which others than the last are not among them any more."""
    try:
        return _nodes_in(_pieces(document))
    except (_NoBorderError, msgspec.DecodeError, UnicodeDecodeError, RecursionError, RunbusError):
        # where a piece has a fault, the whole tells its place
        return _nodes_in([_Piece(document)])


class _Piece:
    """A document, or a part of one that is a document itself, and what it holds."""

    def __init__(self, text: bytes) -> None:
        self.value: Any = msgspec.json.decode(text)
        self._text = text

    def repeated(self, maps: int) -> set[str]:
        """Of a map with so many maps in it: the keys that stand in it more than once, of which the last are here.

        Each map ends with a brace of its own: where there is no other brace, no map is missing.
        """
        if self._text.count(b"}") == maps + 1:
            return set()
        with suppress(RecursionError):
            return repeated_in(json.loads(self._text, object_pairs_hook=_keys, parse_int=str, parse_float=str))
        return set()


def _keys(pairs: list[tuple[str, Any]]) -> list[str]:
    return [key for key, _ in pairs]


class _NoBorderError(Exception):
    """The document has to be decoded as a whole."""


def _pieces(document: bytes) -> Iterator[_Piece]:
    """The document, decoded; a long one as several maps, or lists, so that other threads get their turn between."""
    opening = document[:_BEGINNING].lstrip()[:1]
    start, before = 0, b""
    while opening in _CLOSING and len(document) - start > _SLICE_BYTES:
        piece, start = _piece(document, start, before, _CLOSING[opening])
        yield piece
        before = opening
    yield _Piece(before + document[start:] if start else document)


def _piece(document: bytes, start: int, before: bytes, closing: bytes) -> tuple[_Piece, int]:
    """A piece from ``start`` on, and where the next one begins.

    A comma stands between two nodes exactly where what is before it, closed there, is valid: it is read from left
    to right, and ``start`` is such a place.
    """
    at = start + _SLICE_BYTES
    for border in islice(_BORDER.finditer(document, at, at + _WINDOW_BYTES), _MAX_TRIES):
        with suppress(msgspec.DecodeError):
            return _Piece(b"".join((before, document[start : border.start(1)], closing))), border.end(1)
    raise _NoBorderError


def _nodes_in(pieces: Iterable[_Piece]) -> tuple[list[Node], set[str]]:
    """The nodes; of a key that is repeated, the last value holds in the place of the first."""
    keyed: dict[str, Node | None] = {}
    listed: list[Node] = []
    repeated: set[str] = set()
    number = 0
    for piece in pieces:
        value = piece.value
        if isinstance(value, dict):
            found = {key: _node(key, entry) if isinstance(entry, dict) else None for key, entry in value.items()}
            repeated |= piece.repeated(sum(node is not None for node in found.values()))
            repeated |= found.keys() & keyed.keys()
            keyed |= found
        elif isinstance(value, list):
            for number, entry in enumerate(value, start=number + 1):  # noqa: B020 (it goes on counting)
                if isinstance(entry, dict) and NODE_NAME in entry:
                    listed.append(_node(_named(entry, number), entry))
        else:
            raise bad_nodes(
                NAME, "the document is neither a map nor a list; write {name: {...}} or [{nodename: ...}].", 1
            )
    return listed or [node for node in keyed.values() if node is not None], repeated


def _named(entry: dict[str, Any], number: int) -> str:
    name = _text(entry[NODE_NAME])
    if name is None:
        raise bad_nodes(NAME, f"the nodename of entry {number} is no text; name the node.")
    return name


def _node(key: str, entry: dict[str, Any]) -> Node:
    attributes = {
        name: text
        for name, value in entry.items()
        if (text := value if type(value) is str else _text(value)) is not None
    }
    return node_of(attributes.get(NODE_NAME, key), attributes, _tags(entry.get(TAGS)))


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, list | dict) else printed(value)


def _tags(value: Any) -> list[str]:
    if isinstance(value, list):
        return tag_list(_flat(tag) for tag in value if tag is not None)
    text = _text(value)
    if text is None:
        return []
    return _tags_in_short(text) if len(text) <= MAX_SHARED_CHARS else _tags_in(text)


def _tags_in(text: str) -> list[str]:
    return [] if is_blank(text) else tag_list(split(_SEPARATOR.sub(",", text), ","))


_tags_in_short: Final = lru_cache(maxsize=1024)(_tags_in)
"""Most texts of tags are those of many nodes."""


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
