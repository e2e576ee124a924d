"""The centre's keys: a tree of paths whose values are encrypted, in one SQLite file.

Paths come without ``keys/`` before them and are checked by the caller: relative, no empty parts, no ``.`` and ``..``.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import aiosqlite
import msgspec

from domain.keys.metadata import key_type_of
from schemas.keys import KeyEntry, KeyType
from services.keyproxy.crypto import Bound, ForgedError
from services.keyproxy.masterkey import MasterKey
from services.keyproxy.mastersource import MasterKeys
from services.keyproxy.storefile import number, open_reader, open_writer, telling, transaction
from services.keyproxy.storekeys import Keyring, Progress, reencrypt, wipe_log
from services.keyproxy.storelook import Page, encrypted_key, find, page_of
from services.keyproxy.storerows import (
    bound_of,
    conflict,
    created_of,
    entry_of,
    forged,
    is_folder,
    not_found,
    now_us,
    taken,
    too_large,
)
from services.keyproxy.storetree import delete, write

MAX_VALUE_BYTES: Final = 1 << 20
MAX_PAGE: Final = 5000
BATCH: Final = 250
"""Keys that are encrypted anew in one transaction."""

_IS_MARKED: Final = "SELECT 1 FROM served WHERE mark = ?"
_FORGET_MARKS: Final = "DELETE FROM served WHERE rowid <= (SELECT max(rowid) - 100 FROM served)"


class Stored(NamedTuple):
    """A key as it is now, and whether it is new."""

    entry: KeyEntry
    created: bool


class KeyStore:
    """Keys by path. Any number of tasks may ask at a time; those that write wait for each other.

    Each method raises ``unavailable`` where the file is damaged or its disk is full, ``busy`` where another process
    holds it.
    """

    def __init__(self, path: Path, writer: aiosqlite.Connection, reader: aiosqlite.Connection, ring: Keyring) -> None:
        self._path, self._writer, self._reader, self._ring = path, writer, reader, ring
        self._lock = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: Path | str, *keys: MasterKey, source: MasterKeys | None = None
    ) -> AsyncIterator[KeyStore]:
        """Open the file, or make it, under the first of these master keys; the file says which of them is in force.

        ``source``: read again where it comes under one that is none of them. Raises ``invalid_message``
        (``other_key``) for master keys that are not the file's, ``unavailable`` for a file that cannot be used.
        """
        path, ring = Path(path), Keyring(keys, source, file=str(path))
        writer = await open_writer(path)
        try:
            with telling(path):
                await ring.admit(writer, str(path))
            reader = await open_reader(path)
            try:
                yield cls(path, writer, reader, ring)
            finally:
                await reader.close()
        finally:
            await writer.close()

    async def put(
        self,
        path: str,
        value: bytes,
        *,
        by: str,
        key_type: KeyType | None = None,
        fresh: bool = False,
        meta: Mapping[str, str] | None = None,
    ) -> Stored:
        """Store a value, in place of the one of its path; without ``key_type``, of the type it looks like.

        Raises ``too_large`` beyond 1 MiB; ``already_exists`` where the path is a folder or leads through a key, and
        with ``fresh`` where there is such a key.
        """
        if len(value) > MAX_VALUE_BYTES:
            raise too_large(path, len(value), MAX_VALUE_BYTES)
        async with self._writing():
            written = await self._ring.written(self._writer, path)
            found = await find(self._writer, path)
            if found is not None and found[2] is None:
                raise conflict(path, path)
            if found is not None and fresh:
                raise taken(path)
            now = now_us()
            created_us, created_by = created_of(found[1:]) if found else (now, by)
            bound = Bound(
                path=path,
                type=key_type or key_type_of(value.decode("utf-8", "replace")),
                size_bytes=len(value),
                created_us=created_us,
                created_by=created_by,
                modified_us=max(now, created_us),  # a clock that was set back
                modified_by=by,
                meta=msgspec.json.encode(dict(meta or {}), order="sorted").decode(),
            )
            await write(self._writer, written, found[0] if found else None, bound, value)
        return Stored(entry_of(msgspec.structs.astuple(bound)), found is None)

    async def read(self, path: str) -> bytes:
        """The value. Raises ``key_unavailable`` where there is no such key, or it cannot be decrypted."""
        with telling(self._path):
            found = await encrypted_key(self._reader, path)
        key = await self._ring.of(found.master)
        if key is None:
            raise self._ring.lacking(path)
        try:
            return key.decrypt(found.encrypted, bound_of(found.columns))
        except ForgedError:
            raise forged(path) from None

    async def show(self, path: str) -> KeyEntry:
        """A key without its value, or a folder; the root is one. Raises ``key_unavailable``."""
        if not path:
            return KeyEntry(path="", folder=True)
        with telling(self._path):
            row = await find(self._reader, path)
        if row is None:
            raise not_found(path)
        return entry_of(row[1:])

    async def children(self, path: str = "", *, deep: bool = False, limit: int = 1000, after: str = "") -> Page:
        """What stands in a folder; ``deep``: all that is below it. Sorted by path, those behind ``after``.

        At most 5,000 at a time. Raises ``key_unavailable`` where there is no such folder.
        """
        limit = max(1, min(limit, MAX_PAGE))
        with telling(self._path):
            return await page_of(self._reader, path, deep=deep, after=after, limit=limit)

    async def remove(self, path: str) -> None:
        """Remove a key, the folders that it leaves empty, and what was encrypted. Raises ``key_unavailable``."""
        async with self._writing():
            row = await find(self._writer, path)
            if row is None:
                raise not_found(path)
            if row[2] is None:
                raise is_folder(path)
            await delete(self._writer, row[0], path)
        await self._wipe_log()

    async def count(self) -> int:
        """How many keys there are; folders are not counted."""
        with telling(self._path):
            return await number(self._reader, "SELECT count(*) FROM secret")

    async def mark(self) -> str:
        """Write a mark by chance into the file, which tells it from other files and from copies made before."""
        mark = secrets.token_hex(8)
        async with self._writing():
            await self._writer.execute("INSERT INTO served (mark) VALUES (?)", (mark,))
            await self._writer.execute(_FORGET_MARKS)
        return mark

    async def is_marked(self, mark: str) -> bool:
        """Whether such a mark was written into this file, or into the one that it is a copy of."""
        with telling(self._path):
            return bool(list(await self._reader.execute_fetchall(_IS_MARKED, (mark,))))

    async def masters(self) -> list[MasterKey]:
        """All that this process has, that in force first. Raises ``key_unavailable`` where it does not have that."""
        with telling(self._path):
            current = (await self._ring.written(self._reader, "")).key.master
        return [current, *(key for key in self._ring.known() if key is not current)]

    async def refresh_masters(self) -> None:
        """Read them again from where they come from."""
        await self._ring.refresh()

    async def rotate(self, to: MasterKey, progress: Progress | None = None, *, batch: int = BATCH) -> int:
        """Encrypt every key under this master key, and all that is stored from now on; how many were moved.

        Batch by batch, so that others, other processes too, read and write meanwhile. Ended at any moment, it goes on
        where it was when called again. Raises ``key_unavailable`` for a key that cannot be decrypted.
        """
        with telling(self._path):
            async with self._lock:
                total, done = await self._ring.begin(self._writer, to), 0
            while True:
                began = time.monotonic()
                async with self._lock:
                    moved = await reencrypt(self._writer, self._ring, to, batch)
                if not moved:
                    break
                done += moved
                if progress is not None:
                    progress(done, max(total, done))
                await asyncio.sleep(time.monotonic() - began)  # SQLite's lock knows no queue: let others have a turn
        await self._wipe_log()
        return done

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[None]:
        with telling(self._path):
            async with self._lock, transaction(self._writer):
                yield

    async def _wipe_log(self) -> None:
        with telling(self._path):
            async with self._lock:
                await wipe_log(self._writer)


async def rotate(
    path: Path | str, old: MasterKey, new: MasterKey, progress: Progress | None = None, *, batch: int = BATCH
) -> int:
    """Bring a file of keys from one master key to another, whether or not keyproxies run; how many keys were moved.

    See :meth:`KeyStore.rotate`.
    """
    async with KeyStore.open(path, old, new) as store:
        return await store.rotate(new, progress, batch=batch)
