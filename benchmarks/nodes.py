"""Nodes: filtered and ordered in this process, and listed by the service without holding its event loop up."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from benchmarks.pauses import Pauses, watched
from benchmarks.report import Row, Step, percentile, summary
from domain.nodes.filters import combined
from domain.nodes.formats import read_nodes, write_nodes
from domain.nodes.listing import listed_nodes
from domain.nodes.ordering import ordered_nodes
from domain.nodes.selection import select_nodes
from schemas.nodes import Node, NodeListRequest

FEW: Final = 1_000
MANY: Final = 100_000
FEW_AIM_MS: Final = 20.0
MANY_AIM_MS: Final = 500.0
PAUSE_AIM_MS: Final = 50.0
FILTERS: Final = (
    "tags: web+prod !region: r[12] osFamily: unix",
    r"name: host-.*[05]\.example\.com",
    r"hostname: /10\.\d+\.\d+\.1?2/ tags: db,web",
)
"""A plain one, a regex over every name, and both with a list of tags."""
_MS: Final = 1000.0


async def measure(*, blocks: int, step: Step) -> list[Row]:
    """Each figure so many times; the slowest filter counts."""
    few = await asyncio.to_thread(read_nodes, "resourceyaml", write_nodes("resourceyaml", sample(FEW)))
    many = sample(MANY)
    gc.freeze()  # as the service does with an inventory of this size
    took: dict[str, list[float]] = {"few": [], "many": [], "pause": [], "listing": []}
    for _ in range(blocks):
        took["few"] += [_timed(partial(_dispatched, few, text)) for text in FILTERS]
        took["many"] += [_timed(partial(_filtered, many, text)) for text in FILTERS]
        listing, pause = await _listed_aside(many)
        took["listing"].append(listing)
        took["pause"].append(pause)
        step()
    return _rows(took)


def sample(count: int) -> list[Node]:
    """Nodes with attributes as inventories have them, sorted by name."""
    return [
        Node(
            name=f"host-{number:06}.example.com",
            attributes={
                "hostname": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
                "osFamily": "unix" if number % 3 else "windows",
                "rank": str(number % 97),
                "region": f"r{number % 7}",
                "username": "deploy",
            },
            tags=sorted({"web" if number % 2 else "db", f"z{number % 5}", "prod"}),
        )
        for number in range(count)
    ]


def _dispatched(nodes: Sequence[Node], text: str) -> list[Node]:
    return ordered_nodes(select_nodes(nodes, combined(text)), rank_attribute="rank")


def _filtered(nodes: Sequence[Node], text: str) -> list[Node]:
    return select_nodes(nodes, combined(text))


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


async def _listed_aside(nodes: list[Node]) -> Pauses:
    """As the service does it, in a thread."""
    request = NodeListRequest(filter="tags: prod", rank_attribute="rank")
    _, pauses = await watched(asyncio.to_thread(listed_nodes, nodes, request))
    return pauses


def _rows(took: dict[str, list[float]]) -> list[Row]:
    return [
        _row(f"{FEW:,} nodes filtered and ordered", took["few"], FEW_AIM_MS),
        _row(f"{MANY:,} nodes filtered", took["many"], MANY_AIM_MS),
        _row(f"{MANY:,} nodes, all, ordered", took["listing"], None),
        _row("longest pause meanwhile", took["pause"], PAUSE_AIM_MS),
    ]


def _row(figure: str, samples: list[float], aim_ms: float | None) -> Row:
    measured = percentile(samples, 95) * _MS
    return Row(
        figure=figure,
        unit="ms",
        measured=measured,
        aim="" if aim_ms is None else f"< {aim_ms:g} ms",
        met=None if aim_ms is None else measured < aim_ms,
        samples={"all": summary(samples, scale=_MS)},
    )
