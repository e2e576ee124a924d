"""What runs on this runner now, and how much more may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bus.pull import Delivery
from schemas.states import ExecutionState
from services.runner.stopper import Stopper

Key = tuple[str, str, str]
"""Project, execution, assignment."""


class Running:
    """One assignment that was claimed here."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.stopper = Stopper()


class Slots:
    """The assignments in hand, bounded by ``max_running``: taken before the claim, given back at the end."""

    def __init__(self, max_running: int) -> None:
        self.max_running = max_running
        self._taken = 0
        self._running: dict[Key, Running] = {}
        self._listeners: list[Callable[[], None]] = []

    @property
    def free(self) -> int:
        """How many more assignments may be taken."""
        return self.max_running - self._taken

    @property
    def taken(self) -> int:
        """How many are in hand."""
        return self._taken

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back whenever a slot is taken or given back."""
        self._listeners.append(callback)

    def take(self) -> bool:
        """Take a slot if one is free."""
        if self.free <= 0:
            return False
        self._taken += 1
        return True

    def give_back(self) -> None:
        """Give a slot back, and tell the listeners."""
        self._taken -= 1
        for callback in self._listeners:
            callback()

    @contextmanager
    def running(self, key: Key, delivery: Delivery) -> Iterator[Running]:
        """Register an assignment as running while the block lasts."""
        entry = self._running[key] = Running(delivery)
        try:
            yield entry
        finally:
            if self._running.get(key) is entry:
                del self._running[key]

    def find(self, key: Key) -> Running | None:
        """The running assignment of that name."""
        return self._running.get(key)

    def deliveries(self) -> list[Delivery]:
        """The leases to renew."""
        return [entry.delivery for entry in self._running.values()]

    def stop_all(self, reason: str) -> None:
        """Abort everything that runs."""
        for entry in list(self._running.values()):
            entry.stopper.stop(ExecutionState.ABORTED, reason)
