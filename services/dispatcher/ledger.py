"""The ledger: what became of every execution, folded from the EVENTS stream into a SQLite file.

A read model: delete the file, and the stream fills it again. It promises the order of the stream and no more than
the stream holds; it never says how far behind it is (compare :attr:`Ledger.last_seq` with the stream's).
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import aiosqlite
import msgspec

from domain.execution import apply, begin
from schemas.api import ExecutionListRequest, ExecutionPage, ExecutionView
from schemas.codec import decode
from schemas.events import Event
from schemas.states import ExecutionState
from services.dispatcher.ledger_file import condemning, open_reader, open_writer
from services.dispatcher.ledger_names import STATE_CODES, Names
from services.dispatcher.ledger_query import (
    AVERAGED,
    LAST_OF_JOB,
    MAX_EXPANSION,
    SLOTS,
    Search,
    encode_cursor,
    first_id,
    index_statements,
    read_request,
    text_statements,
)
from services.dispatcher.ledger_write import Entry, Key, Writes, place

TURN_S: Final = 0.01
"""The longest the ledger computes before others of the event loop have their turn."""
CHUNK: Final = 500
KEPT_VIEWS: Final = 20_000
"""Executions under way whose views are kept in memory, so that their next event need not read them."""

Views = list[ExecutionView]

_HELD: Final = """
SELECT key.key, execution.id, execution.view FROM json_each(?) AS key CROSS JOIN execution
INDEXED BY execution_name ON project = json_extract(key.value, '$[0]') AND name = json_extract(key.value, '$[1]')"""
_VIEWS: Final = (
    "SELECT view FROM json_each(?) AS page CROSS JOIN execution ON execution.id = page.value ORDER BY page.key"
)
_LIVE: Final = "SELECT view FROM live CROSS JOIN execution USING (id) ORDER BY live.id"
_RUNNING_ON: Final = "SELECT view FROM execution INDEXED BY by_runner WHERE runner = ? AND state = ? ORDER BY id"
_GET: Final = "SELECT view FROM execution INDEXED BY execution_name WHERE project = ? AND name = ?"
_COMPLETIONS: Final = "SELECT term FROM term WHERE term >= ? AND term < ? LIMIT ?"
_TABLES: Final = ("meta", "name", "execution", "live", "term")


class Ledger:
    """Executions by project and id, and lists of them. One task applies events; any number ask."""

    def __init__(self, path: Path, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self._path, self._writer, self._reader = path, writer, reader
        self._lock = asyncio.Lock()
        self._last_seq = 0
        self._stream = ""
        self._names = Names()
        self._writes = Writes(self._names)
        self._kept: dict[Key, Entry] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path | str) -> AsyncIterator[Ledger]:
        """Open the file; where it is missing, damaged or of another schema, make a fresh one."""
        path = Path(path)
        writer = await open_writer(path)
        try:
            reader = await open_reader(path)
            try:
                ledger = cls(path, writer, reader)
                with condemning(path):
                    await ledger._recall()
                yield ledger
            finally:
                await reader.close()
        finally:
            await writer.close()

    @property
    def last_seq(self) -> int:
        """The highest sequence of the EVENTS stream that was applied; 0 if none was."""
        return self._last_seq

    async def bind_stream(self, created: str) -> None:
        """Say which stream the events are of (when it was created); what is held of another is forgotten."""
        async with self._lock:
            if created == self._stream:
                return
            with condemning(self._path):
                async with self._transaction():
                    for table in _TABLES:
                        await self._writer.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
                    await self._writer.execute("INSERT INTO text (text) VALUES ('delete-all')")
                    await self._set_meta("stream", created)
                await self._recall()

    async def apply(self, batch: Sequence[tuple[int, Event]]) -> None:
        """Apply events with their sequences, ascending, in one transaction. Those applied before are passed over."""
        async with self._lock:
            last_seq, fresh = self._last_seq, []
            for seq, event in batch:
                if seq > last_seq:
                    fresh.append((seq, event))
                    last_seq = seq
            if not fresh:
                return
            with condemning(self._path):
                async with self._transaction():
                    for start in range(0, len(fresh), CHUNK):
                        await self._apply_chunk(fresh[start : start + CHUNK])
                    await self._set_meta("last_seq", last_seq)
            self._last_seq = last_seq

    async def get(self, project: str, execution: str) -> ExecutionView | None:
        """One execution, or None."""
        number = self._names.find("project", project)
        if number is None:
            return None
        found = await self._views(_GET, (number, execution))
        return found[0] if found else None

    async def list(self, request: ExecutionListRequest) -> ExecutionPage:
        """A page, newest request first. ``since`` is included, ``until`` is not; at most 500 are given.

        An execution stands where its first event put it, so pages neither repeat nor skip while others arrive.
        Raises ``invalid_message`` for a cursor that is none.
        """
        search = read_request(request, self._names)
        if search is None:
            return ExecutionPage(executions=[])
        with condemning(self._path):
            ids = await self._find(search)
        page = ids[: search.limit]
        views = await self._views(_VIEWS, (msgspec.json.encode(page).decode(),))
        return ExecutionPage(executions=views, next_cursor=encode_cursor(page[-1]) if len(ids) > len(page) else "")

    async def unfinished(self) -> Sequence[ExecutionView]:
        """All that are queued or running, oldest first."""
        return await self._views(_LIVE, ())

    async def running_on(self, runner: str) -> Sequence[ExecutionView]:
        """All that run on a runner, oldest first."""
        number = self._names.find("runner", runner)
        if number is None:
            return []
        return await self._views(_RUNNING_ON, (number, STATE_CODES[ExecutionState.RUNNING]))

    async def average_duration_s(self, project: str, job_uuid: str) -> float | None:
        """The mean running time of a job's last ``AVERAGED`` executions that succeeded; None where there is none."""
        number = self._names.find("project", project)
        durations: list[float] = []
        for job in self._names.find_jobs(job_uuid, number) if number is not None else ():
            views = await self._views(LAST_OF_JOB, (job, STATE_CODES[ExecutionState.SUCCEEDED], AVERAGED))
            durations += [view.duration_s for view in views if view.duration_s is not None]
        return sum(durations) / len(durations) if durations else None

    async def _find(self, search: Search) -> Sequence[int]:
        if search.words is None:
            statements = index_statements(search)
        else:
            statements = text_statements(search, await self._completions(search.expandable))
        found = [row[0] for sql, values in statements for row in await self._reader.execute_fetchall(sql, values)]
        return heapq.nlargest(search.limit + 1, found)

    async def _completions(self, beginning: str) -> Sequence[str]:
        if not beginning:
            return []
        # "{" follows "z" in ASCII: no term goes beyond it.
        rows = await self._reader.execute_fetchall(_COMPLETIONS, (beginning, beginning + "{", MAX_EXPANSION + 1))
        return [row[0] for row in rows]

    async def _views(self, sql: str, values: Sequence[Any]) -> Views:
        with condemning(self._path):
            rows = await self._reader.execute_fetchall(sql, values)
        views: Views = []
        turn = _Turn()
        for (view,) in rows:
            views.append(decode(view, ExecutionView))
            await turn.over()
        return views

    async def _apply_chunk(self, events: Sequence[tuple[int, Event]]) -> None:
        entries = await self._held({(event.project, event.execution) for _, event in events})
        turn, fresh = _Turn(), []
        for seq, event in events:
            key = (event.project, event.execution)
            entry = entries.get(key)
            if entry is None:
                entry = entries[key] = Entry(id=first_id(event.at) + place(seq), before=None, view=begin(event))
                fresh.append(entry)
            entry.view = apply(entry.view, event)
            await turn.over()
        await self._settle(fresh)
        for entry in entries.values():
            self._writes.add(entry)
            await turn.over()
        await self._writes.flush(self._writer)
        self._keep(entries)

    async def _held(self, keys: set[Key]) -> dict[Key, Entry]:
        """What is known of these executions so far."""
        entries = {key: self._kept.pop(key) for key in keys if key in self._kept}
        asked = [key for key in keys if key not in entries]
        pairs = msgspec.json.encode([(self._names.project(project), name) for project, name in asked]).decode()
        for index, number, data in await self._writer.execute_fetchall(_HELD, (pairs,)):
            view = decode(data, ExecutionView)
            entries[asked[index]] = Entry(id=number, before=view, view=view)
        return entries

    async def _settle(self, fresh: Sequence[Entry]) -> None:
        """Move new entries to ids that are free; it takes 1024 events of one microsecond before any must move."""
        own: set[int] = set()
        while fresh:
            held = await self._taken(entry.id for entry in fresh)
            moved = []
            for entry in fresh:
                if entry.id in held or entry.id in own:
                    entry.id += SLOTS
                    moved.append(entry)
                else:
                    own.add(entry.id)
            fresh = moved

    async def _taken(self, ids: Iterable[int]) -> frozenset[int]:
        sql = "SELECT execution.id FROM json_each(?) AS asked CROSS JOIN execution ON execution.id = asked.value"
        rows = await self._writer.execute_fetchall(sql, (msgspec.json.encode(list(ids)).decode(),))
        return frozenset(row[0] for row in rows)

    def _keep(self, entries: dict[Key, Entry]) -> None:
        for key, entry in entries.items():
            if entry.is_live:
                self._kept[key] = Entry(id=entry.id, before=entry.view, view=entry.view)
        while len(self._kept) > KEPT_VIEWS:
            del self._kept[next(iter(self._kept))]

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        try:  # also around BEGIN: cancelled while it waits, it is carried out all the same
            await self._writer.execute("BEGIN IMMEDIATE")
            yield
            await self._writer.execute("COMMIT")
        except BaseException:
            await self._writer.rollback()
            await self._recall()
            raise

    async def _set_meta(self, key: str, value: str | int) -> None:
        await self._writer.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    async def _recall(self) -> None:
        """Take over what the file says, as after opening it."""
        rows = await self._writer.execute_fetchall("SELECT key, value FROM meta")
        meta = {row[0]: row[1] for row in rows}
        self._last_seq, self._stream = int(meta.get("last_seq", 0)), str(meta.get("stream", ""))
        sql = "SELECT kind, id, project, value, path FROM name"
        self._names = Names(tuple(row) for row in await self._writer.execute_fetchall(sql))
        self._writes = Writes(self._names)
        self._kept = {}


class _Turn:
    """Gives the event loop back once ``TURN_S`` is over."""

    def __init__(self) -> None:
        self._since = perf_counter()

    async def over(self) -> None:
        if perf_counter() - self._since > TURN_S:
            await asyncio.sleep(0)
            self._since = perf_counter()
