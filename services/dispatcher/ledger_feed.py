"""From the event stream into the ledger: first what it lacks, then what comes, in batches."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from bus.connection import Bus
from bus.follow import Follower
from bus.lifecycle import Background
from bus.pull import Delivery
from schemas.codec import decode
from schemas.errors import RunbusError
from schemas.events import Event
from schemas.subjects import Subjects
from services.dispatcher.ledger import Ledger

_BATCH: Final = 2000
_PAUSE_S: Final = 0.02
"""Between two transactions: waiters are told before, so this costs nobody time."""
_PATIENCE_S: Final = 1.0
_AHEAD: Final = 3 * _BATCH
"""How much is read ahead of the ledger while it is filled: what bounds the memory of that."""

log = structlog.get_logger("dispatcher")


def read_event(delivery: Delivery) -> Event | None:
    """The event of a delivery; None, with a line in the log, of one that this version does not understand."""
    try:
        event: Event = decode(delivery.data, Event)  # type: ignore[arg-type]
    except RunbusError as error:
        log.warning("event.not_understood", subject=delivery.subject, seq=delivery.seq, error=error.message)
        return None
    return event


class LedgerFeed:
    """Writes the ledger. ``start_seq`` is where the live events begin; what lies before is read once, at the start.

    A ledger that was deleted takes about two minutes a million executions; the dispatcher works meanwhile.
    """

    def __init__(self, bus: Bus, subjects: Subjects, ledger: Ledger, *, start_seq: int) -> None:
        self._bus = bus
        self._subjects = subjects
        self._ledger = ledger
        self._start_seq = start_seq
        self._queue: list[tuple[int, Event]] = []
        self._added = asyncio.Event()
        self._written = asyncio.Event()
        self._last_added_seq = 0
        self.caught_up = asyncio.Event()
        """Set once the ledger has everything before the live events."""

    @property
    def behind(self) -> int:
        """How many events the ledger lacks, as far as heard."""
        before = 0 if self.caught_up.is_set() else max(0, self._start_seq - self._ledger.last_seq)
        return before + len(self._queue)

    def add(self, seq: int, event: Event) -> None:
        """Take a live event; it is written soon."""
        self._queue.append((seq, event))
        self._last_added_seq = seq
        self._added.set()

    def added(self) -> list[Event]:
        """The live events that are not written yet, in order."""
        return [event for _, event in self._queue]

    async def synced(self, *, within_s: float = 2.0) -> bool:
        """Wait until what was added so far is written; False if that takes longer."""
        seq = self._last_added_seq
        try:
            async with asyncio.timeout(within_s):
                await self.caught_up.wait()
                while self._ledger.last_seq < seq:
                    self._written.clear()
                    await self._written.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Fill the ledger, then keep it filled, until cancelled."""
        if self._ledger.last_seq < self._start_seq:
            await self._catch_up()
        self.caught_up.set()
        while True:
            await self._added.wait()
            self._added.clear()
            while self._queue:
                batch = self._queue[:_BATCH]
                await self._ledger.apply(batch)
                del self._queue[: len(batch)]
                self._written.set()
                if len(self._queue) < _BATCH:
                    await asyncio.sleep(_PAUSE_S)

    async def _catch_up(self) -> None:
        missing = self._start_seq - self._ledger.last_seq
        log.info("ledger.filling", events=missing)
        read: asyncio.Queue[tuple[int, Event | None]] = asyncio.Queue(maxsize=_AHEAD)

        async def take(delivery: Delivery) -> None:
            await read.put((delivery.seq, read_event(delivery)))

        everything = f"{self._subjects.prefix}.*.exec.>"
        follower = Follower(
            self._bus, self._subjects.events_stream, everything, on_message=take, after_seq=self._ledger.last_seq
        )
        async with Background(follower.run()):
            seq = self._ledger.last_seq
            while seq < self._start_seq and not (follower.caught_up.is_set() and read.empty()):
                batch = await _some_of(read)
                if batch:
                    seq = batch[-1][0]
                    await self._ledger.apply([(each, event) for each, event in batch if event is not None])
        log.info("ledger.filled", events=missing)


async def _some_of(read: asyncio.Queue[tuple[int, Event | None]]) -> list[tuple[int, Event | None]]:
    """What is there, one at least; nothing where nothing comes for a while (the last messages may have expired)."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            batch = [await read.get()]
    except TimeoutError:
        return []
    while len(batch) < _BATCH and not read.empty():
        batch.append(read.get_nowait())
    return batch
