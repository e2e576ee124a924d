"""Tag sets in use: made known to runners, with a consumer each, once, before the first assignment."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import msgspec
import nats.errors
import structlog
from nats.js.errors import APIError

from bus.bucket import Bucket
from bus.connection import Bus
from bus.presence import nobody_listens, nobodys_token, overheard
from bus.streams import ensure_consumer
from schemas.api import SetRecord
from schemas.errors import RunbusError
from schemas.subjects import Subjects
from schemas.tokens import TagSet

ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)

_BIND_WITHIN_S: Final = 3.0
"""How long a runner may take to hear of a tag set that is new."""
_AGAIN_S: Final = 0.05

log = structlog.get_logger("bus")


class _Unasked(NamedTuple):
    """A set that was not asked since this process began to use it: its runners may not have heard of it yet."""

    stream: str
    consumer: str


_unasked: Final[WeakKeyDictionary[Bus, dict[str, _Unasked]]] = WeakKeyDictionary()
"""By connection, and by what the subjects of the set begin with (``rb.default.tag.dev+linux``)."""


class SetsInUse:
    """Adds sets. The bucket tells runners to bind; the consumer is what they pull from."""

    def __init__(self, bus: Bus, subjects: Subjects, bucket: Bucket[SetRecord], *, ack_wait_s: float) -> None:
        self._bus = bus
        self._subjects = subjects
        self._bucket = bucket
        self._ack_wait_s = ack_wait_s
        self._made: set[tuple[str, TagSet]] = set()
        bus.on_reconnect(self._forget)

    async def ensure(self, project: str, tags: TagSet) -> None:
        """Make the consumer, then tell the runners; doing it again is harmless."""
        if (project, tags) in self._made:
            return
        stream, consumer = self._subjects.jobs_stream, self._subjects.set_consumer(project, tags)
        jobs = self._subjects.jobs_of_set(project, tags)
        await ensure_consumer(self._bus, stream, consumer, jobs, ack_wait_s=self._ack_wait_s)
        key = self._subjects.set_key(project, tags)
        if await self._bucket.get(key) is None:
            await self._bucket.put(key, SetRecord(project=project, tags=list(tags)))
        _unasked.setdefault(self._bus, {})[jobs.removesuffix(".job.>")] = _Unasked(stream, consumer)
        self._made.add((project, tags))

    async def _forget(self) -> None:
        """After a reconnect the server may be another one."""
        self._made.clear()


async def ask_set(
    bus: Bus, subject: str, request: msgspec.Struct, reply: type[ReplyT], *, timeout_s: float
) -> ReplyT:
    """What one runner of a set answers; a request to a set that was just added waits for its first runner a moment.

    Raises what the runner raises, and ``unavailable``.
    """
    await _until_bound(bus, subject)
    loop = asyncio.get_running_loop()
    give_up_s = loop.time() + _BIND_WITHIN_S
    while True:
        try:
            return await bus.request(subject, request, reply, timeout_s=timeout_s)
        except RunbusError as error:
            if not nobody_listens(error) or loop.time() > give_up_s:
                raise
        await asyncio.sleep(_AGAIN_S)


async def _until_bound(bus: Bus, subject: str) -> None:
    """Before the first question to a set, where the server could not say that nobody listens yet: wait for a runner.

    The question would be lost, and whoever asked wait until its time is over. A runner that pulls from the set
    answers its requests; one that is full does not pull, hence the limit of 3 s.
    """
    place, kind, verb = subject.rsplit(".", 2)
    unasked = _unasked.get(bus, {})
    known = unasked.get(place)
    if known is None:
        return
    unused = f"{place.rpartition('.')[0]}.{nobodys_token()}.{kind}.{verb}"
    if await overheard(bus, unused):
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + _BIND_WITHIN_S
        while loop.time() < give_up_s:
            if await _is_pulled_from(bus, known):
                break
            await asyncio.sleep(_AGAIN_S)
    unasked.pop(place, None)


async def _is_pulled_from(bus: Bus, known: _Unasked) -> bool:
    try:
        info = await bus.js.consumer_info(known.stream, known.consumer)
    except (APIError, nats.errors.Error) as cause:
        log.info("set.not_looked_at", consumer=known.consumer, error=str(cause) or type(cause).__name__)
        return False
    return bool(info.num_waiting)
