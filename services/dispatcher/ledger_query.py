"""From a list request to SQL whose cost is that of the page, not of the table.

Every filter but text: one composite index per combination, named with ``INDEXED BY`` so that no estimate can choose
otherwise. All of them end in (state, id); a request for several states, or for any, reads the newest of each and
merges. With text: filters become terms beside the words, and FTS5 walks the lists of all terms together, newest
first. Executions that have not ended are few and change often: their words are compared one by one.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final

from schemas.api import ExecutionListRequest
from schemas.errors import ErrorCode, RunbusError
from services.dispatcher.ledger_names import FINAL_CODES, STATE_CODES, Names
from services.dispatcher.ledger_text import search_words

MAX_PAGE: Final = 500
SLOTS: Final = 1024
"""Ids per microsecond."""
MAX_BRANCHES: Final = 350
"""Of one statement; SQLite takes 500."""
MAX_EXPANSION: Final = 64
"""If a prefix stands for more words than this, FTS5 collects the prefix itself."""
INDEXED_PREFIX_CHARS: Final = 3
AVERAGED: Final = 100
"""How many of a job's executions its average duration is of."""
LAST_OF_JOB: Final = (
    "SELECT view FROM execution INDEXED BY by_job WHERE job = ? AND state = ? ORDER BY id DESC LIMIT ?"
)

_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1
_MAX_MICROS: Final = 2**53 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_CURSOR: Final = struct.Struct(">qI")

Statement = tuple[str, list[str | int]]
Groups = list[list[str]]
"""Terms: one of each group must be there."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A request in the ledger's numbers. ``words`` is None where no text was asked for."""

    project: int | None
    jobs: list[int]
    runner: int | None
    states: list[int]
    lowest: int
    below: int
    words: list[str] | None
    limit: int

    @property
    def expandable(self) -> str:
        """The beginning of a word whose completions must be known first (:meth:`text_statements`)."""
        return self.words[-1] if self.words and len(self.words[-1]) > INDEXED_PREFIX_CHARS else ""


def first_id(at: datetime) -> int:
    """The lowest id of an execution requested at a time."""
    return min(max((at - _EPOCH) // _MICROSECOND, 0), _MAX_MICROS) * SLOTS


def encode_cursor(last: int) -> str:
    """Opaque text for the place behind an execution."""
    packed = struct.pack(">q", last)
    return base64.urlsafe_b64encode(packed + struct.pack(">I", zlib.crc32(packed))).decode()


def decode_cursor(cursor: str) -> int:
    """Inverse of :func:`encode_cursor`; raises ``invalid_message`` for anything else."""
    try:
        packed = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        last, check = _CURSOR.unpack(packed)
    except (binascii.Error, ValueError, struct.error):
        last, check = 0, -1
    if check != zlib.crc32(struct.pack(">q", last)):
        raise RunbusError(
            ErrorCode.INVALID_MESSAGE,
            f"cursor {cursor[:80]!r} is not one this ledger gave: send next_cursor of the page before unchanged, "
            "or leave it out to begin with the newest execution.",
            details={"cursor": cursor[:80]},
        )
    return int(last)


def read_request(request: ExecutionListRequest, names: Names) -> Search | None:
    """Translate a request; None if it names something that no execution bears. Raises for an invalid cursor."""
    below = decode_cursor(request.cursor) if request.cursor else _HIGHEST
    project = names.find("project", request.project) if request.project else None
    runner = names.find("runner", request.runner) if request.runner else None
    jobs = names.find_jobs(request.job, project) if request.job else []
    words = search_words(request.text)
    if (request.project and project is None) or (request.runner and runner is None):
        return None
    if (request.job and not jobs) or words == []:
        return None
    return Search(
        project=None if jobs else project,  # a job's number is of one project already
        jobs=jobs,
        runner=runner,
        states=sorted({STATE_CODES[state] for state in request.states}),
        lowest=first_id(request.since) if request.since else _LOWEST,
        below=min(below, first_id(request.until)) if request.until else below,
        words=words,
        limit=min(max(request.limit, 1), MAX_PAGE),
    )


def index_statements(search: Search) -> list[Statement]:
    """Statements that find the newest ids without text; all together hold the page."""
    index, columns = _index_of(search)
    if not index and not search.states:
        return [_ids(["SELECT id FROM execution WHERE id >= ? AND id < ?"], [search.lowest, search.below], search)]
    states = search.states or list(STATE_CODES.values())
    jobs: Sequence[int | None] = search.jobs or [None]
    keys = [
        [*(key for key in (search.project, job, search.runner) if key is not None), state]
        for job, state in product(jobs, states)
    ]
    where = "".join(f"{column} = ? AND " for column in [*columns, "state"])
    branch = f"SELECT id FROM execution INDEXED BY {index or 'by_state'} WHERE {where}id >= ? AND id < ?"  # noqa: S608 - our own names
    return [
        _merged(branch, keys[start : start + MAX_BRANCHES], search) for start in range(0, len(keys), MAX_BRANCHES)
    ]


def _index_of(search: Search) -> tuple[str, list[str]]:
    named = {"project": search.project is not None, "job": bool(search.jobs), "runner": search.runner is not None}
    columns = [column for column, is_asked in named.items() if is_asked]
    return ("by_" + "_".join(columns) if columns else "", columns)


def _merged(branch: str, keys: list[list[int]], search: Search) -> Statement:
    values: list[str | int] = []
    for key in keys:
        values += [*key, search.lowest, search.below]
    return _ids([branch] * len(keys), values, search)


def _ids(branches: list[str], values: list[str | int], search: Search) -> Statement:
    limit = search.limit + 1
    each = f"SELECT id FROM (%s ORDER BY id DESC LIMIT {limit})"  # noqa: S608 - a number
    return " UNION ALL ".join(each % branch for branch in branches) + f" ORDER BY id DESC LIMIT {limit}", values


def text_statements(search: Search, completions: Sequence[str]) -> list[Statement]:
    """Statements that find the newest ids with the words, among the ended and among the others.

    ``completions`` are the known words that :attr:`Search.expandable` stands for, at most ``MAX_EXPANSION`` + 1.
    """
    asked = set(search.states or STATE_CODES.values())
    found = []
    if asked & FINAL_CODES and (completions or not search.expandable):
        found.append(_ended(search, completions))
    if asked - FINAL_CODES:
        found.append(_live(search))
    return found


def _filters(search: Search) -> Groups:
    groups = [
        [f"__p{search.project}"] if search.project is not None else [],
        [f"__j{job}" for job in search.jobs],
        [f"__r{search.runner}"] if search.runner is not None else [],
        [f"__s{state}" for state in search.states],
    ]
    return [group for group in groups if group]


def _ended(search: Search, completions: Sequence[str]) -> Statement:
    words = search.words or []
    last = f'"{words[-1]}" *'
    if search.expandable and len(completions) <= MAX_EXPANSION:
        last = _any_of(completions)
    groups = [*map(_any_of, [*_filters(search), *([word] for word in words[:-1])]), last]
    sql = "SELECT rowid FROM text WHERE text MATCH ? AND rowid >= ? AND rowid < ? ORDER BY rowid DESC LIMIT ?"
    match = " AND ".join(f"({group})" for group in groups)
    return sql, [match, search.lowest, search.below, search.limit + 1]


def _any_of(terms: Sequence[str]) -> str:
    return " OR ".join(f'"{term}"' for term in terms)


def _live(search: Search) -> Statement:
    words = search.words or []
    groups: Groups = [[f" {term} " for term in group] for group in _filters(search)]
    groups += [[f" {word} "] for word in words[:-1]] + [[f" {words[-1]}"]]
    where = " AND ".join("(" + " OR ".join(["instr(doc, ?)"] * len(group)) + ")" for group in groups)
    sql = f"SELECT id FROM live WHERE id >= ? AND id < ? AND {where} ORDER BY id DESC LIMIT ?"  # noqa: S608 - our own names
    return sql, [search.lowest, search.below, *(term for group in groups for term in group), search.limit + 1]
