"""Refreshing by itself: each source when it is due, beside all others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from bus.connection import Heard
from schemas.errors import ErrorCode, RunbusError
from services.nodesource.refreshing import Refresher, due_at
from services.nodesource.store import Key, SourceStore

_LOOK_EVERY_S: Final = 60.0
_AGAIN_AFTER_S: Final = 5.0
"""How soon a source that nobody could be asked for is tried again once the runners have changed."""
_FIRST_WORD: Final = timedelta(seconds=2)
"""Whoever stores a source asks it at once, and is told what has changed: only then is it asked by itself."""
_NOBODY: Final = frozenset({ErrorCode.NO_RUNNER, ErrorCode.PLUGIN_NOT_FOUND})

log = structlog.get_logger("nodesource")


class Keeper:
    """Starts what is due. Every copy of the service does; the lease of each source lets one of them ask it."""

    def __init__(self, store: SourceStore, refresher: Refresher) -> None:
        self._store = store
        self._refresher = refresher
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._fleet_changed_at: datetime | None = None

    def look(self) -> None:
        """Something has changed: look again at what is due."""
        self._wake.set()

    async def fleet_changed(self, _heard: Heard | None = None) -> None:
        """A runner came or went: sources that nobody could be asked for are worth another try."""
        self._fleet_changed_at = datetime.now(UTC)
        self._wake.set()

    async def run(self) -> None:
        """Start refreshes when they are due, until cancelled; those that run are ended then."""
        for each in self._store.following:
            await each.caught_up.wait()
        try:
            while True:
                self._wake.clear()
                next_s = self._start_due()
                try:
                    async with asyncio.timeout(next_s):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        finally:
            await self._end()

    def _start_due(self) -> float:
        """Start what is due; how long until the next one is."""
        now = datetime.now(UTC)
        soonest = now + timedelta(seconds=_LOOK_EVERY_S)
        for key, due in self._planned():
            if key in self._running:
                continue
            if due <= now:
                self._running[key] = asyncio.ensure_future(self._refresh(key))
            else:
                soonest = min(soonest, due)
        return max(0.0, (soonest - now).total_seconds())

    def _planned(self) -> Iterator[tuple[Key, datetime]]:
        for project, sources in list(self._store.known.items()):
            for source in sources.sources:
                state = self._store.states.get((project, source.name))
                due = due_at(source, state, self._store.heard_at[project] + _FIRST_WORD)
                if source.enabled and state is not None and state.error is not None and state.error.code in _NOBODY:
                    due = self._again_at(state.checked_at) or due
                if due is not None:
                    yield (project, source.name), due

    def _again_at(self, checked_at: datetime | None) -> datetime | None:
        if checked_at is None or self._fleet_changed_at is None or self._fleet_changed_at <= checked_at:
            return None
        return checked_at + timedelta(seconds=_AGAIN_AFTER_S)

    async def _refresh(self, key: Key) -> None:
        try:
            await self._refresher.refresh(*key)
        except RunbusError as error:
            if error.code is not ErrorCode.UNKNOWN_SOURCE:
                log.warning("source.not_refreshed", project=key[0], source=key[1], error=error.message)
                await asyncio.sleep(_AGAIN_AFTER_S)
        finally:
            self._running.pop(key, None)
            self._wake.set()

    async def _end(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
