"""The measurements of one run."""

from __future__ import annotations

import asyncio
import os
import sysconfig
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Final

from benchmarks.floor import floor
from benchmarks.site import Site
from benchmarks.stats import Row, percentile
from runbus.client import LogPiece
from schemas.api import ExecutionView, RunRequest
from schemas.jobs import RunnerSelector, SelectorMode, Step
from schemas.states import ExecutionState
from services.runner.process import ChildProcess, ProcessSpec, Stream

IN_FLIGHT: Final = 100
CHUNK_BYTES: Final = 128 * 1024
WINDOW: Final = 8


async def latency(site: Site, *, samples: int) -> list[Row]:
    """Request to final result of ``/bin/true``, in turn with blocks of the floor."""
    took: list[float] = []
    block = 25
    await site.run("/bin/true")
    async with floor(site.url) as raw:
        for _ in range(samples // block):
            await raw.block(block)
            for _ in range(block):
                began = time.perf_counter()
                view = await site.run("/bin/true")
                took.append(time.perf_counter() - began)
                _require_success(view)
        floor_ms = raw.p50_s() * 1000
        parts = {f"floor_{name}_p50_ms": percentile(each, 50) * 1000 for name, each in raw.samples.items()}
    p50, p99 = percentile(took, 50) * 1000, percentile(took, 99) * 1000
    return [
        Row(figure="request to result, p50", unit="ms", measured=p50, floor=floor_ms, aim="<= 1.5 x floor",
            met=p50 <= 1.5 * floor_ms, details=parts),
        Row(figure="request to result, p99", unit="ms", measured=p99, floor=floor_ms),
    ]  # fmt: skip


async def throughput(site: Site, *, jobs: int) -> list[Row]:
    """Jobs a second with one runner and 100 in flight; the floor is the bare spawn rate, 50 at a time."""
    spawn_per_s = await _rate(jobs, 50, _spawn_true)

    async def one() -> None:
        _require_success(await site.run("/bin/true"))

    before = site.cpu_s()
    per_s = await _rate(jobs, IN_FLIGHT, one)
    after = site.cpu_s()
    details = {f"cpu_ms_per_job_{name}": (after[name] - before[name]) * 1000 / jobs for name in after}
    return [Row(figure="jobs, 100 in flight (floor: bare spawns)", unit="/s", measured=per_s, floor=spawn_per_s,
                aim=">= 600/s", met=per_s >= 600, details=details)]  # fmt: skip


async def logs(site: Site, *, megabytes: int) -> list[Row]:
    """From a child's stdout to a follower, against raw JetStream publishing of the same bytes."""
    size = megabytes * 1_000_000
    line = "x" * 99
    command = f"yes {line} | head -c {size}"
    raw_s = await _publish_raw(site, size)
    selector = RunnerSelector(mode=SelectorMode.TAGS, filter="LINUX+BENCH")
    began = time.perf_counter()
    started = await site.client.run(
        RunRequest(steps=[Step(plugin="command", config={"command": command})], runner=selector)
    )
    received = 0
    async for item in site.client.follow(started.project, started.id):
        if isinstance(item, LogPiece):
            received += sum(len(entry.text) for entry in item.entries)
        else:
            final = item
    took_s = time.perf_counter() - began
    _require_success(final)
    if received != size:
        raise RuntimeError(f"the follower got {received} of {size} bytes")
    return [
        Row(figure="log, child to follower (floor: raw publish)", unit="MB/s", measured=megabytes / took_s,
            floor=megabytes / raw_s, aim="floor <= 1.5 x", met=took_s <= 1.5 * raw_s),
        Row(figure="log lines of 100 bytes", unit="/s", measured=size / 100 / took_s),
    ]  # fmt: skip


def footprint(site: Site) -> list[Row]:
    """Memory of idle processes."""
    rss = site.rss_mib()
    runner = rss["runner bench"]
    rows = [Row(figure="idle runner, RSS", unit="MiB", measured=runner, aim="< 45", met=runner < 45)]
    rows += [
        Row(figure=f"{name}, RSS", unit="MiB", measured=rss[name]) for name in ("registry", "dispatcher", "nats")
    ]
    return rows


async def start_up(*, times: int) -> list[Row]:
    """``runbus up`` to ready on a fresh directory."""
    took = [await _up_once() for _ in range(times)]
    p50 = percentile(took, 50)
    return [Row(figure="runbus up to ready, p50", unit="s", measured=p50, aim="< 1.5", met=p50 < 1.5)]


async def _up_once() -> float:
    with tempfile.TemporaryDirectory(prefix="runbus-bench-") as directory:
        process = await asyncio.create_subprocess_exec(
            "runbus", "up", "--data-dir", directory, "--port", "0",
            stdout=asyncio.subprocess.PIPE, env={**os.environ, "PATH": _path()},
        )  # fmt: skip
        began = time.perf_counter()
        assert process.stdout is not None
        async for line in process.stdout:
            if line.startswith(b"Ready"):
                break
        took = time.perf_counter() - began
        process.terminate()
        await process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"runbus up ended with {process.returncode}")
        return took


def _path() -> str:
    return f"{sysconfig.get_path('scripts')}:{os.environ.get('PATH', '')}"


async def _spawn_true() -> None:
    async def drop(_stream: Stream, _data: bytes) -> None:
        return

    spec = ProcessSpec(argv=["/bin/true"], env={}, cwd="/")
    await ChildProcess(spec, on_output=drop).run()


async def _rate(count: int, at_once: int, one: Callable[[], Awaitable[None]]) -> float:
    room = asyncio.Semaphore(at_once)

    async def bounded() -> None:
        async with room:
            await one()

    began = time.perf_counter()
    await asyncio.gather(*(bounded() for _ in range(count)))
    return count / (time.perf_counter() - began)


async def _publish_raw(site: Site, size: int) -> float:
    """The same bytes in chunks of 128 KiB, eight on their way at a time."""
    client = site.client.bus.client
    js = client.jetstream()
    await js.add_stream(name="RAWLOG", subjects=["rawlog"])
    chunk = b"x" * CHUNK_BYTES

    async def one() -> None:
        await js.publish("rawlog", chunk, timeout=30)

    chunks = max(1, size // CHUNK_BYTES)
    rate = await _rate(chunks, WINDOW, one)
    await js.delete_stream("RAWLOG")
    return chunks / rate


def _require_success(view: ExecutionView) -> None:
    if view.state is not ExecutionState.SUCCEEDED:
        raise RuntimeError(f"execution {view.id} is {view.state}: {view.error}")
