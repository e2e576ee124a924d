"""Executions that have not ended, in memory, folded from the event stream as it comes; and who waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from bus.connection import Bus
from bus.follow import Follower
from bus.pull import Delivery
from domain import execution
from schemas.api import ExecutionView
from schemas.codec import decode
from schemas.errors import RunbusError
from schemas.events import Event
from schemas.states import FINAL
from schemas.subjects import Subjects
from services.dispatcher.ledger import Ledger

_BATCH: Final = 2000
_PAUSE_S: Final = 0.02
"""Between two transactions of the ledger: waiters are told before, so this costs nobody time."""

Key = tuple[str, str]
"""Project and execution."""

log = structlog.get_logger("dispatcher")


class LiveExecutions:
    """Follows EVENTS: tells waiters first, then writes the ledger in batches."""

    def __init__(self, bus: Bus, subjects: Subjects, ledger: Ledger) -> None:
        self._ledger = ledger
        self._views: dict[Key, ExecutionView] = {}
        self._waiters: dict[Key, list[asyncio.Future[ExecutionView]]] = {}
        self._queue: list[tuple[int, Event]] = []
        self._heard_seq = 0
        self._queued = asyncio.Event()
        self._written = asyncio.Event()
        self._on_view: Callable[[ExecutionView], None] = lambda _view: None
        self.following = Follower(
            bus, subjects.events_stream, f"{subjects.prefix}.*.exec.>",
            on_message=self._receive, after_seq=ledger.last_seq,
        )  # fmt: skip

    async def load(self, on_view: Callable[[ExecutionView], None]) -> None:
        """Begin with what the ledger has unfinished; ``on_view`` hears of every unfinished execution's change."""
        self._on_view = on_view
        for view in await self._ledger.unfinished():
            self._views[view.project, view.id] = view
            on_view(view)

    def unfinished(self) -> Iterable[ExecutionView]:
        """Everything queued or running, as far as heard."""
        return list(self._views.values())

    def known(self, project: str, name: str) -> ExecutionView | None:
        """An unfinished execution, as far as heard."""
        return self._views.get((project, name))

    async def get(self, project: str, name: str) -> ExecutionView | None:
        """An execution, up to everything that is in the stream at the time of asking."""
        await self.following.sync()
        view = self._views.get((project, name))
        if view is not None:
            return view
        await self._ledger_reaches(self.following.seq)
        return await self._ledger.get(project, name)

    @contextmanager
    def awaiting(self, project: str, name: str) -> Iterator[asyncio.Future[ExecutionView]]:
        """A future of the final view; begin with it before whatever may end the execution."""
        future: asyncio.Future[ExecutionView] = asyncio.get_running_loop().create_future()
        key = (project, name)
        self._waiters.setdefault(key, []).append(future)
        try:
            yield future
        finally:
            self._drop_waiter(key, future)

    async def write_ledger(self) -> None:
        """Write what was heard, in batches, until cancelled."""
        while True:
            await self._queued.wait()
            self._queued.clear()
            while self._queue:
                batch, self._queue = self._queue[:_BATCH], self._queue[_BATCH:]
                await self._ledger.apply(batch)
                self._written.set()
                if len(self._queue) < _BATCH:
                    await asyncio.sleep(_PAUSE_S)

    async def ledger_synced(self) -> int:
        """Wait (2 s at most) until the ledger has what is in the stream now; how many events it still lacks."""
        await self.following.sync()
        await self._ledger_reaches(self.following.seq)
        return max(0, self.following.seq - self._ledger.last_seq) + self.following.pending

    async def _ledger_reaches(self, seq: int) -> None:
        try:
            async with asyncio.timeout(2.0):
                while self._ledger.last_seq < min(seq, self._heard_seq):
                    self._written.clear()
                    await self._written.wait()
        except TimeoutError:
            log.info("ledger.behind", events=seq - self._ledger.last_seq)

    async def _receive(self, delivery: Delivery) -> None:
        try:
            event: Event = decode(delivery.data, Event)  # type: ignore[arg-type]
        except RunbusError as error:
            log.warning("event.not_understood", subject=delivery.subject, seq=delivery.seq, error=error.message)
            return
        key = (event.project, event.execution)
        view = execution.apply(self._views.get(key) or execution.begin(event), event)
        if view.state in FINAL:
            self._views.pop(key, None)
            self._tell(key, view)
        else:
            self._views[key] = view
            self._on_view(view)
        self._queue.append((delivery.seq, event))
        self._heard_seq = delivery.seq
        self._queued.set()

    def _tell(self, key: Key, view: ExecutionView) -> None:
        for future in self._waiters.get(key, ()):
            if not future.done():
                future.set_result(view)

    def _drop_waiter(self, key: Key, future: asyncio.Future[ExecutionView]) -> None:
        left = [each for each in self._waiters.get(key, ()) if each is not future]
        if left:
            self._waiters[key] = left
        else:
            self._waiters.pop(key, None)
