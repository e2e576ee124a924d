"""Documents of nodes: read in each format, beside libyaml alone, and without holding an event loop up."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from functools import partial
from typing import Any, Final

import yaml

from benchmarks.nodes import MANY, PAUSE_AIM_MS, sample
from benchmarks.pauses import watched
from benchmarks.report import Row, Step, percentile, summary
from domain.nodes.formats import NAMES, read_nodes, resourceyaml, write_nodes
from schemas.nodes import Node

RATIO_AIM: Final = 1.5
YAML_AIM_S: Final = 4.0
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ANCHORED: Final = "resourceyaml with an anchor"
"""A single anchor has the parser read the whole document, instead of its odd entries only."""
_MS: Final = 1000.0
_MB: Final = 1e6


async def measure(*, blocks: int, step: Step) -> list[Row]:
    """Each figure so many times; libyaml and the memory once, as they take long. In a process with little in it."""
    nodes = await asyncio.to_thread(sample, MANY)
    documents = {name: (name, write_nodes(name, nodes).encode()) for name in NAMES}
    documents[_ANCHORED] = _anchored(documents[resourceyaml.NAME][1])
    del nodes
    took: dict[str, list[float]] = {name: [] for name in documents}
    pauses: dict[str, list[float]] = {name: [] for name in documents}
    for _ in range(blocks):
        for name, document in documents.items():
            _, found = await watched(asyncio.to_thread(_read, document))
            took[name].append(found.took_s)
            pauses[name].append(found.longest_s)
        step()
    floor_s = await asyncio.to_thread(_loaded, documents[resourceyaml.NAME][1])
    peaks = {name: await asyncio.to_thread(_peak_mb, document) for name, document in documents.items()}
    return [row for name in documents for row in _rows(name, took[name], pauses[name], floor_s, peaks[name])]


def _anchored(document: bytes) -> tuple[str, bytes]:
    first, _, rest = document.partition(b"\n")
    return resourceyaml.NAME, first + b" &first\n" + rest


def _read(document: tuple[str, bytes]) -> list[Node]:
    found = read_nodes(*document)
    if len(found) != MANY:
        raise RuntimeError(f"{len(found)} nodes were read instead of {MANY}")
    return found


def _loaded(document: bytes) -> float:
    text = document.decode()
    load = partial(yaml.load, text, Loader=_LOADER)
    began = time.perf_counter()
    load()
    return time.perf_counter() - began


def _peak_mb(document: tuple[str, bytes]) -> float:
    """What reading needs at its peak, the nodes included, the document itself not."""
    tracemalloc.start()
    try:
        _read(document)
        return tracemalloc.get_traced_memory()[1] / _MB
    finally:
        tracemalloc.stop()


def _rows(name: str, took: list[float], pauses: list[float], floor_s: float, peak_mb: float) -> list[Row]:
    seconds, pause_ms = percentile(took, 50), percentile(pauses, 95) * _MS
    has_floor = name.startswith(resourceyaml.NAME)
    is_plain = name == resourceyaml.NAME
    ratio = seconds / floor_s if has_floor else None
    return [
        Row(
            figure=f"{MANY:,} nodes, {name}",
            unit="s",
            measured=seconds,
            floor=floor_s if has_floor else None,
            ratio=ratio,
            aim=f"< {YAML_AIM_S:g} s" if is_plain else (f"<= {RATIO_AIM:g} x" if has_floor else ""),
            met=seconds < YAML_AIM_S if is_plain else (None if ratio is None else ratio <= RATIO_AIM),
            samples={"all": summary(took)},
        ),
        Row(
            figure="longest pause meanwhile",
            unit="ms",
            measured=pause_ms,
            aim=f"< {PAUSE_AIM_MS:g} ms",
            met=pause_ms < PAUSE_AIM_MS,
            samples={"all": summary(pauses, scale=_MS)},
        ),
        Row(figure="memory at its peak", unit="MB", measured=peak_mb),
    ]
