"""Under which master keys a file of keys is, and how it comes from one to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import aiosqlite
import msgspec

from services.keyproxy.crypto import DataKey, Encrypted, ForgedError
from services.keyproxy.masterkey import MasterFault, MasterKey, fault
from services.keyproxy.storefile import number, transaction
from services.keyproxy.storerows import COLUMNS, bound_of, forged

MAX_BATCH_BYTES: Final = 4 << 20

Progress = Callable[[int, int], None]
"""Told how many keys are encrypted anew, and of how many."""

_COUNT: Final = "SELECT count(*) FROM secret WHERE master = ?"
_NEXT: Final = """SELECT secret.id, size_bytes FROM secret CROSS JOIN entry USING (id)
WHERE master = ? ORDER BY secret.id LIMIT ?"""
_ROWS: Final = f"""SELECT id, nonce, ciphertext, {COLUMNS} FROM secret CROSS JOIN entry USING (id)
WHERE id IN (SELECT value FROM json_each(?))"""  # noqa: S608  (our own names)
_WRITE: Final = "UPDATE secret SET master = ?, nonce = ?, ciphertext = ? WHERE id = ?"
_FORGET: Final = "DELETE FROM master WHERE current = 0 AND number NOT IN (SELECT master FROM secret)"


class Keyring:
    """The keys that rows are under, by the number that the file has for each; one of them is written with."""

    def __init__(self, current: MasterKey, previous: MasterKey | None) -> None:
        self.current: Final = DataKey(current)
        self._given: Final = {key.id: key for key in (self.current, *([DataKey(previous)] if previous else []))}
        self._by_number: dict[int, DataKey] = {}
        self.number = 0
        """Of the current one, in the file."""
        self.old = 0
        """Of the previous one; 0 where nothing is under it."""

    def of(self, master: int) -> DataKey | None:
        """The key that a row is under; None where this process does not have it."""
        return self._by_number.get(master)

    async def admit(self, connection: aiosqlite.Connection, path: str) -> None:
        """See that the file is under the keys given, and have the current one be written with from now on.

        A file that is new is under it; in one that is under the previous one, a rotation begins. Raises
        ``invalid_message`` (``other_key``) where it is under another than those given, or one more.
        """
        async with transaction(connection):
            held = {bytes(key): at for key, at in await connection.execute_fetchall("SELECT id, number FROM master")}
            if held and not held.keys() & self._given.keys():
                raise fault(
                    MasterFault.OTHER_KEY,
                    f"{path} was written under another master key than that in {self._origins()}: give the right one "
                    "(a backup has it). Without it the keys that were stored cannot be read.",
                )
            if held.keys() - self._given.keys():
                raise fault(
                    MasterFault.OTHER_KEY,
                    f"{path} is on its way from one master key to another: besides that in {self._origins()} the "
                    "other of the two is needed, until 'runbus keys rotate' has come to its end.",
                )
            if self.current.id not in held:
                await connection.execute("INSERT INTO master (id, current) VALUES (?, 0)", (self.current.id,))
            await connection.execute("UPDATE master SET current = (id = ?)", (self.current.id,))
        await self.recall(connection)

    async def recall(self, connection: aiosqlite.Connection) -> bool:
        """Read again which keys the file is under; False where the current one is not written with any more."""
        rows = [(at, bytes(key), now) for at, key, now in await connection.execute_fetchall("SELECT * FROM master")]
        self._by_number = {at: self._given[key] for at, key, _ in rows if key in self._given}
        self.number = next((at for at, key, _ in rows if key == self.current.id), 0)
        self.old = next((at for at in self._by_number if at != self.number), 0)
        return any(now for at, _, now in rows if at == self.number)

    def _origins(self) -> str:
        return " and ".join(key.origin or "memory" for key in self._given.values())


async def reencrypt(connection: aiosqlite.Connection, ring: Keyring, batch: int) -> int:
    """Bring some keys from the old master key to the current one, in one transaction; how many, 0: none is left.

    At most ``batch``, and as many as make 4 MiB. Raises ``key_unavailable`` (``malformed``) for one that cannot be
    decrypted: it must be stored again or removed, as nothing may be left under the old key unseen.
    """
    async with transaction(connection):
        if not await ring.recall(connection):
            raise fault(
                MasterFault.OTHER_KEY,
                "another process has begun to bring the centre's keys to another master key: this rotation is over.",
            )
        if (old := ring.of(ring.old)) is None:
            return 0
        found = await connection.execute_fetchall(_NEXT, (ring.old, batch))
        ids = msgspec.json.encode(_bounded([(row[0], row[1]) for row in found])).decode()
        fresh = [_moved(row, old, ring) for row in await connection.execute_fetchall(_ROWS, (ids,))]
        await connection.executemany(_WRITE, fresh)
        if not fresh:
            await connection.execute(_FORGET)
    return len(fresh)


def _moved(row: Sequence[Any], old: DataKey, ring: Keyring) -> tuple[int, bytes, bytes, int]:
    key, nonce, ciphertext, *columns = row
    try:
        bound = bound_of(columns)
        encrypted = ring.current.encrypt(old.decrypt(Encrypted(nonce, ciphertext), bound), bound)
    except ForgedError:
        raise forged(columns[0]) from None
    return ring.number, encrypted.nonce, encrypted.ciphertext, key


async def left_behind(connection: aiosqlite.Connection, ring: Keyring) -> int:
    """How many keys are under the previous master key."""
    rows = list(await connection.execute_fetchall(_COUNT, (ring.old,)))
    return int(rows[0][0])


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
