"""Looking into the tree in the file of keys: one entry, what is encrypted of it, what stands in a folder.

What SQLite raises is left to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import aiosqlite

from schemas.keys import KeyEntry
from services.keyproxy.crypto import Encrypted
from services.keyproxy.storerows import COLUMNS, entry_of, forged, is_folder, is_key, not_found
from services.keyproxy.storetree import ROOT

_FIND: Final = f"SELECT id, {COLUMNS} FROM entry WHERE path = ?"  # noqa: S608
_READ: Final = f"""SELECT master.id, nonce, ciphertext, {COLUMNS} FROM entry LEFT JOIN secret ON secret.id = entry.id
LEFT JOIN master ON master.number = secret.master WHERE path = ?"""  # noqa: S608  (one statement: one moment)
_IN_FOLDER: Final = f"""SELECT {COLUMNS} FROM entry
WHERE parent = CASE ?1 WHEN '' THEN {ROOT} ELSE (SELECT id FROM entry WHERE path = ?1) END AND path > ?2
ORDER BY path LIMIT ?3"""  # noqa: S608
_BELOW: Final = f"SELECT {COLUMNS} FROM entry WHERE path > ? AND path < ? ORDER BY path LIMIT ?"  # noqa: S608
_LAST: Final = "\U0010ffff"
"""Behind every path: no path begins with it, as it is no character."""


class Page(NamedTuple):
    """Entries, sorted by path; ``more``: there are others behind the last one."""

    entries: list[KeyEntry]
    more: bool


class EncryptedKey(NamedTuple):
    """A value as it is stored: the id of its master key, and the entry's ``COLUMNS``, which it is bound to."""

    master: bytes
    encrypted: Encrypted
    columns: Sequence[Any]


async def find(connection: aiosqlite.Connection, path: str) -> Any:
    """The row of a path, its id and its ``COLUMNS``; None where there is nothing."""
    return next(iter(await connection.execute_fetchall(_FIND, (path,))), None)


async def encrypted_key(connection: aiosqlite.Connection, path: str) -> EncryptedKey:
    """The value of a key, still encrypted. Raises ``key_unavailable`` where there is none, or no value of it."""
    row = next(iter(await connection.execute_fetchall(_READ, (path,))), None)
    if row is None:
        raise not_found(path)
    master, nonce, ciphertext, *columns = row
    if columns[1] is None:
        raise is_folder(path)
    if master is None:
        raise forged(path)
    return EncryptedKey(bytes(master), Encrypted(nonce, ciphertext), columns)


async def page_of(connection: aiosqlite.Connection, folder: str, *, deep: bool, after: str, limit: int) -> Page:
    """What stands in a folder, or below it, behind ``after``. Raises ``key_unavailable`` for what is no folder."""
    if deep:  # "0" follows "/": between them is all that begins with "folder/"
        begin, end = (f"{folder}/", f"{folder}0") if folder else ("", _LAST)
        found = await connection.execute_fetchall(_BELOW, (max(begin, after), end, limit + 1))
    else:
        found = await connection.execute_fetchall(_IN_FOLDER, (folder, after, limit + 1))
    rows = list(found)
    if folder and not rows:  # else the folder is there, as something is in it
        row = await find(connection, folder)
        if row is None:
            raise not_found(folder)
        if row[2] is not None:
            raise is_key(folder)
    return Page([entry_of(each) for each in rows[:limit]], more=len(rows) > limit)
