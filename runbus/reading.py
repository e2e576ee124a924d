"""Reading one execution from the bus: its events and its log, in bounded memory, up to a known end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import msgspec

from bus.connection import Bus
from bus.follow import Follower
from bus.lifecycle import Background
from bus.pull import Delivery
from domain import execution as fold
from schemas.api import ExecutionView
from schemas.codec import decode
from schemas.errors import RunbusError
from schemas.events import Event, LogChunk, LogEntry
from schemas.states import FINAL
from schemas.subjects import Subjects

_HELD: Final = 16
"""So many items wait for the reader; a piece is 256 KiB at most, as a rule."""
_ASKED_AT_A_TIME: Final = 32
_LOOK_AGAIN_S: Final = 1.0
_RETRY_S: Final = 0.25
_PATIENCE_S: Final = 30.0


class LogPiece(msgspec.Struct, frozen=True):
    """A chunk of log with where it stands: ``seq`` is the offset to resume behind."""

    seq: int
    assignment: str
    runner: str
    entries: list[LogEntry]


class Reading:
    """Reads one execution once, by either of its two methods. ``names`` are its project and its id."""

    def __init__(self, bus: Bus, subjects: Subjects, names: tuple[str, str], *, after_log_seq: int) -> None:
        self._bus = bus
        self._log_place = subjects.logs_stream, subjects.log_of_execution(*names)
        self._queue: asyncio.Queue[ExecutionView | LogPiece] = asyncio.Queue(maxsize=_HELD)
        self._closed = False
        self._view: ExecutionView | None = None
        self._log_seq = after_log_seq
        self._events = Follower(
            bus, subjects.events_stream, subjects.events_of_execution(*names), on_message=self._take_event
        )
        self._log = Follower(
            bus, *self._log_place, on_message=self._take_log, after_seq=after_log_seq, batch=_ASKED_AT_A_TIME
        )

    async def to_the_end(self) -> AsyncGenerator[ExecutionView | LogPiece, None]:
        """State changes and log pieces as they come; the final state comes last, when the log is complete."""
        final: ExecutionView | None = None
        async with Background(self._events.run(), self._log.run()):
            try:
                while final is None:
                    item = await self._queue.get()
                    if isinstance(item, ExecutionView) and item.state in FINAL:
                        final = item
                    elif self._is_new(item):
                        yield item
                if not 0 < final.last_log_seq <= self._log_seq:
                    async for piece in self._up_to(await self._last_stored()):
                        yield piece
            finally:
                self._close()
        yield final

    async def stored(self) -> AsyncGenerator[LogPiece, None]:
        """The log as far as it is stored now."""
        async with Background(self._log.run()):
            try:
                async for piece in self._up_to(await self._last_stored()):
                    yield piece
            finally:
                self._close()

    async def _up_to(self, last_seq: int) -> AsyncGenerator[LogPiece, None]:
        """The pieces up to a stored one. Where that is removed meanwhile, up to what is left."""
        while self._log_seq < last_seq:
            try:
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    item = await self._queue.get()
            except TimeoutError:
                last_seq = min(last_seq, await self._last_stored())
                continue
            if isinstance(item, LogPiece) and self._is_new(item):
                yield item

    async def _last_stored(self) -> int:
        """The sequence of the last stored piece, 0 where there is none; an outage of the bus is waited out."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE_S
        while True:
            try:
                found = await self._bus.last_message(*self._log_place)
            except RunbusError:
                if not self._bus.client.is_connected:
                    deadline = loop.time() + _PATIENCE_S
                elif loop.time() > deadline:
                    raise
                await asyncio.sleep(_RETRY_S)
            else:
                return found.seq if found else 0

    def _is_new(self, item: ExecutionView | LogPiece) -> bool:
        """Note how far the log was read; false for a piece that came twice."""
        if isinstance(item, LogPiece):
            if item.seq <= self._log_seq:
                return False
            self._log_seq = item.seq
        return True

    async def _take_event(self, delivery: Delivery) -> None:
        event: Event = decode(delivery.data, Event)  # type: ignore[arg-type]
        self._view = fold.apply(self._view or fold.begin(event), event)
        await self._put(self._view)

    async def _take_log(self, delivery: Delivery) -> None:
        chunk = decode(delivery.data, LogChunk)
        assignment, runner = delivery.subject.split(".")[4:6]
        await self._put(LogPiece(delivery.seq, assignment, runner, chunk.entries))

    async def _put(self, item: ExecutionView | LogPiece) -> None:
        if not self._closed:
            await self._queue.put(item)

    def _close(self) -> None:
        """Let go of whoever waits to put something down: nobody will take it."""
        self._closed = True
        while not self._queue.empty():
            self._queue.get_nowait()
