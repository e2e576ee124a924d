"""Executions that have not ended, in memory, folded from the event stream as it comes; and who waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from bus.connection import Bus
from bus.follow import Follower
from bus.lifecycle import Background
from bus.pull import Delivery
from domain import execution
from schemas.api import ExecutionView
from schemas.events import AbortRequested, Event
from schemas.states import FINAL
from schemas.subjects import Subjects
from services.dispatcher.ledger import Ledger
from services.dispatcher.ledger_feed import LedgerFeed, read_event

Key = tuple[str, str]
"""Project and execution."""


class LiveExecutions:
    """Follows EVENTS from ``start_seq`` on: tells waiters first, then hands the events to the ledger's feed."""

    def __init__(self, bus: Bus, subjects: Subjects, ledger: Ledger, feed: LedgerFeed, *, start_seq: int) -> None:
        self._bus = bus
        self._subjects = subjects
        self._ledger = ledger
        self._feed = feed
        self._views: dict[Key, ExecutionView] = {}
        self._waiters: dict[Key, list[asyncio.Future[ExecutionView]]] = {}
        self._on_view: Callable[[ExecutionView], None] = lambda _view: None
        self._on_event: list[Callable[[Event], None]] = []
        self._on_end: list[Callable[[ExecutionView], None]] = []
        self.following = Follower(
            bus, subjects.events_stream, f"{subjects.prefix}.*.exec.>", on_message=self._receive, after_seq=start_seq
        )

    def on_view(self, callback: Callable[[ExecutionView], None]) -> None:
        """Call back at every change of an unfinished execution."""
        self._on_view = callback

    def on_event(self, callback: Callable[[Event], None]) -> None:
        """Call back with every event, as it comes."""
        self._on_event.append(callback)

    def on_end(self, callback: Callable[[ExecutionView], None]) -> None:
        """Call back with the final view of every execution that was heard to end."""
        self._on_end.append(callback)

    async def adopt_older(self) -> None:
        """Once the ledger has what was before us, take its unfinished executions over; then wait to be cancelled."""
        await self._feed.caught_up.wait()
        older = {(view.project, view.id): view for view in await self._ledger.unfinished()}
        for event in self._feed.added():
            key = (event.project, event.execution)
            if key in older:
                older[key] = execution.apply(older[key], event)
        for key, view in older.items():
            if view.state not in FINAL:
                self._views[key] = view
                self._on_view(view)
        await asyncio.Event().wait()

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
        if view is not None and is_whole(view):
            return view
        if self._feed.caught_up.is_set() and await self._feed.synced():
            return await self._ledger.get(project, name)
        return await self._read(project, name)

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

    async def ledger_synced(self) -> int:
        """Wait (2 s at most) until the ledger has what is in the stream now; how many events it still lacks."""
        await self.following.sync()
        return 0 if await self._feed.synced() else self._feed.behind

    async def _read(self, project: str, name: str) -> ExecutionView | None:
        """Fold one execution from the stream itself: what holds while the ledger is being filled."""
        view: ExecutionView | None = None

        async def take(delivery: Delivery) -> None:
            nonlocal view
            event = read_event(delivery)
            if event is not None:
                view = execution.apply(view or execution.begin(event), event)

        subject = self._subjects.events_of_execution(project, name)
        follower = Follower(self._bus, self._subjects.events_stream, subject, on_message=take)
        async with Background(follower.run()):
            await follower.caught_up.wait()
        return view

    async def _receive(self, delivery: Delivery) -> None:
        event = read_event(delivery)
        if event is None:
            return
        key = (event.project, event.execution)
        known = self._views.get(key)
        if known is not None or not isinstance(event, AbortRequested):
            self._take(key, execution.apply(known or execution.begin(event), event))
        for callback in self._on_event:
            callback(event)
        self._feed.add(delivery.seq, event)

    def _take(self, key: Key, view: ExecutionView) -> None:
        if view.state in FINAL:
            self._views.pop(key, None)
            self._tell(key, view)
            for callback in self._on_end:
                callback(view)
        else:
            self._views[key] = view
            self._on_view(view)

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


def is_whole(view: ExecutionView) -> bool:
    """Whether a view was folded from the beginning; one whose beginning we did not hear is not."""
    return view.queued_at is not None
