"""A small client: what the command line uses, and Python programs that want more than NATS and JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final, TypeVar

import msgspec

from bus.connection import Bus, connect
from bus.sealing import seal
from domain.ids import new_execution_id
from runbus.reading import LogPiece, Reading
from schemas import catalog
from schemas.api import ExecutionView, ResultRequest, RunRequest, SealedOptions
from schemas.catalog import Endpoint
from schemas.codec import encode
from schemas.keys import SealingKeyRequest
from schemas.subjects import DEFAULT_PREFIX, Subjects

__all__ = ["Client", "LogPiece", "open_client"]

RequestT = TypeVar("RequestT", bound=msgspec.Struct)
ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)

MARGIN_S: Final = 5.0
"""How much longer than the service may take we wait for its answer."""


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

    async def run_sealed(self, request: RunRequest) -> ExecutionView:
        """The same, its options sealed to one dispatcher: nobody else on the bus can read them."""
        key = await self.call(catalog.RUN_SEALING, SealingKeyRequest())
        request = msgspec.structs.replace(request, id=request.id or new_execution_id())
        options = SealedOptions(id=request.id, project=request.project, job=request.job, options=request.options)
        request = msgspec.structs.replace(request, options={}, sealed_options=seal(key.public_key, encode(options)))
        timeout_s = request.wait_s + MARGIN_S
        return await self.call(catalog.RUN_SEALED, request, runner=key.instance, timeout_s=timeout_s)

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
        reading = Reading(self.bus, self.subjects, (project, execution), after_log_seq=after_log_seq)
        async with aclosing(reading.to_the_end()) as items:
            async for item in items:
                yield item

    async def log(self, project: str, execution: str, *, after_seq: int = 0) -> AsyncIterator[LogPiece]:
        """What is in the log now, without waiting for more. However long it is, a few pieces are held at a time."""
        reading = Reading(self.bus, self.subjects, (project, execution), after_log_seq=after_seq)
        async with aclosing(reading.stored()) as pieces:
            async for piece in pieces:
                yield piece


@asynccontextmanager
async def open_client(
    url: str, *, prefix: str = DEFAULT_PREFIX, name: str = "runbus-client", wait_s: float = 0.0
) -> AsyncIterator[Client]:
    """Connect. Raises ``unavailable`` where no server answers."""
    async with connect(url, name=name, wait_s=wait_s) as bus:
        yield Client(bus, Subjects(prefix))
