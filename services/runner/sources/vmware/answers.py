"""Reads the answers of the property collector, which are the bulk of what a vCenter sends.

The library would make an object of each value and check its type: several times the work, and an answer with a type
that the library does not know yet is lost to it. In the answer all single values are the texts that are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Final
from xml.etree.ElementTree import Element, parse

from services.runner.sources.vmware.entities import Entity, Kind
from services.runner.sources.vmware.paths import ADDRESSES

_KINDS: Final = {**{str(kind): kind for kind in Kind}, "ClusterComputeResource": Kind.CLUSTER}
_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"
_ANSWERS: Final = {"RetrievePropertiesExResponse", "ContinueRetrievePropertiesExResponse"}
_DENIED: Final = "NoPermission"
_NOTHING: Final = Element("nothing")


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: a RetrieveResult."""

    entities: list[Entity]
    token: str
    """What fetches the next page; empty: this is the last."""


def page_of(answer: IO[bytes]) -> Page:
    """Raises ``xml.etree.ElementTree.ParseError`` where it is not XML, ``ValueError`` where it is no such answer."""
    envelope = parse(answer).getroot()  # noqa: S314  (expat itself refuses entities that swell)
    answers = [each for body in envelope for each in body if _name(each) in _ANSWERS]
    if not answers:
        raise ValueError("no answer of a property collector")
    entities, token = [], ""
    for part in (part for each in answers for result in each for part in result):
        if _name(part) == "token":
            token = part.text or ""
        elif _name(part) == "objects" and (entity := _entity(part)) is not None:
            entities.append(entity)
    return Page(entities, token)


def _entity(content: Element) -> Entity | None:
    """From an ObjectContent; None: its kind is not wanted, such as a kind of folder for disks only."""
    kind, id_ = None, ""
    values: dict[str, str] = {}
    addresses: tuple[str, ...] = ()
    denied: list[str] = []
    for part in content:
        name = _name(part)
        if name == "obj":
            kind, id_ = _KINDS.get(part.get("type", "")), part.text or ""
            continue
        path, value = _pair(part)
        if name == "missingSet":
            denied += [path] if _is_denied(value) else []
        elif path == ADDRESSES:
            addresses = tuple(_addresses(value))
        elif value.text and not len(value):
            values[path] = value.text
    return None if kind is None else Entity(kind, id_, values, addresses, tuple(denied))


def _pair(part: Element) -> tuple[str, Element]:
    """The path, and the value or what keeps it back; some servers write neither where it is not set."""
    path, value = "", _NOTHING
    for each in part:
        if _name(each) in ("name", "path"):
            path = each.text or ""
        else:
            value = each
    return path, value


def _is_denied(fault: Element) -> bool:
    """From a LocalizedMethodFault."""
    return any(_name(part) == "fault" and part.get(_TYPE, "").endswith(_DENIED) for part in fault)


def _addresses(cards: Element) -> list[str]:
    return [part.text for card in cards for part in card if _name(part) == "ipAddress" and part.text]


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]
