"""Memory of idle processes, and how soon a fresh Runbus is ready."""

from __future__ import annotations

import asyncio
import os
import sysconfig
import tempfile
import time
from typing import Final

from benchmarks.report import Row, Step, summary
from benchmarks.site import RUNNER, Site

AIM_MB: Final = 45.0
AIM_S: Final = 1.5
_WITHIN_S: Final = 60.0


def idle(site: Site) -> list[Row]:
    """Resident memory before any job."""
    rss = site.rss_mb()
    runner = rss[RUNNER]
    others = [Row(figure=f"idle {name}, RSS", unit="MB", measured=rss[name]) for name in _OTHERS]
    return [
        Row(figure="idle runner, RSS", unit="MB", measured=runner, aim=f"< {AIM_MB:g}", met=runner < AIM_MB),
        *others,
    ]


def worked(site: Site) -> list[Row]:
    """Resident memory once the other measurements are over, without an aim."""
    rss = site.rss_mb()
    return [
        Row(figure="runner, RSS after the run", unit="MB", measured=rss[RUNNER], details={"nats_mb": rss["nats"]}),
        Row(figure="dispatcher, RSS after the run", unit="MB", measured=rss["dispatcher"]),
    ]


_OTHERS: Final = ("registry", "dispatcher", "nats")


async def start_up(*, times: int, step: Step) -> list[Row]:
    """``runbus up`` to "Ready", on a fresh data directory each time."""
    took = []
    for _ in range(times):
        took.append(await _up_once())
        step()
    found = summary(took)
    return [
        Row(figure=f"runbus up to ready, of {times}", unit="s", measured=found.p50, aim=f"< {AIM_S:g}",
            met=found.p50 < AIM_S, samples={"up": found})
    ]  # fmt: skip


async def _up_once() -> float:
    path = f"{sysconfig.get_path('scripts')}:{os.environ.get('PATH', '')}"
    with tempfile.TemporaryDirectory(prefix="runbus-bench-") as directory:
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            "runbus", "up", "--data-dir", directory, "--port", "0",
            stdout=asyncio.subprocess.PIPE, env={**os.environ, "PATH": path},
        )  # fmt: skip
        try:
            async with asyncio.timeout(_WITHIN_S):
                took = await _until_ready(process) - began
        finally:
            if process.returncode is None:
                process.terminate()
            await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"runbus up ended with {process.returncode}")
    return took


async def _until_ready(process: asyncio.subprocess.Process) -> float:
    assert process.stdout is not None
    async for line in process.stdout:
        if line.startswith(b"Ready"):
            return time.perf_counter()
    raise RuntimeError("runbus up ended before it was ready")
