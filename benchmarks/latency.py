"""From request to final result of ``/bin/true`` on a tagged runner, in turn with its floor."""

from __future__ import annotations

import time
from typing import Final

from benchmarks.floor import PARTS, Floor, floor
from benchmarks.report import Row, Step, percentile, summary
from benchmarks.site import Site

BLOCK: Final = 25
AIM: Final = 1.5
_MS: Final = 1000.0


def blocks(samples: int) -> int:
    """How many blocks give so many samples."""
    return -(-samples // BLOCK)


async def measure(site: Site, *, blocks: int, step: Step) -> list[Row]:
    """Blocks of the floor and of jobs by turns, so that what else the machine does meets both."""
    took: list[float] = []
    async with floor(site.url) as raw:
        for _ in range(BLOCK):
            await site.succeed("/bin/true")
        for _ in range(blocks):
            await raw.block(BLOCK)
            for _ in range(BLOCK):
                began = time.perf_counter()
                await site.succeed("/bin/true")
                took.append(time.perf_counter() - began)
            step()
    return [_row(took, raw, 50, aim=AIM), _row(took, raw, 99)]


def _row(took: list[float], raw: Floor, percent: int, *, aim: float | None = None) -> Row:
    measured, least = percentile(took, percent) * _MS, percentile(raw.sums, percent) * _MS
    parts = {name: percentile(raw.samples[name], percent) * _MS for name in PARTS}
    shares = " + ".join(f"{name} {value:.2f}" for name, value in parts.items())
    return Row(
        figure=f"request to result, p{percent}",
        unit="ms",
        measured=measured,
        floor=least,
        ratio=measured / least,
        aim=f"<= {aim:g} x" if aim else "",
        met=measured <= aim * least if aim else None,
        samples={name: summary(values, scale=_MS) for name, values in {"job": took, "floor": raw.sums}.items()}
        | {f"floor.{name}": summary(values, scale=_MS) for name, values in raw.samples.items()},
        details={"sum_of_the_parts_ms": sum(parts.values())},
        note=f"Floor of a job, p{percent} of each part in ms: {shares}." if aim else "",
    )
