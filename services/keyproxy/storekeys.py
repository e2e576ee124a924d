"""Under which master keys a file of keys is, and how it comes from one to another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import aiosqlite
import msgspec
import structlog

from schemas.errors import RunbusError
from services.keyproxy.crypto import DataKey, Encrypted, ForgedError
from services.keyproxy.masterkey import MasterFault, MasterKey, fault
from services.keyproxy.mastersource import MasterKeys
from services.keyproxy.storefile import number, transaction
from services.keyproxy.storerows import COLUMNS, bound_of, forged, other_master

MAX_BATCH_BYTES: Final = 4 << 20

log = structlog.get_logger("keyproxy")

Progress = Callable[[int, int], None]
"""Told how many keys are encrypted anew, and of how many."""

_FIRST: Final = "INSERT INTO master (id, current) SELECT ?, 1 WHERE NOT EXISTS (SELECT 1 FROM master)"
_LEFT: Final = """SELECT count(*) FROM master CROSS JOIN secret ON secret.master = master.number
WHERE current = 0"""
_OLD: Final = """SELECT number, id FROM master
WHERE current = 0 AND EXISTS (SELECT 1 FROM secret WHERE secret.master = number) LIMIT 1"""
_NEXT: Final = """SELECT secret.id, size_bytes FROM secret CROSS JOIN entry USING (id)
WHERE master = ? ORDER BY secret.id LIMIT ?"""
_ROWS: Final = f"""SELECT id, nonce, ciphertext, {COLUMNS} FROM secret CROSS JOIN entry USING (id)
WHERE id IN (SELECT value FROM json_each(?))"""  # noqa: S608  (our own names)
_WRITE: Final = "UPDATE secret SET master = ?, nonce = ?, ciphertext = ? WHERE id = ?"


class Written(NamedTuple):
    """The master key that a file is written under now, and its number there."""

    number: int
    key: DataKey


class Keyring:
    """The master keys that this process has, by their ids; which of them is in force, the file says.

    ``source``: read again where the file is under one that is not known yet. ``file``: that file, for the log.
    """

    def __init__(self, keys: Sequence[MasterKey], source: MasterKeys | None = None, *, file: str = "") -> None:
        self._first: Final = DataKey(keys[0])
        """A file that is made is under it."""
        self._source: Final = source
        self._file: Final = file
        self._is_locked_told = False
        self._known: Final = {self._first.id: self._first}
        self._add(keys)

    async def of(self, key_id: bytes) -> DataKey | None:
        """The key of an id; None where this process cannot get it."""
        if key_id not in self._known:
            await self.refresh()
        return self._known.get(key_id)

    async def refresh(self) -> None:
        """Read the source again. Keys once known stay known: what was sealed or read a moment ago is under them."""
        if self._source is not None:
            self._add(await asyncio.to_thread(self._source.again))

    def known(self) -> list[MasterKey]:
        """All that this process has."""
        return [key.master for key in self._known.values()]

    def lacking(self, path: str) -> RunbusError:
        """The error about a key that is under none of them. The first is also told to whoever runs this service."""
        remedy = self._source.remedy if self._source else ""
        if not self._is_locked_told:
            self._is_locked_told = True
            log.error(
                "keys.locked", file=self._file, error="no key can be read or stored: they are under another master "
                f"key by now ('runbus keys rotate'), {remedy or 'which is not known here.'}",
            )  # fmt: skip
        return other_master(path, remedy)

    async def admit(self, connection: aiosqlite.Connection, path: str) -> None:
        """See that the file is under keys that are known; one that is new is under the first of them.

        Raises ``invalid_message`` (``other_key``) where it is under another, or one more.
        """
        held = await _held(connection)
        if not held:
            async with transaction(connection):  # unless another process has just done it
                await connection.execute(_FIRST, (self._first.id,))
            held = await _held(connection)
        known = [await self.of(key) is not None for key in held]
        if not any(known):
            raise fault(
                MasterFault.OTHER_KEY,
                f"{path} was written under another master key than that in {self._origins()}: give the right one "
                "(a backup has it). Without it the keys that were stored cannot be read.",
            )
        if not all(known):
            raise fault(
                MasterFault.OTHER_KEY,
                f"{path} is on its way from one master key to another: besides that in {self._origins()} the "
                "other of the two is needed, until 'runbus keys rotate' has come to its end.",
            )

    async def begin(self, connection: aiosqlite.Connection, to: MasterKey) -> int:
        """Have this master key be written with from now on; how many keys are under another."""
        self._add([to])
        key_id = DataKey(to).id
        async with transaction(connection):
            if key_id not in await _held(connection):
                await connection.execute("INSERT INTO master (id, current) VALUES (?, 0)", (key_id,))
            await connection.execute("UPDATE master SET current = (id = ?)", (key_id,))
            return await number(connection, _LEFT)

    async def written(self, connection: aiosqlite.Connection, path: str) -> Written:
        """What to write with, asked where it is written. Raises ``key_unavailable`` where it is not known."""
        (at, key_id), *_ = await connection.execute_fetchall("SELECT number, id FROM master WHERE current = 1")
        key = await self.of(bytes(key_id))
        if key is None:
            raise self.lacking(path)
        return Written(at, key)

    def _add(self, masters: Sequence[MasterKey]) -> None:
        for key in map(DataKey, masters):
            if self._known.setdefault(key.id, key) is key:
                self._is_locked_told = False

    def _origins(self) -> str:
        return " and ".join(dict.fromkeys(key.master.origin or "memory" for key in self._known.values()))


async def _held(connection: aiosqlite.Connection) -> list[bytes]:
    return [bytes(row[0]) for row in await connection.execute_fetchall("SELECT id FROM master")]


async def _current(connection: aiosqlite.Connection, key_id: bytes) -> int:
    """The number of this master key, where it is the one in force; else 0."""
    rows = await connection.execute_fetchall("SELECT number FROM master WHERE current = 1 AND id = ?", (key_id,))
    return next((int(row[0]) for row in rows), 0)


async def reencrypt(connection: aiosqlite.Connection, ring: Keyring, to: MasterKey, batch: int) -> int:
    """Bring some keys from an old master key to this one, in one transaction; how many, 0: none is left.

    At most ``batch``, and as many as make 4 MiB. Raises ``key_unavailable`` (``malformed``) for one that cannot be
    decrypted: it must be stored again or removed, as nothing may be left under the old key unseen.
    """
    async with transaction(connection):
        key = DataKey(to)
        written = Written(await _current(connection, key.id), key)
        if not written.number:
            raise fault(
                MasterFault.OTHER_KEY,
                "another process has begun to bring the centre's keys to another master key: this rotation is over.",
            )
        olds = list(await connection.execute_fetchall(_OLD))
        if not olds:
            await connection.execute("DELETE FROM master WHERE current = 0")
            return 0
        old = await ring.of(bytes(olds[0][1]))
        if old is None:
            raise ring.lacking("")
        found = await connection.execute_fetchall(_NEXT, (olds[0][0], batch))
        ids = msgspec.json.encode(_bounded([(row[0], row[1]) for row in found])).decode()
        fresh = [_moved(row, old, written) for row in await connection.execute_fetchall(_ROWS, (ids,))]
        await connection.executemany(_WRITE, fresh)
    return len(fresh)


def _moved(row: Sequence[Any], old: DataKey, written: Written) -> tuple[int, bytes, bytes, int]:
    key, nonce, ciphertext, *columns = row
    try:
        bound = bound_of(columns)
        encrypted = written.key.encrypt(old.decrypt(Encrypted(nonce, ciphertext), bound), bound)
    except ForgedError:
        raise forged(columns[0]) from None
    return written.number, encrypted.nonce, encrypted.ciphertext, key


async def wipe_log(connection: aiosqlite.Connection) -> None:
    """Cut the WAL off, with what was encrypted in it; while another process reads, it stays until the next time."""
    await number(connection, "PRAGMA wal_checkpoint(TRUNCATE)")


def _bounded(found: Sequence[tuple[int, int]]) -> list[int]:
    ids: list[int] = []
    total_bytes = 0
    for key, size_bytes in found:
        total_bytes += size_bytes
        if ids and total_bytes > MAX_BATCH_BYTES:
            break
        ids.append(key)
    return ids
