"""One refresh of a source, from the lease that keeps other copies away to what is said of it afterwards."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import structlog

from bus.bucket import Bucket
from bus.endpoint import internal_error
from domain.discovery.definition import digest_of
from domain.nodes.merging import Difference, difference
from schemas.api import ProjectRecord
from schemas.errors import RunbusError
from schemas.nodes import Node, StoredNodes
from schemas.sources import LOADED, SourceDefinition, SourceState
from services.nodesource.asking import Answer, Asker
from services.nodesource.inventories import Inventories, Place
from services.nodesource.store import Key, SourceStore

MERGE_SETTING: Final = "project.resources.mergeNodeAttributes"
"""The original's setting of a project: ``false`` has a later node take the place of an earlier one of its name."""
_LEASE_MARGIN_S: Final = 30.0
_MAX_WARNINGS: Final = 20

log = structlog.get_logger("nodesource")


class Refresher:
    """Refreshes sources. Of one source one refresh runs at a time, whatever number of copies there is."""

    def __init__(
        self, store: SourceStore, asker: Asker, inventories: Inventories, projects: Bucket[ProjectRecord]
    ) -> None:
        self._store = store
        self._asker = asker
        self._inventories = inventories
        self._projects = projects
        self._locks: defaultdict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.name: Final = secrets.token_hex(4)
        """Of this copy, in leases."""

    async def refresh(self, project: str, name: str) -> SourceState:
        """Ask the source now; how it stands afterwards. A failure is in ``error``, and its nodes stay as they were.

        Where it is being asked already, that is waited for, and what it came to is returned. Raises
        ``unknown_source``, and ``unavailable`` where the bus does not answer.
        """
        key = (project, name)
        if self._locks[key].locked():
            async with self._locks[key]:
                return (await self._store.state(project, name))[0]
        async with self._locks[key]:
            source = await self._store.require(project, name)
            state, revision = await self._lease(key, source)
            if not revision:
                return state
            try:
                done = await self._carried_out(project, source, state)
            except BaseException:
                await asyncio.shield(self._say(state, revision))
                raise
            return await self._say(done, revision)

    async def place(self, project: str) -> Place:
        """In which order the sources of a project count, and how they are put together."""
        sources = await self._store.of(project)
        found = await self._projects.get(project)
        setting = found[0].settings.get(MERGE_SETTING, "") if found else ""
        order = [LOADED, *(source.name for source in sources if source.enabled)]
        return Place(project=project, order=order, merge_attributes=setting.strip().lower() != "false")

    async def _lease(self, key: Key, source: SourceDefinition) -> tuple[SourceState, int]:
        """Keep other copies away. Revision 0: another one has asked meanwhile, and this is what it came to."""
        while True:
            state, revision = await self._store.state(*key)
            now = datetime.now(UTC)
            held_until = state.refreshing_until
            if state.refreshing_by not in ("", self.name) and held_until is not None and held_until > now:
                await self._store.change_of(key, (held_until - now).total_seconds())
                state, _ = await self._store.state(*key)
                if not state.refreshing_by:
                    return state, 0
                continue
            mine = msgspec.structs.replace(
                state,
                refreshing_by=self.name,
                refreshing_until=now + timedelta(seconds=source.timeout_s + _LEASE_MARGIN_S),
            )
            written = await self._store.write_state(mine, revision)
            if written is not None:
                return state, written

    async def _say(self, state: SourceState, revision: int) -> SourceState:
        """Give the lease back. Where another copy has taken it (ours ran out), what that one says counts."""
        free = msgspec.structs.replace(state, refreshing_by="", refreshing_until=None)
        if await self._store.write_state(free, revision) is None:
            return (await self._store.state(state.project, state.source))[0]
        return free

    async def _carried_out(self, project: str, source: SourceDefinition, state: SourceState) -> SourceState:
        started_s = time.monotonic()
        asked = msgspec.structs.replace(state, definition=digest_of(source), checked_at=datetime.now(UTC))
        try:
            stored = await self._inventories.entry(project, source.name)
            known = stored.digest if stored is not None and state.definition == asked.definition else ""
            reach = await self._asker.reach(project, source)
            answer = await self._asker.ask(reach, source, known_digest=known)
            done = await self._taken_over(project, source, asked, answer)
        except RunbusError as error:
            log.warning("source.failed", project=project, source=source.name, code=error.code, error=error.message)
            done = msgspec.structs.replace(asked, error=error.info("nodesource"), failures=state.failures + 1)
        except Exception as cause:  # noqa: BLE001  (one broken source must not end the others)
            broken = internal_error(f"refresh of {project}/{source.name}", cause)
            done = msgspec.structs.replace(asked, error=broken.info("nodesource"), failures=state.failures + 1)
        return msgspec.structs.replace(done, duration_s=time.monotonic() - started_s)

    async def _taken_over(
        self, project: str, source: SourceDefinition, asked: SourceState, answer: Answer
    ) -> SourceState:
        """Put the nodes into the inventory, unless they are there."""
        found = answer.found
        now = datetime.now(UTC)
        changes = Difference()
        if not found.unchanged:
            changes = await self._changes(project, source.name, found.nodes)
            if await self._is_gone(project, source):
                return asked
            facts = StoredNodes(
                source=source.name, parcel="", count=0, loaded_at=now, format=source.type, digest=found.digest
            )
            await self._inventories.put(found.nodes, facts, await self.place(project), lines=answer.lines)
        log.info(
            "source.refreshed", project=project, source=source.name, runner=found.runner, count=found.count,
            added=changes.added, changed=changes.changed, gone=changes.gone, unchanged=found.unchanged,
        )  # fmt: skip
        return msgspec.structs.replace(
            asked, succeeded_at=now, runner=found.runner, plugin_version=found.plugin_version, count=found.count,
            added=changes.added, changed=changes.changed, gone=changes.gone, digest=found.digest,
            warnings=_first(found.warnings), error=None, failures=0,
        )  # fmt: skip

    async def _changes(self, project: str, name: str, nodes: Sequence[Node]) -> Difference:
        """Apart, so that the nodes it had are kept no longer than this: the inventory lets go of them by and by."""
        before = await self._inventories.nodes_of(project, name)
        return await asyncio.to_thread(difference, before, nodes)

    async def _is_gone(self, project: str, source: SourceDefinition) -> bool:
        """It was removed, or changed, while it was being asked."""
        now = {each.name: each for each in await self._store.of(project)}
        return source.name not in now or digest_of(now[source.name]) != digest_of(source)


def due_at(source: SourceDefinition, state: SourceState | None, first_at: datetime) -> datetime | None:
    """When a source is refreshed by itself; None: not at all. ``first_at``: where it was never asked, or changed."""
    if not source.enabled:
        return None
    if state is None or state.checked_at is None or state.definition != digest_of(source):
        return first_at if state is None or not state.refreshing_until else state.refreshing_until
    if not source.interval_s:
        return None
    planned = state.checked_at + timedelta(seconds=source.interval_s)
    return max(planned, state.refreshing_until) if state.refreshing_until else planned


def _first(warnings: list[str]) -> list[str]:
    """As many as are kept, and how many there were besides."""
    if len(warnings) <= _MAX_WARNINGS:
        return warnings
    return [*warnings[: _MAX_WARNINGS - 1], f"... and {len(warnings) - _MAX_WARNINGS + 1} more warnings"]
