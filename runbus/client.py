"""A small client: what the command line uses, and Python programs that want more than NATS and JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import msgspec

from bus.connection import Bus, connect
from bus.follow import Follower
from bus.lifecycle import Background
from bus.pull import Delivery
from domain import execution as fold
from schemas import catalog
from schemas.api import ExecutionView, ResultRequest, RunRequest
from schemas.catalog import Endpoint
from schemas.codec import decode, encode
from schemas.events import Event, LogChunk, LogEntry
from schemas.states import FINAL
from schemas.subjects import DEFAULT_PREFIX, Subjects

RequestT = TypeVar("RequestT", bound=msgspec.Struct)
ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)

MARGIN_S: Final = 5.0
"""How much longer than the service may take we wait for its answer."""


class LogPiece(msgspec.Struct, frozen=True):
    """A chunk of log with where it stands: ``seq`` is the offset to resume behind."""

    seq: int
    assignment: str
    runner: str
    entries: list[LogEntry]


class Client:
    """Calls services and follows executions. Made by :func:`open_client`; errors are ``RunbusError``."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self.bus: Final = bus
        self.subjects: Final = subjects

    async def call(
        self, endpoint: Endpoint[RequestT, ReplyT], request: RequestT, *, runner: str = "", timeout_s: float = 5.0
    ) -> ReplyT:
        """Call any endpoint of the contract (:mod:`schemas.catalog`)."""
        return await self.bus.call(self.subjects, endpoint, request, runner=runner, timeout_s=timeout_s)

    async def run(self, request: RunRequest) -> ExecutionView:
        """Start a run; with ``wait_s`` the answer is its end, if that comes in time."""
        return await self.call(catalog.RUN, request, timeout_s=request.wait_s + MARGIN_S)

    async def result(self, project: str, execution: str, *, wait_s: float = 0.0) -> ExecutionView:
        """An execution, once it has ended or ``wait_s`` have passed."""
        request = ResultRequest(project=project, execution=execution, wait_s=wait_s)
        return await self.call(catalog.RESULT, request, timeout_s=wait_s + MARGIN_S)

    async def submit(self, request: RunRequest) -> int:
        """Store a run durably, whether or not a dispatcher is there; returns its place in the stream.

        The request must bear an ``id``: under it the execution is followed, and a second submission of the same
        id is dropped.
        """
        return await self.bus.append(
            self.subjects.request(request.project), encode(request), msg_id=f"{request.project}.{request.id}"
        )

    async def follow(
        self, project: str, execution: str, *, after_log_seq: int = 0
    ) -> AsyncIterator[ExecutionView | LogPiece]:
        """The execution's state at every change, and its log pieces in order, until it has ended and all is told.

        The last item is the final state. ``after_log_seq`` resumes the log behind a piece seen before.
        """
        following = _Following(self.bus, self.subjects, project, execution, after_log_seq=after_log_seq)
        async for item in following.items():
            yield item

    async def log(self, project: str, execution: str, *, after_seq: int = 0) -> AsyncIterator[LogPiece]:
        """What is in the log now, without waiting for more."""
        queue: asyncio.Queue[LogPiece] = asyncio.Queue()
        log = _log_follower(self.bus, self.subjects, project, execution, queue.put, after_seq=after_seq)
        async with Background(log.run()):
            await log.caught_up.wait()
            while not queue.empty():
                yield queue.get_nowait()


@asynccontextmanager
async def open_client(
    url: str, *, prefix: str = DEFAULT_PREFIX, name: str = "runbus-client", wait_s: float = 0.0
) -> AsyncIterator[Client]:
    """Connect. Raises ``unavailable`` where no server answers."""
    async with connect(url, name=name, wait_s=wait_s) as bus:
        yield Client(bus, Subjects(prefix))


class _Following:
    """Merges the events and the log of one execution until both are complete."""

    def __init__(self, bus: Bus, subjects: Subjects, project: str, execution: str, *, after_log_seq: int) -> None:
        self._queue: asyncio.Queue[ExecutionView | LogPiece] = asyncio.Queue(maxsize=1024)
        self._view: ExecutionView | None = None
        self._events = Follower(
            bus, subjects.events_stream, subjects.events_of_execution(project, execution),
            on_message=self._take_event,
        )  # fmt: skip
        self._log = _log_follower(bus, subjects, project, execution, self._queue.put, after_seq=after_log_seq)
        self._log_seq = after_log_seq

    async def items(self) -> AsyncIterator[ExecutionView | LogPiece]:
        """State changes and log pieces; the final state comes last."""
        final: ExecutionView | None = None
        async with Background(self._events.run(), self._log.run()):
            while final is None or self._log_seq < final.last_log_seq:
                item = await self._queue.get()
                if isinstance(item, LogPiece):
                    self._log_seq = item.seq
                    yield item
                elif item.state in FINAL:
                    final = item
                else:
                    yield item
            while not self._queue.empty():
                left = self._queue.get_nowait()
                if isinstance(left, LogPiece):
                    yield left
        yield final

    async def _take_event(self, delivery: Delivery) -> None:
        event: Event = decode(delivery.data, Event)  # type: ignore[arg-type]
        self._view = fold.apply(self._view or fold.begin(event), event)
        await self._queue.put(self._view)


def _log_follower(
    bus: Bus,
    subjects: Subjects,
    project: str,
    execution: str,
    put: Callable[[LogPiece], Awaitable[None]],
    *,
    after_seq: int,
) -> Follower:
    async def take(delivery: Delivery) -> None:
        chunk = decode(delivery.data, LogChunk)
        assignment, runner = delivery.subject.split(".")[4:6]
        await put(LogPiece(delivery.seq, assignment, runner, chunk.entries))

    return Follower(
        bus, subjects.logs_stream, subjects.log_of_execution(project, execution), on_message=take, after_seq=after_seq
    )
