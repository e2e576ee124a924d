"""Jobs a second with one runner and many in flight, what they cost in processor time, and bare spawning."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from benchmarks.report import Row, Step, short, summary
from benchmarks.site import Site
from services.runner.process import ChildProcess, ProcessSpec, Stream

IN_FLIGHT: Final = 100
SLOTS: Final = 50
"""What the runner of the site has: so many processes of a floor are there at a time."""
AIM_PER_S: Final = 600


async def measure(site: Site, *, jobs: int, blocks: int, step: Step) -> list[Row]:
    """Blocks of jobs and of both kinds of bare spawning by turns; a figure is the median of its blocks."""
    rates: dict[str, list[float]] = {"jobs": [], "child_process": [], "asyncio": []}
    cpu_s = dict.fromkeys(site.cpu_s(), 0.0)
    for _ in range(blocks):
        rates["child_process"].append(await _rate(jobs, SLOTS, _spawn_child))
        rates["asyncio"].append(await _rate(jobs, SLOTS, _spawn_asyncio))
        before = site.cpu_s()
        rates["jobs"].append(await _rate(jobs, IN_FLIGHT, lambda: site.succeed("/bin/true")))
        after = site.cpu_s()
        cpu_s = {name: cpu_s[name] + after[name] - before[name] for name in cpu_s}
        step()
    return _rows(rates, {name: used * 1000 / (jobs * blocks) for name, used in cpu_s.items()})


def _rows(rates: dict[str, list[float]], cpu_ms: dict[str, float]) -> list[Row]:
    found = {name: summary(values) for name, values in rates.items()}
    per_s, bare, stdlib = (found[name].p50 for name in ("jobs", "child_process", "asyncio"))
    shares = ", ".join(f"{name} {value:.2f}" for name, value in cpu_ms.items())
    total = sum(cpu_ms.values())
    return [
        Row(figure=f"jobs, {IN_FLIGHT} in flight", unit="/s", measured=per_s, floor=bare,
            ratio=bare / per_s, aim=f">= {AIM_PER_S}/s", met=per_s >= AIM_PER_S, samples=found,
            details={f"cpu_ms_{name.replace(' ', '_')}": value for name, value in cpu_ms.items()},
            note="The floor of jobs a second is bare spawning by the runner's own module, 50 at a time. "
            f"Processor time of a job in ms: {shares}; together {short(total)}."),
        Row(figure="bare spawns (floor: asyncio)", unit="/s", measured=bare, floor=stdlib, ratio=stdlib / bare),
    ]  # fmt: skip


async def _spawn_child() -> None:
    async def drop(_stream: Stream, _data: bytes) -> None:
        return

    await ChildProcess(ProcessSpec(argv=["/bin/true"], env={}, cwd="/"), on_output=drop).run()


async def _spawn_asyncio() -> None:
    process = await asyncio.create_subprocess_exec(
        "/bin/true", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={}, cwd="/", start_new_session=True,
    )  # fmt: skip
    await process.communicate()


async def _rate(count: int, at_once: int, one: Callable[[], Awaitable[object]]) -> float:
    room = asyncio.Semaphore(at_once)

    async def bounded() -> None:
        async with room:
            await one()

    began = time.perf_counter()
    await asyncio.gather(*(bounded() for _ in range(count)))
    return count / (time.perf_counter() - began)
