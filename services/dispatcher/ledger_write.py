"""What a batch of folded executions changes in the ledger's tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import aiosqlite

from schemas.api import ExecutionView
from schemas.codec import encode
from schemas.states import FINAL
from services.dispatcher.ledger_names import STATE_CODES, Names
from services.dispatcher.ledger_query import SLOTS
from services.dispatcher.ledger_text import view_words

MAX_KNOWN_TERMS: Final = 65_536

Key = tuple[str, str]
"""Project and execution."""
Rows = list[tuple[object, ...]]

_INSERT: Final = "INSERT INTO execution (job, runner, state, view, id, project, name) VALUES (?, ?, ?, ?, ?, ?, ?)"
_UPDATE: Final = "UPDATE execution SET job = ?, runner = ?, state = ?, view = ? WHERE id = ?"
_NAME: Final = "INSERT INTO name (kind, id, project, value, path) VALUES (?, ?, ?, ?, ?)"
_UNINDEX: Final = "INSERT INTO text (text, rowid, doc) VALUES ('delete', ?, ?)"


@dataclass(slots=True)
class Entry:
    """An execution while events are applied: as the file has it (None: not at all), and as it is now."""

    id: int
    before: ExecutionView | None
    view: ExecutionView

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return self.view.state not in FINAL


def place(seq: int) -> int:
    """Which of the ids of a microsecond an execution takes: that of its first event's sequence."""
    return seq % SLOTS


@dataclass(slots=True)
class Writes:
    """Rows to write, gathered by :meth:`add` and written by :meth:`flush`, one statement a kind."""

    names: Names
    _rows: dict[str, Rows] = field(default_factory=dict)
    _known_terms: set[str] = field(default_factory=set)

    def add(self, entry: Entry) -> None:
        """Gather what makes the file say of an execution what its view says."""
        view, before = entry.view, entry.before
        project, job, runner = self.names.columns(view)
        row = (job, runner, STATE_CODES[view.state], encode(view), entry.id)
        if before is None:
            self._put(_INSERT, (*row, project, view.id))
        else:
            self._put(_UPDATE, row)
        self._add_words(entry)

    def _add_words(self, entry: Entry) -> None:
        before, was_live = entry.before, entry.before is not None and entry.before.state not in FINAL
        words = view_words(entry.view)
        doc = self._doc(entry.view, words)
        if entry.is_live:
            self._put("INSERT OR REPLACE INTO live (id, doc) VALUES (?, ?)", (entry.id, f" {doc} "))
            return
        if was_live:
            self._put("DELETE FROM live WHERE id = ?", (entry.id,))
        elif before is not None:
            stale = self._doc(before, view_words(before))
            if stale == doc:
                return
            self._put(_UNINDEX, (entry.id, stale))
        self._put("INSERT INTO text (rowid, doc) VALUES (?, ?)", (entry.id, doc))
        self._add_terms(words)

    def _doc(self, view: ExecutionView, words: list[str]) -> str:
        return " ".join([*self.names.terms(*self.names.columns(view), view.state), *words])

    def _add_terms(self, words: list[str]) -> None:
        for word in words:
            if word not in self._known_terms:
                self._known_terms.add(word)
                self._put("INSERT OR IGNORE INTO term (term) VALUES (?)", (word,))

    def _put(self, sql: str, row: tuple[object, ...]) -> None:
        self._rows.setdefault(sql, []).append(row)

    async def flush(self, connection: aiosqlite.Connection) -> None:
        """Write what was gathered. Full-text rows go in the order of their ids, which FTS5 likes best."""
        rows, self._rows = self._rows, {}
        rows[_NAME] = [*self.names.take_new()]
        for sql, each in rows.items():
            if "INTO text" in sql:
                each.sort(key=lambda row: row[0])  # type: ignore[arg-type, return-value]
        for sql in sorted(rows, key=lambda sql: sql != _UNINDEX):
            await connection.executemany(sql, rows[sql])
        if len(self._known_terms) > MAX_KNOWN_TERMS:
            self._known_terms.clear()
