"""Folders of keys: every call that a listing needs, many at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from runbus.plugin import KeyEntry, KeyFailure, KeyStorageError
from services.runner.keystorage.vault.config import StorageBehaviour
from services.runner.keystorage.vault.engine import Engine
from services.runner.keystorage.vault.meanings import entries_of
from services.runner.keystorage.vault.place import Parts, is_part

_AT_ONCE: Final = 16
_MAX_ENTRIES: Final = 100_000
_KNOWN_FOR_S: Final = 30.0
_MAX_KNOWN: Final = 20_000


class Known:
    """What secrets are as keys, for a short while: a listing that is read page by page asks for them once.

    Entries only: there is no value here.
    """

    def __init__(self) -> None:
        self._entries: dict[Parts, tuple[float, Sequence[KeyEntry]]] = {}

    def get(self, parts: Parts) -> Sequence[KeyEntry] | None:
        """The entries of a secret, where it was looked at just now."""
        until_s, entries = self._entries.get(parts, (0.0, ()))
        return entries if until_s > time.monotonic() else None

    def put(self, parts: Parts, entries: Sequence[KeyEntry]) -> None:
        """Remember them."""
        if len(self._entries) >= _MAX_KNOWN:
            self._entries.clear()
        self._entries[parts] = (time.monotonic() + _KNOWN_FOR_S, entries)


class Walk:
    """One listing."""

    def __init__(self, engine: Engine, behaviour: StorageBehaviour, known: Known, *, deep: bool) -> None:
        self._engine = engine
        self._behaviour = behaviour
        self._known = known
        self._deep = deep
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._found: dict[tuple[str, bool], KeyEntry] = {}
        self._tasks: asyncio.TaskGroup

    async def below(self, parts: Parts, names: Sequence[str]) -> list[KeyEntry]:
        """What the names of a folder are; deep: and all below. Raises :class:`KeyStorageError`."""
        failure: KeyStorageError | None = None
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._start(parts, names)
        except* KeyStorageError as group:
            failure = _first(group)
        if failure is not None:
            raise KeyStorageError(failure.message, reason=failure.reason)
        return [self._found[place] for place in sorted(self._found)]

    def _start(self, parts: Parts, names: Sequence[str]) -> None:
        for name in names:
            inner = (*parts, name.removesuffix("/"))
            if not is_part(inner[-1]):
                continue  # no path of ours leads there
            if not name.endswith("/"):
                self._tasks.create_task(self._key(inner))
                continue
            self._add(KeyEntry(path="/".join(inner), folder=True))
            if self._deep:
                self._tasks.create_task(self._folder(inner))

    async def _folder(self, parts: Parts) -> None:
        async with self._places:
            try:
                names = await self._engine.names(parts)
            except KeyStorageError as error:
                if error.reason is not KeyFailure.FORBIDDEN:
                    raise
                return  # shown, and not opened: others of the tree may be the runner's
        self._start(parts, names or ())

    async def _key(self, parts: Parts) -> None:
        entries = self._known.get(parts)
        if entries is None:
            async with self._places:
                entries = await self._looked_at(parts)
        path = "/".join(parts)
        for entry in entries:
            if self._deep or entry.path == path:
                self._add(entry)

    async def _looked_at(self, parts: Parts) -> Sequence[KeyEntry]:
        path = "/".join(parts)
        try:
            secret = await self._engine.secret(parts)
        except KeyStorageError as error:
            if error.reason is not KeyFailure.FORBIDDEN:
                raise
            return (KeyEntry(path=path),)  # listed, and what it is only a reader knows
        if secret is None:
            return ()  # it went between the two calls
        entries = entries_of(path, secret, self._behaviour)
        self._known.put(parts, entries)
        return entries

    def _add(self, entry: KeyEntry) -> None:
        self._found.setdefault((entry.path, entry.folder), entry)
        if len(self._found) > _MAX_ENTRIES:
            text = f"there are more than {_MAX_ENTRIES:,} keys: list a folder further down"
            raise KeyStorageError(text, reason=KeyFailure.TOO_LARGE)


def _first(group: BaseExceptionGroup[KeyStorageError]) -> KeyStorageError:
    each: BaseException = group
    while isinstance(each, BaseExceptionGroup):
        each = each.exceptions[0]
    assert isinstance(each, KeyStorageError)  # noqa: S101  (what ``except*`` lets in)
    return each
