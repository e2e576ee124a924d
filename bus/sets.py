"""Tag sets in use: made known to runners, with a consumer each, once, before the first assignment."""

from __future__ import annotations

from bus.bucket import Bucket
from bus.connection import Bus
from bus.streams import ensure_consumer
from schemas.api import SetRecord
from schemas.subjects import Subjects
from schemas.tokens import TagSet


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
