"""From a child's standard output to a follower: in bulk, and line by line."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from benchmarks.rawlog import RawLog, raw_log
from benchmarks.report import Row, Step, Summary, summary
from benchmarks.site import Site
from runbus.client import LogPiece
from schemas.states import ExecutionState

LINE: Final = b"x" * 99 + b"\n"
AIM: Final = 1.5
_MB: Final = 1_000_000


async def measure(site: Site, *, megabytes: int, lines: int, blocks: int, step: Step) -> list[Row]:
    """Blocks of the floors and of logs by turns; a figure is the median of its blocks."""
    size = megabytes * _MB // len(LINE) * len(LINE)
    mb_per_s: dict[str, list[float]] = {"log": [], "publish": [], "publish_and_follow": []}
    lines_per_s: dict[str, list[float]] = {"log": [], "pipe": []}
    async with raw_log(site.url) as raw, _source(size) as path:
        for _ in range(blocks):
            await _bulk(site, raw, path, size, mb_per_s)
            await _single_lines(site, lines, lines_per_s)
            step()
    bulk, single = ({name: summary(values) for name, values in found.items()} for found in (mb_per_s, lines_per_s))
    return [*_bulk_rows(bulk), _lines_row(single)]


async def _bulk(site: Site, raw: RawLog, path: Path, size: int, mb_per_s: dict[str, list[float]]) -> None:
    """The child is ``cat``: it costs the least, and what it costs is not ours."""
    mb_per_s["publish"].append(size / _MB / await raw.publish(size))
    mb_per_s["publish_and_follow"].append(size / _MB / await raw.publish_and_follow(size))
    mb_per_s["log"].append(size / _MB / await follow(site, f"cat {path}", size))


async def _single_lines(site: Site, lines: int, lines_per_s: dict[str, list[float]]) -> None:
    """The child writes each line by itself; its floor is nothing but reading its pipe."""
    command = f"stdbuf -oL seq -w 1 {lines}"
    size = lines * (len(str(lines)) + 1)
    lines_per_s["pipe"].append(lines / await asyncio.to_thread(_read_bare, command, size))
    lines_per_s["log"].append(lines / await follow(site, command, size))


def _bulk_rows(found: dict[str, Summary]) -> list[Row]:
    measured = found["log"].p50
    rows = []
    for name, text in (("publish", "raw publish"), ("publish_and_follow", "publish + follow")):
        least = found[name].p50
        rows.append(
            Row(figure=f"log (floor: {text})", unit="MB/s", measured=measured, floor=least,
                ratio=least / measured, aim=f"<= {AIM:g} x", met=least <= AIM * measured, samples=found)
        )  # fmt: skip
    rows.append(Row(figure="log, in lines of 100 bytes", unit="/s", measured=measured * _MB / len(LINE)))
    return rows


def _lines_row(found: dict[str, Summary]) -> Row:
    measured, least = found["log"].p50, found["pipe"].p50
    return Row(
        figure="lines one by one (floor: pipe)", unit="/s", measured=measured, floor=least,
        ratio=least / measured, samples=found,
    )  # fmt: skip


async def follow(site: Site, command: str, size: int) -> float:
    """Seconds from the request until the follower has every byte and the final state; then the log is purged."""
    received = 0
    began = time.perf_counter()
    started = await site.run(command)
    async for item in site.client.follow(started.project, started.id):
        if isinstance(item, LogPiece):
            received += sum(len(entry.text) for entry in item.entries)
        else:
            final = item
    took_s = time.perf_counter() - began
    if final.state is not ExecutionState.SUCCEEDED or received != size:
        raise RuntimeError(f"{command} is {final.state}; the follower got {received} of {size} bytes")
    subjects = site.client.subjects
    await site.client.bus.purge(subjects.logs_stream, subjects.log_of_execution(started.project, started.id))
    return took_s


def _read_bare(command: str, size: int) -> float:
    reader, writer = os.pipe()
    began = time.perf_counter()
    redirected = [(os.POSIX_SPAWN_DUP2, writer, 1)]
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", command], os.environ, file_actions=redirected)
    os.close(writer)
    received = 0
    while data := os.read(reader, 128 * 1024):
        received += len(data)
    os.waitpid(pid, 0)
    os.close(reader)
    if received != size:
        raise RuntimeError(f"{command} wrote {received} of {size} bytes")
    return time.perf_counter() - began


@asynccontextmanager
async def _source(size: int) -> AsyncIterator[Path]:
    with tempfile.NamedTemporaryFile(prefix="runbus-bench-") as file:
        await asyncio.to_thread(file.write, LINE * (size // len(LINE)))
        file.flush()
        yield Path(file.name)
