"""The tree in the file of keys: a key is written with the folders it stands in, and removed with those left empty.

Each function is a part of a transaction of its caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import aiosqlite
import msgspec

from services.keyproxy.crypto import Bound
from services.keyproxy.storekeys import Written
from services.keyproxy.storerows import COLUMNS, conflict

ROOT: Final = 0
"""The parent of what stands in no folder."""

_ABOVE: Final = "SELECT path, id, type FROM entry WHERE path IN (SELECT value FROM json_each(?))"
_INSERT: Final = f"INSERT INTO entry (parent, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_INSERT_FOLDER: Final = "INSERT INTO entry (parent, path) VALUES (?, ?)"
_UPDATE: Final = """UPDATE entry SET type = ?, size_bytes = ?, created_us = ?, created_by = ?, modified_us = ?,
modified_by = ?, meta = ? WHERE id = ?"""
_WRITE: Final = "INSERT OR REPLACE INTO secret (id, master, nonce, ciphertext) VALUES (?, ?, ?, ?)"
_EMPTY: Final = """DELETE FROM entry WHERE path = ? AND type IS NULL
AND NOT EXISTS (SELECT 1 FROM entry AS below WHERE below.parent = entry.id) RETURNING id"""


async def write(
    connection: aiosqlite.Connection, written: Written, entry: int | None, bound: Bound, value: bytes
) -> None:
    """Write a key, in place of the row ``entry``. Raises ``already_exists`` where its path leads through a key."""
    encrypted = written.key.encrypt(value, bound)
    columns = msgspec.structs.astuple(bound)
    if entry is None:
        parent = await _make_folders(connection, bound.path)
        entry = await _insert(connection, _INSERT, (parent, *columns))
    else:
        await connection.execute(_UPDATE, (*columns[1:], entry))
    await connection.execute(_WRITE, (entry, written.number, encrypted.nonce, encrypted.ciphertext))


async def delete(connection: aiosqlite.Connection, entry: int, path: str) -> None:
    """Delete a key, and each folder above it that has nothing else in it."""
    await connection.execute("DELETE FROM secret WHERE id = ?", (entry,))
    await connection.execute("DELETE FROM entry WHERE id = ?", (entry,))
    for folder in reversed(_above(path)):
        if not list(await connection.execute_fetchall(_EMPTY, (folder,))):
            break


async def _make_folders(connection: aiosqlite.Connection, path: str) -> int:
    """The row of the folder that a path stands in."""
    folders = _above(path)
    asked = msgspec.json.encode(folders).decode()
    found = {row[0]: row for row in await connection.execute_fetchall(_ABOVE, (asked,))}
    parent = ROOT
    for folder in folders:
        if (row := found.get(folder)) is None:
            parent = await _insert(connection, _INSERT_FOLDER, (parent, folder))
        elif row[2] is not None:
            raise conflict(path, folder)
        else:
            parent = row[1]
    return parent


async def _insert(connection: aiosqlite.Connection, sql: str, values: Sequence[Any]) -> int:
    async with connection.execute(sql, values) as cursor:
        return int(cursor.lastrowid or 0)


def _above(path: str) -> list[str]:
    """The folders that a path stands in, outermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]
