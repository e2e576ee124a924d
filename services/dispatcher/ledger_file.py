"""The ledger's file: its tables, and when it is thrown away to be filled anew from the stream."""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import aiosqlite
import msgspec
import structlog

from schemas.api import ExecutionView
from schemas.errors import ErrorCode, RunbusError

FORMAT: Final = 1
"""Raise it when the same tables come to hold something else (other words, other ids)."""

# ``execution.id`` is the time of the request in microseconds, times 1024, plus a slot: newest first is the order of
# the primary key, of every index (SQLite appends the id to each) and of the full-text index, and a span of time is
# a range of ids. ``live`` holds the executions that have not ended, with their words; ``text`` those that have.
# A file of 1 M executions has each filter and each combination answered by one of these indexes, read from its end.
SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE name (
    kind TEXT, id INTEGER, project INTEGER, value TEXT, path TEXT, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE execution (
    id INTEGER PRIMARY KEY,
    project INTEGER NOT NULL,
    name TEXT NOT NULL,
    job INTEGER,
    runner INTEGER,
    state INTEGER NOT NULL,
    view BLOB NOT NULL
);
CREATE UNIQUE INDEX execution_name ON execution (project, name);
CREATE INDEX by_state ON execution (state);
CREATE INDEX by_project ON execution (project, state);
CREATE INDEX by_job ON execution (job, state) WHERE job IS NOT NULL;
CREATE INDEX by_runner ON execution (runner, state) WHERE runner IS NOT NULL;
CREATE INDEX by_project_runner ON execution (project, runner, state) WHERE runner IS NOT NULL;
CREATE INDEX by_job_runner ON execution (job, runner, state) WHERE job IS NOT NULL AND runner IS NOT NULL;
CREATE TABLE live (id INTEGER PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE term (term TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE VIRTUAL TABLE text USING fts5 (
    doc, content='', columnsize=0, detail=none, prefix='1 2 3', tokenize="ascii tokenchars '_'"
);
"""

VERSION: Final = zlib.crc32(repr((FORMAT, SCHEMA, msgspec.json.schema(ExecutionView))).encode()) & 0x7FFF_FFFF
"""Changes by itself with the tables and with the contract of a view."""

# NORMAL, not OFF: in WAL mode it syncs at checkpoints only, which costs little here, while OFF could leave a file
# after a power cut that opens well and tells untruths. What NORMAL may lose is the last commits, each of them whole
# with its ``last_seq``: the stream gives them again.
# Pages of 8 KiB hold views of about 1 KiB with less left over than those of 4 KiB: a file smaller by a tenth.
_PRAGMAS: Final = """
PRAGMA page_size = 8192;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA secure_delete = OFF;
PRAGMA temp_store = MEMORY;
PRAGMA wal_autocheckpoint = 8192;
PRAGMA journal_size_limit = 67108864;
"""
_WRITER_CACHE: Final = "PRAGMA cache_size = -65536"
_READER_CACHE: Final = "PRAGMA cache_size = -16384; PRAGMA query_only = ON"
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

log = structlog.get_logger(__name__)


async def open_writer(path: Path) -> aiosqlite.Connection:
    """Open the file, or a fresh one where there is none or it cannot be used (with a warning that says why)."""
    await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    writer, problem = await _try(path)
    if writer is None:
        log.warning("ledger_rebuilt", path=str(path), reason=problem)
        await asyncio.to_thread(_remove, path)
        writer, problem = await _try(path)
    if writer is None:
        raise RunbusError(ErrorCode.INTERNAL, f"the ledger {path} cannot be made: {problem}.")
    return writer


async def open_reader(path: Path) -> aiosqlite.Connection:
    """A second connection, so that questions neither wait for nor see a batch that is being written."""
    reader = await aiosqlite.connect(path, isolation_level=None)
    await reader.executescript(_READER_CACHE)
    return reader


async def _try(path: Path) -> tuple[aiosqlite.Connection | None, str]:
    if await asyncio.to_thread(_marker(path).exists):
        return None, "it was found damaged while in use"
    connection = await aiosqlite.connect(path, isolation_level=None)
    try:
        problem = await _prepare(connection)
    except BaseException as error:
        await connection.close()
        if not is_damage(error):
            raise
        return None, f"it is damaged: {error}"
    if problem:
        await connection.close()
        return None, problem
    return connection, ""


async def _prepare(connection: aiosqlite.Connection) -> str:
    """Return why the file cannot be used, or nothing."""
    await connection.executescript(_PRAGMAS + _WRITER_CACHE)
    version = await _number(connection, "PRAGMA user_version")
    if version == VERSION:
        await _number(connection, "SELECT max(id) FROM execution")
        return ""
    if version or await _number(connection, "SELECT count(*) FROM sqlite_master"):
        return f"its schema is {version}, this version's is {VERSION}"
    await connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT")
    return ""


async def _number(connection: aiosqlite.Connection, sql: str) -> int:
    rows = list(await connection.execute_fetchall(sql))
    return int(rows[0][0] or 0)


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that the file is corrupt, or no database at all."""
    return isinstance(error, sqlite3.DatabaseError) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


@contextmanager
def condemning(path: Path) -> Iterator[None]:
    """If the file turns out damaged inside, see that the next start throws it away; raises ``unavailable``."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        _marker(path).touch()
        log.error("ledger_damaged", path=str(path), error=str(error))  # noqa: TRY400 - the cause is raised with it
        raise RunbusError(
            ErrorCode.UNAVAILABLE,
            f"the ledger {path.name} is damaged: restart the dispatcher, which fills a new one from the stream.",
        ) from error


def _marker(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", ".damaged"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
