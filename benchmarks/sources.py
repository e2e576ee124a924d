"""Node sources: a large file through a runner into the inventory, by the whole path, and who waits meanwhile."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from benchmarks.nodes import MANY, MANY_AIM_MS, PAUSE_AIM_MS, sample
from benchmarks.report import Row, Step, summary
from benchmarks.site import RUNNER_ID, Site
from bus.nodes import find_nodes
from domain.nodes.formats import write_nodes
from schemas import catalog
from schemas.api import PingRequest
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.nodes import NodeListRequest
from schemas.sources import SourceDefinition, SourcePutRequest, SourceRefreshRequest, SourceState

AIM_S: Final = 5.0
_MS: Final = 1000.0
_TICK_S: Final = 0.002
_TIMEOUT_S: Final = 120.0
_FORMATS: Final = {"JSON": "resourcejson", "YAML": "resourceyaml"}


async def measure(running: Site, *, blocks: int, step: Step) -> list[Row]:
    """Each figure so many times; each refresh finds every node changed, but for those that find none."""
    took: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="runbus-bench-") as directory:
        for label, form in _FORMATS.items():
            file = Path(directory) / f"nodes.{label.lower()}"
            await _put(running, label, form, file)
            for block in range(blocks):
                await _round(running, label, form, file, block, took)
                step()
    return _rows(took)


async def _round(running: Site, label: str, form: str, file: Path, block: int, took: dict[str, list[float]]) -> None:
    await asyncio.to_thread(_write, file, form, block)
    waits: dict[str, list[float]] = {"runner": [0.0], "nodesource": [0.0]}
    async with _asking(running, waits):
        took.setdefault(f"{MANY:,} nodes from a {label} file", []).append(
            await _timed(lambda: _refresh(running, label))
        )
        took.setdefault(f"the same again, unchanged, {label}", []).append(
            await _timed(lambda: _refresh(running, label))
        )
    for who, waited in waits.items():
        took.setdefault(f"longest wait for the {who}", []).append(max(waited))
    request = NodeListRequest(filter="tags: web+prod !region: r[12] osFamily: unix", names_only=True, limit=1)
    took.setdefault("a filter over them, by request", []).append(
        await _timed(lambda: find_nodes(running.client.bus, running.client.subjects, request))
    )


def _write(file: Path, form: str, block: int) -> None:
    nodes = sample(MANY)
    for node in nodes:
        node.attributes["block"] = f"b{block}"
    file.write_text(write_nodes(form, nodes), encoding="utf-8")


async def _put(running: Site, label: str, form: str, file: Path) -> None:
    source = SourceDefinition(
        name=label, type="file", config={"file": str(file), "format": form}, interval_s=0.0, timeout_s=_TIMEOUT_S,
        runner=RunnerSelector(mode=SelectorMode.TAGS, filter="LINUX+BENCH"),
    )  # fmt: skip
    await asyncio.to_thread(_write, file, form, -1)
    await running.client.call(catalog.SOURCE_PUT, SourcePutRequest(source=source))
    await _refresh(running, label)


async def _refresh(running: Site, label: str) -> SourceState:
    """Raises ``RuntimeError`` unless it succeeds: a failure must not be measured."""
    request = SourceRefreshRequest(name=label)
    state = (await running.client.call(catalog.SOURCE_REFRESH, request, timeout_s=_TIMEOUT_S)).state
    if state.error is not None or state.count != MANY:
        raise RuntimeError(f"{label}: {state.count} nodes, {state.error}")
    return state


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


@asynccontextmanager
async def _asking(running: Site, waits: dict[str, list[float]]) -> AsyncIterator[None]:
    """Ask both event loops for a word all the while: how long they take is no less than their longest pause."""

    async def runner() -> object:
        return await running.client.call(catalog.PING, PingRequest(), runner=RUNNER_ID)

    async def nodesource() -> object:
        return await running.client.bus.client.request("$SRV.PING.runbus-nodesource", b"", timeout=5.0)

    async def keep_asking(ask: Callable[[], Awaitable[object]], waited: list[float]) -> None:
        while not done.is_set():
            waited.append(await _timed(ask))
            await asyncio.sleep(_TICK_S)

    done = asyncio.Event()  # not cancelled: Python 3.11's wait_for, which nats-py uses, may swallow that
    asking = asyncio.gather(keep_asking(runner, waits["runner"]), keep_asking(nodesource, waits["nodesource"]))
    try:
        yield
    finally:
        done.set()
        await asking


def _rows(took: dict[str, list[float]]) -> list[Row]:
    return [_row(figure, samples) for figure, samples in took.items()]


def _row(figure: str, samples: list[float]) -> Row:
    measured = sorted(samples)[len(samples) // 2]
    if figure.startswith("longest"):
        return _in_ms(figure, max(samples), samples, PAUSE_AIM_MS)
    if figure.startswith("a filter"):
        return _in_ms(figure, measured, samples, MANY_AIM_MS)
    aim_s = AIM_S if figure.startswith(f"{MANY:,}") else None
    return Row(
        figure=figure, unit="s", measured=measured, aim="" if aim_s is None else f"< {aim_s:g} s",
        met=None if aim_s is None else measured < aim_s, samples={"all": summary(samples)},
    )  # fmt: skip


def _in_ms(figure: str, measured_s: float, samples: list[float], aim_ms: float) -> Row:
    measured = measured_s * _MS
    return Row(
        figure=figure, unit="ms", measured=measured, aim=f"< {aim_ms:g} ms", met=measured < aim_ms,
        samples={"all": summary(samples, scale=_MS)},
    )  # fmt: skip
