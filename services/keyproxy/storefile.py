"""The file of the centre's keys: its tables and their migrations, its modes, and what is said when it fails."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import aiosqlite
import structlog

from schemas.errors import ErrorCode, RunbusError

APPLICATION_ID: Final = 0x5242_4B31
"""Of SQLite's header: tells such a file from any other ("RBK1")."""

# A folder is a row as a key is, without type, value and times; it is there as long as something is below it. Both
# kinds of listing are then a range of one index: ``by_parent`` for what stands in a folder, that of ``path`` for all
# that is below it. Values are in a table of their own, so that no listing reads past them; ``by_master`` finds
# those that are to be encrypted anew.
MIGRATIONS: Final = (
    (
        "CREATE TABLE master (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, current INTEGER NOT NULL)",
        """CREATE TABLE entry (
            id INTEGER PRIMARY KEY,
            parent INTEGER NOT NULL,
            path TEXT NOT NULL UNIQUE,
            type TEXT,
            size_bytes INTEGER,
            created_us INTEGER,
            created_by TEXT,
            modified_us INTEGER,
            modified_by TEXT,
            meta TEXT
        )""",
        "CREATE UNIQUE INDEX by_parent ON entry (parent, path)",
        """CREATE TABLE secret (
            id INTEGER PRIMARY KEY,
            master INTEGER NOT NULL,
            nonce BLOB NOT NULL,
            ciphertext BLOB NOT NULL
        )""",
        "CREATE INDEX by_master ON secret (master)",
    ),
    (
        "CREATE TABLE served (mark TEXT NOT NULL UNIQUE)",  # a row for each start of a keyproxy on this file
    ),
)
"""One for each ``user_version``, from 1. Never change one that was released: append another."""

# FULL: this file is the truth, and what was answered as stored must outlive a power cut. Nothing here is written in
# the clear; ``secure_delete`` also wipes what was encrypted, and the WAL is cut off where it matters (see the store).
_WRITER: Final = """
PRAGMA busy_timeout = 5000;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
PRAGMA temp_store = MEMORY;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA journal_size_limit = 0;
PRAGMA cache_size = -16384;
"""
_READER: Final = """
PRAGMA busy_timeout = 5000;
PRAGMA temp_store = MEMORY;
PRAGMA trusted_schema = OFF;
PRAGMA cache_size = -16384;
PRAGMA query_only = ON;
"""
_SET_UP_WITHIN_S: Final = 5.0
_SET_UP_AGAIN_S: Final = 0.02
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_NO_USE: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
)

log = structlog.get_logger("keyproxy")


async def open_writer(path: Path) -> aiosqlite.Connection:
    """Open the file, or make it: mode 0600, its directory 0700 where that is made too.

    Raises ``unavailable`` for a file that is damaged, of a later version, no file of keys, or others may read; it is
    never thrown away, as nothing else has what it holds.
    """
    with telling(path):
        await asyncio.to_thread(_make, path)
        connection = await aiosqlite.connect(path, isolation_level=None)
        try:
            await _set_up(connection)
            await _migrate(connection, path)
            await _check(connection, path)
        except BaseException:
            await connection.close()
            raise
    return connection


async def open_reader(path: Path) -> aiosqlite.Connection:
    """A second connection: what is asked does not wait for what is written."""
    with telling(path):
        reader = await aiosqlite.connect(path, isolation_level=None)
        try:
            await reader.executescript(_READER)
        except BaseException:
            await reader.close()
            raise
    return reader


@asynccontextmanager
async def transaction(connection: aiosqlite.Connection) -> AsyncIterator[None]:
    """All of it or nothing, on the disk once this is left. One at a time: the caller holds a lock."""
    try:  # also around BEGIN: cancelled while it waits, it is carried out all the same
        await connection.execute("BEGIN IMMEDIATE")
        yield
        await connection.execute("COMMIT")
    except BaseException:
        await connection.rollback()
        raise


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say of the file into ``unavailable``, or ``busy``, with what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _told(path, error) from error
    except OSError as error:
        _log(path, error)
        raise unavailable(path, f"cannot be used ({error.strerror}): let the user of this service own it.") from error


def unavailable(path: Path, what: str) -> RunbusError:
    """The error of a file that cannot be used."""
    return RunbusError(
        ErrorCode.UNAVAILABLE, f"the file of the centre's keys, {path}, {what}", details={"file": str(path)}
    )


def _told(path: Path, error: sqlite3.DatabaseError) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGE | _NO_USE:
        _log(path, error)
    if code in _DAMAGE:
        return unavailable(path, "is damaged, or is no file of keys: put a backup in its place and start again.")
    if code in _BUSY:
        return RunbusError(
            ErrorCode.BUSY, f"the file of the centre's keys, {path}, is being written by another process: try again."
        )
    if code in _NO_USE:
        return unavailable(
            path, f"cannot be written or read ({error}): see that its disk has room and that it may be written to."
        )
    return error


def _log(path: Path, error: Exception) -> None:
    """Whoever asked is told, too; but whoever runs the service sees its log only."""
    log.error("store.failed", file=str(path), error=str(error), sqlite=getattr(error, "sqlite_errorname", None))


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_new = not os.path.lexists(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if not is_new and stat.S_ISREG(status.st_mode) and not status.st_size:
        log.warning("store.empty", file=str(path), meaning="no key is in it: if some were, put a backup in its place")
    if not stat.S_ISREG(status.st_mode):
        raise unavailable(path, "is no file: name another data directory.")
    if status.st_mode & 0o077:
        raise unavailable(path, f"may be used by others (mode {status.st_mode & 0o777:04o}): 'chmod 600 {path}'.")


async def _set_up(connection: aiosqlite.Connection) -> None:
    """SQLite's own waiting does not cover the change to WAL: two that make the file at once would fail each other."""
    deadline_s = time.monotonic() + _SET_UP_WITHIN_S
    while True:
        try:
            await connection.executescript(_WRITER)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > deadline_s:
                raise
            await asyncio.sleep(_SET_UP_AGAIN_S)
        else:
            return


async def _migrate(connection: aiosqlite.Connection, path: Path) -> None:
    if await number(connection, "PRAGMA user_version") == len(MIGRATIONS):
        return  # without a write lock: another process may be at work
    async with transaction(connection):
        version = await number(connection, "PRAGMA user_version")
        if version > len(MIGRATIONS):
            raise unavailable(
                path, f"is of version {version}, and this Runbus knows {len(MIGRATIONS)}: start a later Runbus."
            )
        if version == 0 and await number(connection, "SELECT count(*) FROM sqlite_master"):
            raise unavailable(path, "is a database of something else: name another data directory.")
        for statement in (each for migration in MIGRATIONS[version:] for each in migration):
            await connection.execute(statement)
        await connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        await connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


async def _check(connection: aiosqlite.Connection, path: Path) -> None:
    if await number(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise unavailable(path, "is a database of something else: name another data directory.")
    rows = list(await connection.execute_fetchall("PRAGMA quick_check(1)"))
    if [tuple(row) for row in rows] != [("ok",)]:
        raise unavailable(path, f"is damaged ({rows[0][0]}): put a backup in its place and start again.")


async def number(connection: aiosqlite.Connection, sql: str) -> int:
    """The one number that a statement gives."""
    rows = list(await connection.execute_fetchall(sql))
    return int(rows[0][0] or 0)
