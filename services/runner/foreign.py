"""Code of others that runs in the runner's own tasks: it may raise anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def is_cancelled() -> bool:
    """Whether the task that runs now was cancelled, so that a ``CancelledError`` is not one that a plugin made up."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def sheltered(begin: Callable[[], Awaitable[T]]) -> T:
    """What a plugin raises that is no ``Exception`` fails what it was asked for, and ends neither task nor runner.

    Raises ``RuntimeError`` for such, what is an ``Exception`` as it is, and ``CancelledError`` where the task is.
    """
    try:
        return await begin()
    except Exception:
        raise
    except BaseException as cause:
        if isinstance(cause, asyncio.CancelledError) and is_cancelled():
            raise
        raise RuntimeError(f"a plugin raised {type(cause).__name__}") from cause
