"""Waiting on a condition. The only place of these tests where time is waited for."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

TICK_S = 0.01


@overload
async def eventually(condition: Callable[[], Awaitable[T]], *, within_s: float = 10.0, what: str = "") -> T: ...


@overload
async def eventually(condition: Callable[[], T], *, within_s: float = 10.0, what: str = "") -> T: ...


async def eventually(condition: Callable[[], Any], *, within_s: float = 10.0, what: str = "") -> Any:
    """Return the first true value of ``condition``, asked again and again.

    An AssertionError that it raises counts as "not yet". Raises AssertionError that says what did not come.
    """
    deadline_s = time.monotonic() + within_s
    while True:
        said: object = None
        try:
            found = condition()
            value = await found if inspect.isawaitable(found) else found
            if value:
                return value
            said = value
        except AssertionError as not_yet:
            said = not_yet
        if time.monotonic() > deadline_s:
            raise AssertionError(f"{what or 'the condition'}: not within {within_s:g} s (last: {said!r})")
        await asyncio.sleep(TICK_S)


async def never(condition: Callable[[], Any], *, for_s: float, what: str = "") -> None:
    """Watch for a while that something does not happen. A pass says little: keep to what cannot be told otherwise."""
    try:
        await eventually(condition, within_s=for_s)
    except AssertionError:
        return
    raise AssertionError(f"{what or 'the condition'} came true")
