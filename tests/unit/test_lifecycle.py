"""Tasks beside a block: all of them end with it, also one that lost its cancellation."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from bus import lifecycle
from bus.lifecycle import Background


async def test_a_task_that_swallowed_its_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_CLEAN_UP_S", 0.01)
    cancelled = 0

    async def stubborn() -> None:
        nonlocal cancelled
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        cancelled += 1
        await asyncio.Event().wait()

    async with asyncio.timeout(5):
        async with Background(stubborn()):
            await asyncio.sleep(0)
    assert cancelled == 1


async def test_a_task_is_given_time_to_clean_up() -> None:
    cleaned = asyncio.Event()

    async def tidy() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    async with Background(tidy()):
        await asyncio.sleep(0)
    assert cleaned.is_set()


async def test_what_a_task_raised_after_its_cancellation_is_no_error_of_the_block() -> None:
    async def failing() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("at its end")

    async with Background(failing()):
        await asyncio.sleep(0)
