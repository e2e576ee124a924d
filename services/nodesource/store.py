"""The node sources of each project, and how each of them stands: in buckets that all copies of the service share."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from bus.bucket import Bucket, StaleRevisionError
from bus.follow import Follower
from schemas.errors import ErrorCode, RunbusError
from schemas.sources import ProjectSources, SourceDefinition, SourceState

MAX_SOURCES: Final = 200
"""Of one project."""
_ATTEMPTS: Final = 10

Key = tuple[str, str]
"""Project and source."""


class SourceStore:
    """Reads and changes them; ``on_change`` is called for what any copy has changed."""

    def __init__(self, sources: Bucket[ProjectSources], states: Bucket[SourceState]) -> None:
        self._sources = sources
        self._states = states
        self.on_change: Callable[[], None] = _nothing
        self._changed: defaultdict[Key, asyncio.Event] = defaultdict(asyncio.Event)
        self.known: Final[dict[str, ProjectSources]] = {}
        """Followed, so perhaps a moment old."""
        self.heard_at: Final[dict[str, datetime]] = {}
        """By project: when its sources changed last, or this copy began to follow them."""
        self.states: Final[dict[Key, SourceState]] = {}
        self.following: Final[tuple[Follower, ...]] = (
            sources.watch(self._hear_sources),
            states.watch(self._hear_state),
        )

    async def of(self, project: str) -> list[SourceDefinition]:
        """The sources of a project, in order."""
        found = await self._sources.get(project)
        return list(found[0].sources) if found else []

    async def require(self, project: str, name: str) -> SourceDefinition:
        """One source. Raises ``unknown_source``."""
        for source in await self.of(project):
            if source.name == name:
                return source
        raise RunbusError(
            ErrorCode.UNKNOWN_SOURCE,
            f"project {project} has no node source {name[:80]!r}. 'runbus nodes source list' shows them.",
            details={"project": project, "source": name[:80]},
        )

    async def put(self, project: str, source: SourceDefinition, *, position: int, fresh: bool) -> bool:
        """Add it or change the one of its name; whether it is new. Raises ``invalid_source``, ``already_exists``."""
        for _ in range(_ATTEMPTS):
            found = await self._sources.get(project)
            before = list(found[0].sources) if found else []
            is_new = all(each.name != source.name for each in before)
            if fresh and not is_new:
                raise RunbusError(
                    ErrorCode.ALREADY_EXISTS,
                    f"project {project} has a node source {source.name!r}: choose another name, or change that one "
                    "('runbus nodes source set').",
                    details={"project": project, "source": source.name},
                )
            sources = _placed(before, source, position)
            if len(sources) > MAX_SOURCES:
                raise RunbusError(
                    ErrorCode.INVALID_SOURCE, f"project {project} has {MAX_SOURCES} node sources: remove one first."
                )
            if await self._write(project, sources, found[1] if found else 0):
                return is_new
        raise _busy(project)

    async def remove(self, project: str, name: str) -> None:
        """Remove one, and what is known of it. Raises ``unknown_source``."""
        for _ in range(_ATTEMPTS):
            await self.require(project, name)
            found = await self._sources.get(project)
            left = [each for each in (found[0].sources if found else []) if each.name != name]
            if await self._write(project, left, found[1] if found else 0):
                await self._states.delete(_state_key(project, name))
                return
        raise _busy(project)

    async def state(self, project: str, name: str) -> tuple[SourceState, int]:
        """How a source stands, and the revision of that; 0: it was never asked."""
        found = await self._states.get(_state_key(project, name))
        return found or (SourceState(project=project, source=name), 0)

    async def write_state(self, state: SourceState, revision: int) -> int | None:
        """Say how it stands if that is still as it was read; None where it is not."""
        try:
            return await self._states.write(_state_key(state.project, state.source), state, revision=revision)
        except StaleRevisionError:
            return None

    async def change_of(self, key: Key, within_s: float) -> None:
        """Wait until the state of a source changes, or that time is over."""
        event = self._changed[key]
        event.clear()
        try:
            async with asyncio.timeout(within_s):
                await event.wait()
        except TimeoutError:
            return

    async def _write(self, project: str, sources: list[SourceDefinition], revision: int) -> bool:
        try:
            await self._sources.write(project, ProjectSources(project=project, sources=sources), revision=revision)
        except StaleRevisionError:
            return False
        return True

    async def _hear_sources(self, key: str, value: ProjectSources | None) -> None:
        if value is None:
            self.known.pop(key, None)
        else:
            self.known[key] = value
            self.heard_at[key] = datetime.now(UTC)
        self.on_change()

    async def _hear_state(self, key: str, value: SourceState | None) -> None:
        project, _, name = key.partition(".")
        if value is None:
            self.states.pop((project, name), None)
        else:
            self.states[project, name] = value
        self._changed[project, name].set()
        self.on_change()


def _nothing() -> None:
    """Nobody wants to know."""


def _placed(before: list[SourceDefinition], source: SourceDefinition, position: int) -> list[SourceDefinition]:
    """At ``position`` from 1; without one, where the one of its name was, else at the end."""
    names = [each.name for each in before]
    others = [each for each in before if each.name != source.name]
    kept = names.index(source.name) if source.name in names else len(others)
    at = min(position - 1, len(others)) if position > 0 else kept
    return [*others[:at], source, *others[at:]]


def _state_key(project: str, name: str) -> str:
    return f"{project}.{name}"


def _busy(project: str) -> RunbusError:
    return RunbusError(
        ErrorCode.BUSY, f"the node sources of project {project} are being changed by others: try again."
    )
