"""Whole assignments as parcels: lines that are read one by one, so that thousands of nodes hold nobody up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec

from bus.nodes import SLICE
from bus.parcels import Parcels
from schemas.codec import decode, encode
from schemas.events import Assignment, CalledJob, Dispatch
from schemas.nodes import Node

_OWN = ""


class _Share(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line behind the first: some of the nodes of the call at this place, or of the assignment itself."""

    place: str = _OWN
    nodes: list[Node] = []


async def park_plan(parcels: Parcels, plan: Assignment) -> str:
    """Park an assignment; returns the parcel's name. Raises ``too_large``, ``unavailable``."""
    lines: list[bytes] = []
    for line in _lines(plan):
        lines.append(line)
        await asyncio.sleep(0)
    return await parcels.put(b"\n".join(lines))


async def read_plan(parcels: Parcels, name: str, *, with_nodes: bool = True) -> Assignment:
    """The assignment that was parked; without its nodes where they are not wanted.

    Raises ``parcel_lost``, ``unavailable``, ``invalid_message``.
    """
    data = await parcels.get(name)
    end = data.find(b"\n")
    head = decode(data if end < 0 else data[:end], Assignment)
    if end < 0 or not with_nodes:
        return head
    nodes: dict[str, list[Node]] = {}
    start = end + 1
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        share = decode(data[start:end], _Share)
        nodes.setdefault(share.place, []).extend(share.nodes)
        start = end + 1
        await asyncio.sleep(0)
    return _filled(head, nodes)


def _lines(plan: Assignment) -> Iterator[bytes]:
    """The assignment without its nodes, then these."""
    yield encode(_filled(plan, {}))
    for place, dispatch in [(_OWN, plan.dispatch), *((place, call.dispatch) for place, call in plan.calls.items())]:
        nodes = dispatch.nodes if dispatch else []
        for first in range(0, len(nodes), SLICE):
            yield encode(_Share(place=place, nodes=nodes[first : first + SLICE]))


def _filled(plan: Assignment, nodes: dict[str, list[Node]]) -> Assignment:
    def dispatch(of: Dispatch | None, place: str) -> Dispatch | None:
        return msgspec.structs.replace(of, nodes=nodes.get(place, [])) if of else None

    def call(of: CalledJob, place: str) -> CalledJob:
        return msgspec.structs.replace(of, dispatch=dispatch(of.dispatch, place))

    return msgspec.structs.replace(
        plan,
        dispatch=dispatch(plan.dispatch, _OWN),
        calls={place: call(each, place) for place, each in plan.calls.items()},
    )
