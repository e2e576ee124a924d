"""The node inventory of each project: stored once for all copies, and held by each copy that was asked for it."""

from __future__ import annotations

import asyncio
import gc
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from bus.bucket import Bucket, StaleRevisionError
from bus.follow import Follower
from bus.nodes import lines_of, nodes_of
from bus.parcels import Parcels
from domain.calm import let_go, uncollected
from domain.nodes.merging import merged
from schemas.errors import ErrorCode, RunbusError
from schemas.nodes import Inventory, Node, StoredNodes

MAX_HELD_NODES: Final = 500_000
"""Of all projects together; of those beyond, the ones not asked for the longest are read again when they are."""
_MANY_NODES: Final = 10_000
_ATTEMPTS: Final = 5
_ORPHANED_AFTER_S: Final = 3600.0

log = structlog.get_logger("nodesource")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The sources of a project in order, and how nodes that several have are put together."""

    project: str
    order: list[str]
    merge_attributes: bool = True


class Held(msgspec.Struct, frozen=True):
    """An inventory with its nodes, sorted by name. Revision 0: nothing was ever loaded."""

    record: Inventory
    revision: int
    nodes: list[Node]


class Inventories:
    """Reads and replaces inventories. The record in the bucket says what holds; its nodes are a parcel."""

    def __init__(self, records: Bucket[Inventory], store: Parcels) -> None:
        self._records = records
        self._store = store
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._lists: defaultdict[str, dict[str, list[Node]]] = defaultdict(dict)
        """By project and parcel: each source's own nodes."""
        self._reading: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._ahead: set[asyncio.Task[None]] = set()
        self._projects: set[str] = set()
        self.following: Final[Follower] = records.watch(self._hear)

    async def current(self, project: str) -> Held:
        """The inventory, never older than what was stored when this was called.

        Raises ``parcel_lost`` where the nodes it names are gone, ``unavailable`` where the store does not answer.
        """
        found = await self._records.get(project)
        if found is None:
            return Held(Inventory(project=project), 0, [])
        if (held := self._held_at(project, found[1])) is not None:
            return held
        async with self._reading[project]:
            return await self._read(project)

    async def put(
        self, nodes: Sequence[Node], facts: StoredNodes, place: Place, *, lines: bytes | None = None
    ) -> tuple[int, StoredNodes | None]:
        """Store the nodes of one source in place of those it had; returns the revision, and its entry before.

        ``facts`` says where they come from; its parcel and count are filled in. ``lines`` are the nodes as they are
        stored, where somebody has them so. Raises ``busy`` where others change the inventory at the same time again
        and again.
        """
        if lines is None:
            lines = await asyncio.to_thread(lambda: b"".join(lines_of(nodes)))
        parcel = await self._store.put(lines)
        entry = msgspec.structs.replace(facts, parcel=parcel, count=len(nodes))
        self._lists[place.project][parcel] = list(nodes)
        try:
            revision, before = await self._change(place, entry)
        except RunbusError:
            self._lists[place.project].pop(parcel, None)
            await self._store.remove(parcel)
            raise
        await self.current(place.project)
        return revision, before

    async def arrange(self, place: Place) -> None:
        """Bring the sources into this order, and drop the nodes of those that are not in it."""
        found = await self._records.get(place.project)
        if found is not None and _arranged(found[0], None, place) != found[0]:
            await self._change(place, None)

    async def entry(self, project: str, source: str) -> StoredNodes | None:
        """What is stored of a source."""
        found = await self._records.get(project)
        return next((each for each in found[0].sources if each.source == source), None) if found else None

    async def nodes_of(self, project: str, source: str) -> list[Node]:
        """The nodes of one source, before they are put together with others'."""
        await self.current(project)
        entry = await self.entry(project, source)
        return [] if entry is None else self._lists[project].get(entry.parcel, [])

    async def _change(self, place: Place, entry: StoredNodes | None) -> tuple[int, StoredNodes | None]:
        """Write the record; returns its revision, and the entry that the new one takes the place of."""
        for _ in range(_ATTEMPTS):
            found = await self._records.get(place.project)
            before = found[0] if found else Inventory(project=place.project)
            record = _arranged(before, entry, place)
            try:
                revision = await self._records.write(place.project, record, revision=found[1] if found else 0)
            except StaleRevisionError:
                continue
            kept = {each.parcel for each in record.sources}
            for each in [*before.sources, *([entry] if entry else [])]:  # that of a disabled source has no place
                if each.parcel not in kept:
                    await self._store.remove(each.parcel)
            replaced = next((each for each in before.sources if entry and each.source == entry.source), None)
            return revision, replaced
        raise RunbusError(
            ErrorCode.BUSY, f"the nodes of project {place.project} are being changed by others: try again."
        )

    async def remove_orphans(self) -> None:
        """Remove nodes that no record names: a copy ended between storing them and its record."""
        records = [found[0] for project in sorted(self._projects) if (found := await self._records.get(project))]
        kept = {source.parcel for record in records for source in record.sources}
        gone = await self._store.remove_all_but(kept, older_than_s=_ORPHANED_AFTER_S)
        if gone:
            log.info("orphans.removed", count=gone)

    async def finish(self) -> None:
        """End what is being read ahead."""
        for task in self._ahead:
            task.cancel()
        await asyncio.gather(*self._ahead, return_exceptions=True)

    def _held_at(self, project: str, revision: int) -> Held | None:
        held = self._held.get(project)
        if held is None or held.revision < revision:
            return None
        self._held.move_to_end(project)
        return held

    async def _read(self, project: str) -> Held:
        """Read record and nodes, again where the record has moved on meanwhile."""
        last_revision = -1
        while True:
            found = await self._records.get(project)
            if found is None:
                return Held(Inventory(project=project), 0, [])
            record, revision = found
            if (held := self._held_at(project, revision)) is not None:
                return held
            try:
                lists = {each.parcel: await self._list(project, each.parcel) for each in record.sources}
            except RunbusError as error:
                if error.code is not ErrorCode.PARCEL_LOST:
                    raise
                if revision == last_revision:
                    raise _lost(project, error) from error
                last_revision = revision
                continue
            in_order = list(lists.values())
            nodes = await asyncio.to_thread(merged, in_order, attributes=record.merge_attributes)
            held = Held(record, revision, nodes)
            old = self._exchanged(held, lists)
            await asyncio.to_thread(let_go, old)
            return held

    def _exchanged(self, held: Held, lists: dict[str, list[Node]]) -> list[Node]:
        """Hold this one; the nodes of the one before, to be let go of."""
        project = held.record.project
        before, own = self._held.get(project), self._lists[project]
        old = list(before.nodes) if before is not None else []
        for parcel in own.keys() - lists.keys():
            old += own[parcel]
        self._lists[project] = lists
        self._hold(held)
        return old

    async def _list(self, project: str, parcel: str) -> list[Node]:
        known = self._lists[project].get(parcel)
        if known is not None:
            return known
        lines = await self._store.get(parcel)
        with uncollected():
            return await nodes_of(lines)

    def _hold(self, held: Held) -> None:
        project = held.record.project
        if (known := self._held.get(project)) is not None and known.revision > held.revision:
            return
        self._held[project] = held
        self._held.move_to_end(project)
        if len(held.nodes) >= _MANY_NODES:
            # they hold no cycles: looking through all of them for some would stop everything for 30 ms and more
            gc.freeze()
        while len(self._held) > 1 and sum(len(each.nodes) for each in self._held.values()) > MAX_HELD_NODES:
            gone, _ = self._held.popitem(last=False)
            self._lists.pop(gone, None)

    async def _hear(self, project: str, record: Inventory | None) -> None:
        """A record has changed: read what this copy was asked for before, so that nobody waits for it."""
        if record is None:
            self._projects.discard(project)
            self._held.pop(project, None)
            self._lists.pop(project, None)
            return
        self._projects.add(project)
        if project in self._held:
            task = asyncio.ensure_future(self._read_ahead(project))
            self._ahead.add(task)
            task.add_done_callback(self._ahead.discard)

    async def _read_ahead(self, project: str) -> None:
        try:
            await self.current(project)
        except RunbusError as error:
            log.warning("inventory.not_read", project=project, error=error.message)


def _arranged(record: Inventory, entry: StoredNodes | None, place: Place) -> Inventory:
    """The record with this entry in its place, in order; entries of sources that are not there (any more) go."""
    entries = {each.source: each for each in record.sources}
    if entry is not None:
        entries[entry.source] = entry
    return Inventory(
        project=place.project,
        sources=[entries[name] for name in place.order if name in entries],
        merge_attributes=place.merge_attributes,
    )


def _lost(project: str, error: RunbusError) -> RunbusError:
    return RunbusError(
        ErrorCode.PARCEL_LOST,
        f"the stored nodes of project {project} are gone ({error.message}) "
        f"Load them again (runbus nodes load FILE --project {project}), or refresh its sources.",
        details={"project": project, **error.details},
    )
