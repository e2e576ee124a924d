"""Asking the service nodesource: what is too large for a message goes and comes as a parcel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import structlog

from bus.connection import Bus
from bus.parcels import Parcels
from schemas import catalog
from schemas.codec import decode, encode
from schemas.errors import RunbusError
from schemas.nodes import Node, NodeList, NodeListReply, NodeListRequest, NodeLoadReply, NodeLoadRequest
from schemas.subjects import Subjects

SLICE: Final = 500
"""Nodes of one line: encoded or decoded in a millisecond or two."""
_MAX_TAG_LISTS: Final = 1024
ANSWER_TTL_S: Final = 600.0
"""How long a parcel of an answer is kept for whoever asked."""
_HEADROOM_BYTES: Final = 1024
_MAX_INLINE_BYTES: Final = 512 << 10

log = structlog.get_logger("nodes")


async def find_nodes(
    bus: Bus, subjects: Subjects, request: NodeListRequest, *, timeout_s: float = 30.0
) -> NodeListReply:
    """The nodes that a filter selects, however many: ``nodes`` is filled, also where they came as a parcel.

    Raises what the service answers (``unknown_project``, ``invalid_selector``), ``unavailable`` where it does not,
    ``parcel_lost``.
    """
    reply = await bus.call(subjects, catalog.NODE_LIST, request, timeout_s=timeout_s)
    if not reply.parcel:
        return reply
    lines = await taken(Parcels(bus, subjects.parcels_bucket), reply.parcel)
    return msgspec.structs.replace(reply, nodes=await nodes_of(lines), parcel="")


async def load_nodes(
    bus: Bus, subjects: Subjects, request: NodeLoadRequest, *, timeout_s: float = 120.0
) -> NodeLoadReply:
    """Replace a project's nodes by those of ``request.text``, however long it is.

    Raises what the service answers (``invalid_message`` with the place of the fault, ``unknown_project``) and
    ``unavailable``.
    """
    room_bytes = bus.max_payload_bytes - _HEADROOM_BYTES
    if len(request.text) <= room_bytes and len(encode(request)) <= room_bytes:
        return await bus.call(subjects, catalog.NODE_LOAD, request, timeout_s=timeout_s)
    parcels = Parcels(bus, subjects.parcels_bucket)
    name = await parcels.put(request.text.encode())
    try:
        parked = msgspec.structs.replace(request, text="", parcel=name)
        return await bus.call(subjects, catalog.NODE_LOAD, parked, timeout_s=timeout_s)
    finally:
        await _discard(parcels, name)


async def parked(bus: Bus, parcels: Parcels, lines: bytes) -> str:
    """The name of a parcel with these lines, kept for ten minutes; empty where a message holds them."""
    if len(lines) <= min(_MAX_INLINE_BYTES, bus.max_payload_bytes // 2):
        return ""
    return await parcels.put(lines, ttl_s=ANSWER_TTL_S)


async def taken(parcels: Parcels, name: str) -> bytes:
    """The lines of a parcel, which is then removed. Raises ``parcel_lost``, ``unavailable``."""
    lines = await parcels.get(name)
    await _discard(parcels, name)
    return lines


async def _discard(parcels: Parcels, name: str) -> None:
    """Remove what is not needed any more; where that fails it ends with its time."""
    try:
        await parcels.remove(name)
    except RunbusError as error:
        log.info("parcel.left", parcel=name, error=error.message)


def lines_of(nodes: Sequence[Node]) -> Iterator[bytes]:
    """Nodes as lists of nodes, one a line: the form in which they are stored and parked."""
    for first in range(0, len(nodes), SLICE):
        yield encode(NodeList(nodes=list(nodes[first : first + SLICE]))) + b"\n"


async def nodes_of(data: bytes) -> list[Node]:
    """The nodes of lines; others get their turn after each. Raises ``invalid_message``."""
    nodes: list[Node] = []
    known: dict[tuple[str, ...], list[str]] = {}
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        nodes += _sharing_tags(decode(data[start:end], NodeList).nodes, known)
        start = end + 1
        await asyncio.sleep(0)
    return nodes


def _sharing_tags(nodes: list[Node], known: dict[tuple[str, ...], list[str]]) -> list[Node]:
    """One list for all nodes with the same tags: a hundred thousand lists are a pause of the garbage collector."""
    if len(known) > _MAX_TAG_LISTS:
        known.clear()
    for node in nodes:
        tags = known.setdefault(tuple(node.tags), node.tags)
        if tags is not node.tags:
            msgspec.structs.force_setattr(node, "tags", tags)
    return nodes
