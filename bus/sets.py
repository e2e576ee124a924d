"""Tag sets in use: made known to runners, with a consumer each, once, before the first assignment."""

from __future__ import annotations

import asyncio
from typing import Final, TypeVar

import msgspec

from bus.bucket import Bucket
from bus.connection import Bus
from bus.streams import ensure_consumer
from schemas.api import SetRecord
from schemas.errors import ErrorCode, RunbusError
from schemas.subjects import Subjects
from schemas.tokens import TagSet

ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)

_BIND_WITHIN_S: Final = 3.0
"""How long a runner may take to hear of a tag set that is new."""
_AGAIN_S: Final = 0.05


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
        await ensure_consumer(
            self._bus,
            self._subjects.jobs_stream,
            self._subjects.set_consumer(project, tags),
            self._subjects.jobs_of_set(project, tags),
            ack_wait_s=self._ack_wait_s,
        )
        key = self._subjects.set_key(project, tags)
        if await self._bucket.get(key) is None:
            await self._bucket.put(key, SetRecord(project=project, tags=list(tags)))
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
    loop = asyncio.get_running_loop()
    give_up_s = loop.time() + _BIND_WITHIN_S
    while True:
        try:
            return await bus.request(subject, request, reply, timeout_s=timeout_s)
        except RunbusError as error:
            nobody = error.code is ErrorCode.UNAVAILABLE and error.details.get("reason") == "nobody listens"
            if not nobody or loop.time() > give_up_s:
                raise
        await asyncio.sleep(_AGAIN_S)
