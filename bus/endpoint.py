"""Answering requests: decode, hand to a handler as a task, reply with its result or with a typed error.

nats-py takes the next message of a subscription only when the callback has returned, micro-service endpoints
included; so each request runs as a task, bounded in number, and a slow one holds nobody up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.micro import add_service
from nats.micro.request import Request
from nats.micro.service import Service

from bus.connection import HEADER_ERROR_CODE, HEADER_ERROR_TEXT, Bus
from schemas.catalog import Endpoint
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, ErrorReply, RunbusError, new_error_id
from schemas.subjects import Subjects

MAX_AT_ONCE: Final = 4096

RequestT = TypeVar("RequestT", bound=msgspec.Struct)
ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)
Handler = Callable[[Any], Awaitable[msgspec.Struct]]
Respond = Callable[[bytes, dict[str, str] | None], Awaitable[None]]

log = structlog.get_logger("api")


class Route(msgspec.Struct, frozen=True):
    """A subject, the message it takes and who answers it. ``verb`` names it in the service's information."""

    verb: str
    subject: str
    request_type: Any
    handler: Handler


def route(
    subjects: Subjects,
    endpoint: Endpoint[RequestT, ReplyT],
    handler: Callable[[RequestT], Awaitable[ReplyT]],
    *,
    runner: str = "",
) -> Route:
    """Serve an endpoint of the contract; ``runner`` is the id where it is an endpoint of a runner."""
    return Route(endpoint.verb, endpoint.subject(subjects, runner), endpoint.request, handler)


class Answerer:
    """Runs handlers as tasks and replies. ``origin`` names this part in errors."""

    def __init__(self, bus: Bus, origin: str) -> None:
        self._bus = bus
        self._origin = origin
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, route: Route, data: bytes, respond: Respond) -> None:
        """Start answering; returns at once. Beyond 4096 at a time the answer is ``busy``."""
        busy = len(self._tasks) >= MAX_AT_ONCE
        task = asyncio.ensure_future(self._refuse(respond) if busy else self._answer(route, data, respond))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, *, within_s: float) -> None:
        """Let running handlers end; those that do not, in time, are cancelled."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within_s)
            for task in late:
                task.cancel()

    async def _answer(self, route: Route, data: bytes, respond: Respond) -> None:
        try:
            reply = await route.handler(decode(data, route.request_type))
            await respond(self._bus.checked(f"the answer on {route.subject}", encode(reply)), None)
        except RunbusError as error:
            log.info("request.refused", subject=route.subject, code=error.code, error_id=error.error_id)
            await self._reply_error(error, respond)
        except Exception as cause:  # noqa: BLE001  (the last resort: whoever asks must get an answer)
            await self._reply_error(internal_error(route.subject, cause), respond)

    async def _refuse(self, respond: Respond) -> None:
        await self._reply_error(
            RunbusError(ErrorCode.BUSY, f"{self._origin} is answering {MAX_AT_ONCE} requests: try again."), respond
        )

    async def _reply_error(self, error: RunbusError, respond: Respond) -> None:
        headers = {HEADER_ERROR_CODE: str(error.code), HEADER_ERROR_TEXT: _header_text(error.message)}
        await respond(encode(ErrorReply(error=error.info(self._origin))), headers)


def internal_error(where: str, cause: BaseException) -> RunbusError:
    """Log an unforeseen exception under an id, and make the error that tells only the id."""
    error = RunbusError(ErrorCode.INTERNAL, "")
    error.error_id = new_error_id()
    error.message = f"internal error; the log has the cause under id {error.error_id}."
    log.error("request.failed", where=where, error_id=error.error_id, exc_info=cause)
    return error


def _header_text(message: str) -> str:
    first_line = message.splitlines()[0] if message else ""
    return first_line.encode("ascii", "replace").decode()[:500]


async def answer_on(bus: Bus, on: Route, answerer: Answerer, *, queue: str = "") -> Callable[[], Awaitable[None]]:
    """Answer requests on a plain subject (control of one runner, requests to a tag set); returns what ends it."""

    async def receive(msg: Msg) -> None:
        answerer.accept(on, msg.data, _responder(bus, msg.reply))

    subscription = await bus.client.subscribe(on.subject, queue=queue, cb=receive)

    async def end() -> None:
        await _drained(bus, [subscription])

    return end


async def serve_api(bus: Bus, name: str, version: str, routes: Sequence[Route], answerer: Answerer) -> Service:
    """Serve endpoints as a NATS micro service (ADR-32): discovery by ``$SRV.PING|INFO|STATS``, a queue group."""
    service = await add_service(bus.client, name=name, version=version, description=f"Runbus {name}")
    for each in routes:
        await service.add_endpoint(name=each.verb, subject=each.subject, handler=_micro_handler(bus, each, answerer))
    return service


async def stop_api(bus: Bus, service: Service) -> None:
    """Take no more requests; what the server has sent until then is handed to the answerer, which is to finish it.

    ``Service.stop`` alone throws that away, and whoever asked waits for nothing, beside a copy that could answer.
    """
    endpoints, service._endpoints = service._endpoints, []  # noqa: SLF001 (it cannot stop what is drained)
    await _drained(bus, [each._subscription for each in endpoints if each._subscription])  # noqa: SLF001
    await service.stop()


async def _drained(bus: Bus, subscriptions: Sequence[Subscription]) -> None:
    """Without a connection nothing more can come, and nothing can be answered."""
    if not bus.client.is_connected:
        return
    try:
        await asyncio.gather(*(each.drain() for each in subscriptions))  # type: ignore[no-untyped-call]
    except (nats.errors.Error, TimeoutError) as cause:
        log.warning("requests.not_drained", error=type(cause).__name__)


def _micro_handler(bus: Bus, route: Route, answerer: Answerer) -> Callable[[Request], Awaitable[None]]:
    async def handle(request: Request) -> None:
        answerer.accept(route, request.data, _responder(bus, request._msg.reply))  # noqa: SLF001 (no accessor)

    return handle


def _responder(bus: Bus, reply: str) -> Respond:
    async def respond(data: bytes, headers: dict[str, str] | None) -> None:
        if reply:
            await bus.client.publish(reply, data, headers=headers)

    return respond
