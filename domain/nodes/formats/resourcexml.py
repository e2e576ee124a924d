"""``resourcexml``: ``<project><node name=... /></project>`` ("Node sources", formats, XML)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from domain.nodes.errors import bad_nodes, shown
from domain.nodes.formats.parts import MAX_BYTES, TAG_SEPARATOR, Document, check_texts, node_of, tag_list
from domain.nodes.formats.repeats import warnings_of
from domain.nodes.javatext import split, trim
from domain.nodes.selection import TAGS, by_name
from schemas.nodes import Node

NAME: Final = "resourcexml"
_NODE_DEPTH: Final = 2
_ATTRIBUTE_DEPTH: Final = 3
_ATTRIBUTE_NAME: Final = re.compile(r"(?![xX][mM][lL])[A-Za-z][A-Za-z0-9_-]*\Z")
_ESCAPES: Final = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_UNFIT: Final = "".join(map(chr, (*range(9), 11, 12, *range(14, 32)))) + "\ufffe\uffff"


def read(document: bytes | str) -> Document:
    """The nodes of a document.

    The root's name does not matter, only its direct ``node`` children count, and theirs named ``attribute``, which
    override the XML attributes; nodes of one name are merged, and warned of. A node without ``name`` is an error, as
    is an ``attribute`` without; and a declaration of entities, of whatever kind, which is not read at all.
    """
    if len(document) > MAX_BYTES:
        raise bad_nodes(NAME, f"longer than {MAX_BYTES >> 20} MiB; split the document.")
    reader = _Reader("utf-8" if isinstance(document, str) else None)
    try:
        reader.parser.Parse(document.encode() if isinstance(document, str) else document, True)
    except expat.ExpatError as error:
        reason = expat.errors.messages.get(error.code, str(error))
        raise bad_nodes(NAME, f"not valid XML: {reason}; correct it.", error.lineno) from error
    except UnicodeEncodeError as error:
        raise bad_nodes(NAME, "half a character stands in the text; correct it.") from error
    except (ValueError, LookupError) as error:
        # the declaration stands in the first line, or it is none
        raise bad_nodes(NAME, "the encoding it declares is not read; save it as UTF-8.", 1) from error
    nodes = by_name([_node(name, properties) for name, properties in reader.found.items()])
    return Document(nodes, warnings_of(reader.repeated, "what is said of each name is put together"))


class _Reader:
    """Follows the parser down to the children of the nodes; what is deeper is passed over."""

    def __init__(self, encoding: str | None) -> None:
        self.found: dict[str, dict[str, str]] = {}
        self.repeated: set[str] = set()
        self._depth = 0
        self._properties: dict[str, str] | None = None
        self._attribute: str | None = None
        self._text: list[str] = []
        self.parser = expat.ParserCreate(encoding, "}")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.EntityDeclHandler = self._refuse
        self.parser.SkippedEntityHandler = self._refuse
        self.parser.AttlistDeclHandler = self._refuse_default

    def _error(self, reason: str) -> Exception:
        return bad_nodes(NAME, reason, self.parser.CurrentLineNumber)

    def _refuse(self, name: str, *_: object) -> None:
        raise self._error(f"entity {shown(str(name))}: entities are not read; write the text itself.")

    def _refuse_default(self, _element: str, name: str, _type: str, default: str | None, _required: int) -> None:
        if default is not None:
            raise self._error(f"attribute {shown(name)}: declared values are not read; write the value in each node.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == _NODE_DEPTH:
            self._properties = None
            if name == "node":
                if "name" not in attributes:
                    raise self._error("a node has no 'name'; give it one.")
                if attributes["name"] in self.found:
                    self.repeated.add(attributes["name"])
                self._properties = self.found.setdefault(attributes["name"], {})
                self._properties.update({key.rpartition("}")[2]: value for key, value in attributes.items()})
        elif self._depth == _ATTRIBUTE_DEPTH and name == "attribute" and self._properties is not None:
            if "name" not in attributes:
                raise self._error("an attribute element has no 'name'; give it one.")
            self._attribute, self._text = attributes["name"], []
            if "value" in attributes:
                self._properties[self._attribute] = attributes["value"]
                self._attribute = None

    def _characters(self, text: str) -> None:
        if self._attribute is not None and self._depth == _ATTRIBUTE_DEPTH:
            self._text.append(text)

    def _end(self, _name: str) -> None:
        if self._depth == _ATTRIBUTE_DEPTH and self._attribute is not None and self._properties is not None:
            self._properties[self._attribute] = "".join(self._text)
            self._attribute = None
        self._depth -= 1


def _node(name: str, properties: dict[str, str]) -> Node:
    attributes = {key: value for key, value in properties.items() if key not in ("name", "nodename")}
    tags = properties.get(TAGS, "")
    return node_of(name, attributes, tag_list(trim(tag) for tag in split(tags, ",")) if tags else [])


def write(nodes: Iterable[Node]) -> str:
    """A ``project`` of nodes: attributes whose names XML does not take stand in ``attribute`` elements.

    As the original writes it, but sorted, and without an empty attribute for each that the node does not have.
    """
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "", "<project>"]
    for node in by_name(nodes):
        check_texts(node, NAME, _UNFIT, "holds a character that cannot stand in XML; take it out.")
        lines.extend(_element(node))
    return "\n".join([*lines, "</project>", ""])


def _element(node: Node) -> list[str]:
    plain: dict[str, str] = {"name": node.name}
    if node.tags:
        plain[TAGS] = TAG_SEPARATOR.join(node.tags)
    others: dict[str, str] = {}
    for key, value in sorted(node.attributes.items()):
        if key in ("name", "nodename", TAGS):
            continue
        (plain if _ATTRIBUTE_NAME.match(key) else others)[key] = value
    opening = "  <node " + " ".join(f"{key}={quoteattr(value, _ESCAPES)}" for key, value in plain.items())
    if not others:
        return [f"{opening}/>"]
    children = [
        f"    <attribute name={quoteattr(key, _ESCAPES)} value={quoteattr(value, _ESCAPES)}/>"
        for key, value in others.items()
    ]
    return [f"{opening}>", *children, "  </node>"]
