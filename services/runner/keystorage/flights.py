"""One call for all who ask for the same thing at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from runbus.plugin import KeyFailure, KeyStorageError

_END_WITHIN_S: Final = 3.0
"""A plugin that does not let itself be cancelled does not hold the runner."""


class _Flight:
    def __init__(self, task: asyncio.Task[str]) -> None:
        self.task = task
        self.waiting = 0


class Flights:
    """Joins calls by name. What one has brought is kept no longer than until those who wait for it have it."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight] = {}

    async def join(self, name: str, call: Callable[[], Awaitable[str]]) -> str:
        """What the call under way brings, or this one where there is none.

        Raises what it raises, each waiter an exception of its own. It goes on until the last waiter is cancelled.
        """
        flight = self._flights.get(name) or self._start(name, call)
        flight.waiting += 1
        try:
            await asyncio.wait({flight.task})
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                flight.task.cancel()
                self._forget(name, flight)
        return _brought(flight.task)

    async def end(self) -> None:
        """Cancel all that is under way; whoever waits for it gets an error."""
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_END_WITHIN_S)

    def _start(self, name: str, call: Callable[[], Awaitable[str]]) -> _Flight:
        async def carried() -> str:
            return await call()

        flight = _Flight(asyncio.create_task(carried()))
        self._flights[name] = flight
        flight.task.add_done_callback(lambda _task: self._forget(name, flight))
        return flight

    def _forget(self, name: str, flight: _Flight) -> None:
        if self._flights.get(name) is flight:
            del self._flights[name]


def _brought(task: asyncio.Task[str]) -> str:
    if task.cancelled():
        raise KeyStorageError("the call was given up: the runner stops, or the provider's part broke off")
    error = task.exception()
    if isinstance(error, KeyStorageError):
        raise KeyStorageError(error.message, reason=error.reason)
    if error is not None:
        raise KeyStorageError(f"the call failed ({type(error).__name__})", reason=KeyFailure.FAILED)
    return task.result()
