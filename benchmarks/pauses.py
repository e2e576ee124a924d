"""The longest pause of the event loop while something is done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Final, NamedTuple, TypeVar

T = TypeVar("T")

_TICK_S: Final = 0.001


class Pauses(NamedTuple):
    """How long the work took, and the longest pause meanwhile."""

    took_s: float
    longest_s: float


async def watched(work: Awaitable[T]) -> tuple[T, Pauses]:
    """What the work came to. It is kept until the pause is known: to let go of very much is another pause."""
    pauses: list[float] = []

    async def beat() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_TICK_S)
            pauses.append(time.perf_counter() - began - _TICK_S)

    beating = asyncio.ensure_future(beat())
    try:
        await asyncio.sleep(2 * _TICK_S)
        pauses.clear()
        began = time.perf_counter()
        result = await work
        took_s = time.perf_counter() - began
        await asyncio.sleep(2 * _TICK_S)
    finally:
        beating.cancel()
    return result, Pauses(took_s, max(pauses, default=0.0))
