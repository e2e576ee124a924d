"""Durable job requests: published while every dispatcher may be down, accepted when one is there."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
import structlog

from bus.connection import Bus
from bus.pull import Delivery, Puller
from schemas.api import DEFAULT_PROJECT, RunRequest
from schemas.codec import decode
from schemas.errors import ErrorCode, RunbusError
from schemas.subjects import Subjects
from schemas.tokens import identifier
from services.dispatcher.accept import Acceptance
from services.dispatcher.refusals import how_queued, record_refusal, record_refused_retry
from services.dispatcher.retries import retry_id

AT_ONCE: Final = 256
_LOOK_EVERY_S: Final = 5.0
_LATER_S: Final = 1.0

log = structlog.get_logger("dispatcher")


class _Named(msgspec.Struct):
    id: str = ""


class DurableRequests:
    """Takes requests from the stream, shared with the other dispatchers; each is answered by events.

    The execution's id is the request's ``id``, or ``q-<sequence in the stream>``: the same at every delivery, so
    that a request delivered twice is one execution. A refused request is an execution that failed, with the reason.
    """

    def __init__(self, bus: Bus, subjects: Subjects, acceptance: Acceptance) -> None:
        self._bus = bus
        self._subjects = subjects
        self._acceptance = acceptance
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._open = True
        self._puller = Puller(
            bus, subjects.requests_stream, subjects.requests_consumer,
            on_message=self._receive, on_idle=self._wake.set, on_gone=self._wake.set,
        )  # fmt: skip

    async def run(self) -> None:
        """Take requests until cancelled."""
        stop_listening = self._bus.on_reconnect(self._reconnected)
        try:
            while True:
                self._wake.clear()
                wanted = AT_ONCE - len(self._tasks) - self._puller.outstanding
                if wanted > 0 and self._open:
                    await self._puller.ask(wanted)
                try:
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await self._wake.wait()
                except TimeoutError:
                    if self._puller.overdue:
                        await self._puller.withdraw()
        finally:
            stop_listening()

    async def close(self) -> None:
        """Take no more, and finish what is in hand."""
        self._open = False
        await self._puller.withdraw()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5.0)

    async def _reconnected(self) -> None:
        await self._puller.withdraw()
        self._wake.set()

    async def _receive(self, delivery: Delivery) -> None:
        if not self._open:
            await delivery.nak()
            return
        task = asyncio.ensure_future(self._take(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    async def _take(self, delivery: Delivery) -> None:
        project = delivery.subject.split(".")[1]
        fresh_id = f"q-{delivery.seq}"
        named: RunRequest | None = None
        try:
            request = decode(delivery.data, RunRequest)
            named = _in_project(request, project, request.id or fresh_id)
            await self._acceptance.accept(named, fresh_id, durable=True)
        except RunbusError as error:
            if error.code in (ErrorCode.UNAVAILABLE, ErrorCode.BUSY):
                await delivery.nak(delay_s=_LATER_S)
                return
            if named is None or not await self._is_refused_as_retry(named, error):
                key = (project, _named(delivery.data) or fresh_id)
                await record_refusal(self._bus, self._subjects, key, error)
        await delivery.ack()

    async def _is_refused_as_retry(self, request: RunRequest, error: RunbusError) -> bool:
        """Tell of a refused retry as one: with the job, title and user of the run before it, and its number.

        False: it is none, or nothing is known of that run any more.
        """
        retry = request.retry
        if retry is None or request.id != retry_id(retry.initial, retry.attempt):
            return False
        try:
            for name in (request.id, retry.previous):
                identifier("execution id", name)
            before = await how_queued(self._bus, self._subjects, (request.project, retry.previous))
        except RunbusError as fault:
            if fault.code is ErrorCode.UNAVAILABLE:
                raise
            return False
        if before is None or before.job is None or before.job.uuid != request.job:
            return False
        key = (request.project, request.id)
        await record_refused_retry(self._bus, self._subjects, before, retry, key, error)
        return True


def _in_project(request: RunRequest, project: str, execution: str) -> RunRequest:
    """The request as its subject says: the project of the subject holds, and a message of another is refused."""
    if request.project not in (DEFAULT_PROJECT, project):
        raise RunbusError(
            ErrorCode.INVALID_MESSAGE,
            f"the request names project {request.project!r} on the subject of project {project!r}: leave it out.",
        )
    return msgspec.structs.replace(request, project=project, id=execution)


def _named(data: bytes) -> str:
    """The id that a message bears which could not be read as a whole, if that much can be read."""
    try:
        return identifier("execution id", msgspec.json.decode(data, type=_Named).id)
    except (msgspec.DecodeError, UnicodeDecodeError, RunbusError):
        return ""
