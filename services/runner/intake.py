"""Taking work: which sets this runner serves, and pulling from each no more than there are slots."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from bus.bucket import Bucket
from bus.connection import Bus
from bus.pull import Delivery, Puller
from schemas.api import SetRecord
from schemas.subjects import Subjects
from schemas.tokens import TagSet
from services.runner.slots import Slots
from services.runner.tagrequests import TagRequests

_LOOK_EVERY_S: Final = 5.0
_REBIND_S: Final = 1.0

log = structlog.get_logger("runner")

SetKey = tuple[str, TagSet]
"""Project and tag set."""


class Intake:
    """Pulls from the consumers of all sets that match, while slots are free.

    Pulls wait at the server, so an assignment is here as soon as it is published. The sum of what is asked for is
    kept to the free slots; with fewer free slots than sets each set still has one pull waiting, and what comes
    beyond the slots is handed back at once for another runner.
    """

    def __init__(
        self,
        bus: Bus,
        subjects: Subjects,
        slots: Slots,
        carry_out: Callable[[Delivery], Awaitable[None]],
        *,
        requests: TagRequests,
        local: bool,
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._slots = slots
        self._carry_out = carry_out
        self._requests = requests
        self._local = local
        self._tags: frozenset[str] = frozenset()
        self._projects: frozenset[str] = frozenset()
        self._in_use: dict[str, SetKey] = {}
        self._bound: dict[SetKey, Puller] = {}
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = True
        self._settling = asyncio.Lock()

    @property
    def bound_sets(self) -> list[str]:
        """``<project>/<set>`` of every set this runner pulls from."""
        return sorted(f"{project}/{tags.token}" for project, tags in self._bound)

    def configure(self, tags: frozenset[str], projects: frozenset[str]) -> None:
        """Serve these tags in these projects from now on."""
        self._tags, self._projects = tags, projects
        self._wake.set()

    async def take_set(self, key: str, record: SetRecord | None) -> None:
        """Take a change of the bucket of sets in use over."""
        if record is None:
            self._in_use.pop(key, None)
        else:
            self._in_use[key] = (record.project, TagSet(record.tags))
        self._wake.set()

    async def run(self) -> None:
        """Keep the pulls in step with sets and slots until cancelled."""
        stop_listening = self._bus.on_reconnect(self._reconnected)
        self._slots.on_change(self._wake.set)
        try:
            while True:
                self._wake.clear()
                await self.settle()
                try:
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await self._wake.wait()
                except TimeoutError:
                    await self._drop_overdue()
        finally:
            stop_listening()

    async def settle(self) -> None:
        """Bind to the sets that match and no others; ask for as much as there are slots."""
        async with self._settling:
            wanted = {key for key in self._in_use.values() if self._serves(*key)} if self._open else set()
            for key in set(self._bound) - wanted:
                await self._bound.pop(key).withdraw()
                await self._requests.unbind(*key)
                log.info("set.unbound", project=key[0], set=key[1].token)
            for key in wanted - set(self._bound):
                self._bound[key] = self._puller(key)
                await self._requests.bind(*key)
                log.info("set.bound", project=key[0], set=key[1].token)
            await self._ask()

    async def close(self) -> None:
        """Take no more work; what has been sent already is handed back."""
        self._open = False
        await self.settle()

    async def finish(self, *, within_s: float | None) -> bool:
        """Wait until everything in hand is done; False if that took longer than ``within_s``."""
        if not self._tasks:
            return True
        _, late = await asyncio.wait(self._tasks, timeout=within_s)
        return not late

    def _serves(self, project: str, tags: TagSet) -> bool:
        if tags.is_local:
            return self._local
        return project in self._projects and tags.matches(self._tags)

    def _puller(self, key: SetKey) -> Puller:
        return Puller(
            self._bus,
            self._subjects.jobs_stream,
            self._subjects.set_consumer(*key),
            on_message=self._receive,
            on_idle=self._wake.set,
            on_gone=lambda: self._rebind_later(key),
        )

    async def _ask(self) -> None:
        """Share the free slots out; with none free, take every waiting pull back.

        One that is half used up is topped up, not after every job: a request costs as much as an acknowledgement.
        """
        free = self._slots.free
        if free <= 0:
            for puller in list(self._bound.values()):
                if puller.outstanding:
                    await puller.withdraw()
            return
        share = max(1, free // max(1, len(self._bound)))
        for puller in list(self._bound.values()):
            if puller.outstanding <= share // 2:
                await puller.ask(share - puller.outstanding)

    async def _receive(self, delivery: Delivery) -> None:
        if not self._open or not self._slots.take():
            await delivery.nak()
            return
        task = asyncio.ensure_future(self._carry_out_in_slot(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._slots.free <= 0:
            self._wake.set()

    async def _carry_out_in_slot(self, delivery: Delivery) -> None:
        try:
            await self._carry_out(delivery)
        except Exception:
            log.exception("assignment.broken", subject=delivery.subject)
        finally:
            self._slots.give_back()

    def _rebind_later(self, key: SetKey) -> None:
        """The consumer is gone (deleted, or its stream was): bind anew; the dispatcher makes it again."""

        def rebind() -> None:
            if key in self._bound:
                self._bound[key] = self._puller(key)
            self._wake.set()

        asyncio.get_running_loop().call_later(_REBIND_S, rebind)

    async def _drop_overdue(self) -> None:
        for puller in list(self._bound.values()):
            if puller.overdue:
                await puller.withdraw()

    async def _reconnected(self) -> None:
        """The server may have forgotten the pulls: take them back and ask anew."""
        for puller in list(self._bound.values()):
            await puller.withdraw()
        self._wake.set()


async def open_sets(bus: Bus, subjects: Subjects) -> Bucket[SetRecord]:
    """The bucket of tag sets in use."""
    return await Bucket.open(bus, subjects.sets_bucket, SetRecord)
