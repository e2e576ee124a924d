from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.execution import apply, begin
from schemas.api import ExecutionListRequest, ExecutionView
from schemas.errors import ErrorCode, ErrorInfo, RunbusError
from schemas.events import (
    AbortRequested,
    AssignmentFinished,
    AssignmentStarted,
    Event,
    ExecutionFinished,
    ExecutionPhase,
    ExecutionQueued,
    Part,
    RetryOf,
)
from schemas.jobs import JobRef, Step
from schemas.states import FINAL, ExecutionState
from services.dispatcher import ledger as ledger_module
from services.dispatcher.ledger import Ledger
from services.dispatcher.ledger_names import FINAL_CODES
from services.dispatcher.ledger_query import SLOTS, decode_cursor, encode_cursor, index_statements, read_request
from services.dispatcher.ledger_text import search_words, words

T0 = datetime(2026, 5, 1, 12, tzinfo=UTC)
BACKUP = JobRef(uuid="u-1", name="backup", group="db")
DEPLOY = JobRef(uuid="u-2", name="deploy")


def queued(
    execution: str = "e1",
    *,
    project: str = "default",
    at: datetime = T0,
    title: str = "hello",
    job: JobRef | None = None,
    user: str = "",
    command: str = "true",
    orchestrated: bool = False,
    retry: RetryOf | None = None,
) -> ExecutionQueued:
    steps = [Step(plugin="command", config={"command": command})]
    return ExecutionQueued(
        execution=execution, project=project, at=at, title=title, job=job, user=user, steps=steps, set="local",
        orchestrated=orchestrated, retry=retry,
    )  # fmt: skip


def started(execution: str = "e1", *, project: str = "default", runner: str = "r1", attempt: int = 1) -> Event:
    return AssignmentStarted(
        execution=execution, assignment="1", project=project, attempt=attempt, at=T0, runner=runner, instance="i"
    )


def finished(
    execution: str = "e1",
    state: ExecutionState = ExecutionState.SUCCEEDED,
    *,
    project: str = "default",
    runner: str = "r1",
    error: str = "",
) -> Event:
    info = ErrorInfo(code=ErrorCode.STEP_FAILED, message=error) if error else None
    return AssignmentFinished(
        execution=execution, assignment="1", project=project, attempt=1, at=T0, state=state, runner=runner, error=info
    )


def numbered(events: Sequence[Event], first: int = 1) -> list[tuple[int, Event]]:
    return list(enumerate(events, start=first))


def folded(events: Sequence[Event]) -> dict[tuple[str, str], ExecutionView]:
    views: dict[tuple[str, str], ExecutionView] = {}
    for event in events:
        key = (event.project, event.execution)
        views[key] = apply(views.get(key) or begin(event), event)
    return views


async def listed(ledger: Ledger, **filters: object) -> list[str]:
    page = await ledger.list(msgspec.convert(filters, ExecutionListRequest))
    return [view.id for view in page.executions]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[Ledger]:
    async with Ledger.open(path) as opened:
        yield opened


# One execution of each combination of these stands in the ledger of the filter tests.
PROJECTS = ("acme", "default")
JOBS = (BACKUP, DEPLOY, None)
RUNNERS = ("r1", "r2")
STATES = tuple(ExecutionState)
WORDS = ("alpha", "beta")


def one_of_each() -> list[Event]:
    events: list[Event] = []
    for number, (project, job, runner, state, word) in enumerate(product(PROJECTS, JOBS, RUNNERS, STATES, WORDS)):
        name, at = f"e{number:03}", T0 + timedelta(seconds=number)
        events.append(queued(name, project=project, at=at, job=job, command=f"run {word}"))
        if state is not ExecutionState.QUEUED:
            events.append(started(name, project=project, runner=runner))
        if state in FINAL:
            events.append(finished(name, state, project=project, runner=runner))
    return events


def expected(views: Sequence[ExecutionView], request: ExecutionListRequest) -> list[str]:
    def holds(view: ExecutionView) -> bool:
        at = view.queued_at or T0
        job = (view.job.uuid, view.job.path) if view.job else ()
        return (
            request.project in ("", view.project)
            and request.runner in ("", view.runner)
            and (not request.job or request.job in job)
            and (not request.states or view.state in request.states)
            and (request.since is None or at >= request.since)
            and (request.until is None or at < request.until)
            and all(word in str(view.steps[0].config["command"]) for word in request.text.split())
        )

    newest_first = sorted(views, key=lambda view: view.queued_at or T0, reverse=True)
    return [view.id for view in newest_first if holds(view)]


CHOICES: dict[str, list[object]] = {
    "project": ["", "acme", "default", "nowhere"],
    "job": ["", "db/backup", "u-2", "nothing"],
    "runner": ["", "r2", "nobody"],
    "states": [[], ["failed"], ["queued", "running"], ["running", "succeeded", "lost"]],
    "text": ["", "alpha", "run bet", "gamma"],
    "since": [None, T0 + timedelta(seconds=40)],
    "until": [None, T0 + timedelta(seconds=120)],
}


@pytest.mark.slow
async def test_every_combination_of_filters_gives_what_a_scan_gives(ledger: Ledger) -> None:
    events = one_of_each()
    await ledger.apply(numbered(events))
    views = list(folded(events).values())
    for values in product(*CHOICES.values()):
        request = msgspec.convert(dict(zip(CHOICES, values, strict=True)) | {"limit": 500}, ExecutionListRequest)
        page = await ledger.list(request)
        assert [view.id for view in page.executions] == expected(views, request), request
        assert not page.next_cursor


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"project": "acme"},
        {"text": "alpha"},
        {"text": "al", "project": "default"},
        {"states": ["failed", "queued"]},
        {"job": "db/backup", "runner": "r1"},
    ],
)
async def test_pages_hold_everything_once_while_new_executions_arrive(
    ledger: Ledger, filters: dict[str, object]
) -> None:
    events = one_of_each()
    await ledger.apply(numbered(events))
    request = msgspec.convert(filters | {"limit": 7}, ExecutionListRequest)
    whole = await listed(ledger, **filters, limit=500)
    found: list[str] = []
    for round_ in range(100):
        page = await ledger.list(request)
        found += [view.id for view in page.executions]
        if not page.next_cursor:
            break
        request = msgspec.structs.replace(request, cursor=page.next_cursor)
        newer = queued(f"new{round_}", project="acme", at=T0 + timedelta(days=1, seconds=round_), command="alpha")
        await ledger.apply([(ledger.last_seq + 1, newer)])
    assert found == whole


async def test_a_view_is_what_its_events_say(ledger: Ledger) -> None:
    events: list[Event] = [
        queued(job=BACKUP, user="ann", title="db/backup"),
        started(),
        AbortRequested(execution="e1", project="default", at=T0, user="bob"),
        finished(state=ExecutionState.ABORTED, error="ended by bob"),
    ]
    for number in range(1, len(events) + 1):
        await ledger.apply(numbered(events[:number]))
        assert await ledger.get("default", "e1") == folded(events[:number])["default", "e1"]
    assert await ledger.get("default", "e2") is None
    assert await ledger.get("nowhere", "e1") is None


async def test_ids_are_unique_per_project_only(ledger: Ledger) -> None:
    await ledger.apply(numbered([queued(project="a", title="one"), queued(project="b", title="two")]))
    one, two = await ledger.get("a", "e1"), await ledger.get("b", "e1")
    assert one
    assert two
    assert (one.title, two.title) == ("one", "two")


async def test_events_applied_before_are_passed_over(ledger: Ledger, path: Path) -> None:
    events = numbered([queued(), started(), finished()])
    await ledger.apply(events)
    before = await ledger.get("default", "e1")
    await ledger.apply(events)
    await ledger.apply([(2, started(runner="other")), (3, queued("late"))])
    await ledger.apply([])
    assert (ledger.last_seq, await ledger.get("default", "e1")) == (3, before)
    assert await listed(ledger) == ["e1"]
    async with Ledger.open(path) as again:
        assert again.last_seq == 3


async def test_a_sequence_twice_in_one_batch_counts_once(ledger: Ledger) -> None:
    await ledger.apply([(1, queued()), (1, queued("twin")), (2, started())])
    assert await listed(ledger) == ["e1"]


async def test_a_batch_that_fails_leaves_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    await ledger.apply(numbered([queued("kept", project="first")]))

    def refuse(view: ExecutionView, event: Event) -> ExecutionView:
        if event.execution == "bad":
            raise ValueError("no")
        return apply(view, event)

    batch = numbered([started("kept", project="first"), queued("e1", project="second"), queued("bad")], first=2)
    with monkeypatch.context() as patched:
        patched.setattr(ledger_module, "apply", refuse)
        with pytest.raises(ValueError, match="no"):
            await ledger.apply(batch)
    assert (ledger.last_seq, await listed(ledger)) == (1, ["kept"])
    await ledger.apply(batch)
    assert (ledger.last_seq, sorted(await listed(ledger))) == (4, ["bad", "e1", "kept"])
    assert await listed(ledger, project="second") == ["e1"]


async def test_the_next_start_finds_everything(path: Path) -> None:
    events = one_of_each()
    async with Ledger.open(path) as ledger:
        await ledger.bind_stream("2026-05-01T00:00:00Z")
        await ledger.apply(numbered(events))
        before = await ledger.list(ExecutionListRequest(limit=500))
    async with Ledger.open(path) as ledger:
        await ledger.bind_stream("2026-05-01T00:00:00Z")
        assert ledger.last_seq == len(events)
        assert await ledger.list(ExecutionListRequest(limit=500)) == before
        assert await listed(ledger, project="acme", job="u-1", runner="r1", text="alpha", states=["failed"])


async def test_another_stream_is_not_believed(ledger: Ledger, path: Path) -> None:
    await ledger.bind_stream("first")
    await ledger.apply(numbered([queued(title="old words"), started(), finished()]))
    await ledger.bind_stream("first")
    assert ledger.last_seq == 3
    await ledger.bind_stream("second")
    assert (ledger.last_seq, await listed(ledger), await listed(ledger, text="old")) == (0, [], [])
    await ledger.apply(numbered([queued("e2", title="old too"), finished("e2")]))
    assert await listed(ledger, text="old") == ["e2"]
    async with Ledger.open(path) as again:
        await again.bind_stream("second")
        assert again.last_seq == 2


async def test_unfinished_and_running_on(ledger: Ledger) -> None:
    await ledger.apply(numbered([queued("a"), queued("b"), started("b"), queued("c"), started("c"), finished("c")]))
    assert [view.id for view in await ledger.unfinished()] == ["a", "b"]
    assert [view.id for view in await ledger.running_on("r1")] == ["b"]
    await ledger.apply(numbered([started("b", runner="r2", attempt=2), finished("a")], first=7))
    assert [view.id for view in await ledger.unfinished()] == ["b"]
    assert await ledger.running_on("r1") == []
    assert [view.id for view in await ledger.running_on("r2")] == ["b"]
    assert await ledger.running_on("never-heard-of") == []


# ── text ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", True),
        ("   ", True),
        ("Nightly", True),
        ("NIGHTLY backup", True),
        ("backup nightly", True),
        ("night", True),
        ("n", True),
        ("night backup", False),
        ("ightly", False),
        ("ann", True),
        ("pg_dump", True),
        ("pg dum", True),
        ("/usr/bin", True),
        ("zürich", True),
        ("ZURICH", True),
        ("жур", True),
        ("жук", False),
        ("🚀", True),
        ("🚀 nightly", True),
        ("🔥", False),
        ("nightly absent", False),
    ],
)
async def test_words(ledger: Ledger, text: str, found: bool, ended: bool) -> None:
    event = queued(title="Nightly Backup 🚀", user="ann", command="/usr/bin/pg_dump --city Zürich журнал")
    await ledger.apply(numbered([event, finished()] if ended else [event]))
    assert await listed(ledger, text=text) == (["e1"] if found else [])


NASTY = [
    '"',
    "'",
    "*",
    "a*",
    '"a',
    "NEAR(a b)",
    "a AND",
    "OR",
    "NOT a",
    "(",
    "doc:a",
    "^a",
    "a + b",
    "{a b}: c",
    "-a",
]
NASTY += [
    "\x00",
    "a\x00b",
    "__p1",
    "_",
    "%",
    ";drop table execution",
    "a" * 5000,
    "a " * 5000,
    "é" * 300,
    "👩‍👩‍👧",
    "\ud800",
]


@pytest.mark.parametrize("text", NASTY)
async def test_no_text_is_a_syntax_error(ledger: Ledger, text: str) -> None:
    await ledger.apply(numbered([queued("zz"), finished("zz"), queued("e2", title="yy")]))
    assert await listed(ledger, text=text, project="default") == []


@given(text=st.text(max_size=60), title=st.text(max_size=60))
def test_a_text_is_found_by_itself(text: str, title: str) -> None:
    for each in (text, title):
        assert all(word.isascii() and not word.startswith("__") and '"' not in word for word in words(each))
    asked = search_words(text)
    assert (asked is None) == (not text.strip())


async def test_the_error_of_a_failure_is_searched(ledger: Ledger) -> None:
    await ledger.apply(
        numbered([queued(title="deploy"), finished(state=ExecutionState.FAILED, error="disk is full")])
    )
    assert await listed(ledger, text="deploy full") == ["e1"]
    assert await listed(ledger, text="full", states=["failed"]) == ["e1"]
    assert await listed(ledger, text="full", states=["succeeded"]) == []


async def test_what_is_queued_after_its_end_is_indexed_anew(ledger: Ledger) -> None:
    await ledger.apply(numbered([finished(), queued("e2", title="other"), finished("e2")]))
    assert await listed(ledger, text="late") == []
    await ledger.apply([(4, queued(title="came late", job=BACKUP))])
    assert await listed(ledger, text="late", job="db/backup") == ["e1"]
    assert await listed(ledger, job="u-1", states=["succeeded"]) == ["e1"]


async def test_a_prefix_of_very_many_words(ledger: Ledger) -> None:
    events = [event for n in range(200) for event in (queued(f"e{n}", title=f"ticket{n}"), finished(f"e{n}"))]
    await ledger.apply(numbered(events))
    assert len(await listed(ledger, text="ticket", limit=500)) == 200
    assert len(await listed(ledger, text="ticket1", limit=500)) == 111
    assert await listed(ledger, text="ticket199") == ["e199"]


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cursor", ["x", "!!!!", "é", "AAAA", "A" * 16, encode_cursor(5)[:-1], "\ud800", " "])
async def test_a_cursor_that_is_none_is_refused(ledger: Ledger, cursor: str) -> None:
    with pytest.raises(RunbusError, match="next_cursor") as caught:
        await ledger.list(ExecutionListRequest(cursor=cursor))
    assert caught.value.code is ErrorCode.INVALID_MESSAGE


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_cursor_round_trip(number: int) -> None:
    assert decode_cursor(encode_cursor(number)) == number


@pytest.mark.parametrize(("limit", "given_"), [(-3, 1), (0, 1), (1, 1), (500, 500), (9999, 500)])
async def test_the_limit_is_clamped(ledger: Ledger, limit: int, given_: int) -> None:
    await ledger.apply(numbered([queued(f"e{number}") for number in range(501)]))
    page = await ledger.list(ExecutionListRequest(limit=limit))
    assert len(page.executions) == given_
    assert page.next_cursor


async def test_more_of_one_microsecond_than_it_has_ids(ledger: Ledger) -> None:
    names = [f"e{number}" for number in range(2 * SLOTS + 10)]
    for start in range(0, len(names), 300):
        batch = [queued(name) for name in names[start : start + 300]]
        await ledger.apply(numbered(batch, first=start + 1))
    found, cursor = [], ""
    for _ in range(5):
        page = await ledger.list(ExecutionListRequest(limit=500, cursor=cursor))
        found += [view.id for view in page.executions]
        cursor = page.next_cursor
    assert sorted(found) == sorted(names)
    assert not cursor


@pytest.mark.parametrize("at", [datetime.min, datetime.max, datetime(1969, 1, 1)])
async def test_any_time_has_a_place(ledger: Ledger, at: datetime) -> None:
    await ledger.apply(numbered([queued(at=at.replace(tzinfo=UTC))]))
    page = await ledger.list(ExecutionListRequest(since=datetime.min.replace(tzinfo=UTC)))
    assert [view.id for view in page.executions] == ["e1"]


async def test_one_job_name_in_very_many_projects(ledger: Ledger) -> None:
    count = 120  # more than one statement takes, a branch for each state
    refs = [JobRef(uuid=f"u{number}", name="same") for number in range(count)]
    events = [
        queued(f"e{number:03}", project=f"p{number}", job=ref, at=T0 + timedelta(seconds=number))
        for number, ref in enumerate(refs)
    ]
    await ledger.apply(numbered(events))
    assert await listed(ledger, job="same", limit=3) == ["e119", "e118", "e117"]
    assert await listed(ledger, job="same", project="p7") == ["e007"]
    assert len(await listed(ledger, job="same", text="hello", limit=500)) == count


@pytest.mark.parametrize("chosen", list(product([False, True], repeat=4)))
async def test_no_filter_sorts_or_scans_the_table(ledger: Ledger, path: Path, chosen: tuple[bool, ...]) -> None:
    await ledger.apply(numbered(one_of_each()))
    project, job, runner, states = chosen
    request = ExecutionListRequest(
        project="acme" * project,
        job="u-1" * job,
        runner="r1" * runner,
        states=[ExecutionState.FAILED] * states,
        since=T0,
    )
    search = read_request(request, ledger._names)
    assert search
    ((sql, values),) = index_statements(search)
    with sqlite3.connect(path) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    connection.close()
    searches = [line for line in plan if line.startswith("SEARCH")]
    assert searches
    assert all("COVERING INDEX" in line or "PRIMARY KEY" in line for line in searches)
    assert not any("SCAN execution" in line for line in plan)
    assert all("<" in line for line in searches)


# ── the file ────────────────────────────────────────────────────────────────────────────────────────────────────


def spoil_header(path: Path) -> None:
    path.write_bytes(b"this is no database at all, whatever its name says" * 100)


def spoil_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:8192] = b"\xff" * 8092
    path.write_bytes(data)


def other_schema(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 12345")
    connection.close()


def other_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE something (x)")
    connection.close()


@pytest.mark.parametrize("spoil", [spoil_header, spoil_middle, other_schema, other_program])
async def test_a_file_that_cannot_be_used_is_made_anew(path: Path, spoil: object) -> None:
    assert callable(spoil)
    events = one_of_each()
    async with Ledger.open(path) as ledger:
        await ledger.apply(numbered(events))
        before = await ledger.list(ExecutionListRequest(limit=500))
    await asyncio.to_thread(spoil, path)
    with structlog.testing.capture_logs() as logs:
        async with Ledger.open(path) as ledger:
            assert ledger.last_seq == 0
            await ledger.apply(numbered(events))
            assert await ledger.list(ExecutionListRequest(limit=500)) == before
    assert [(line["event"], line["log_level"]) for line in logs] == [("ledger_rebuilt", "warning")]


async def test_damage_found_in_use_is_mended_by_a_restart(path: Path) -> None:
    async with Ledger.open(path) as ledger:
        await ledger.apply(numbered(one_of_each()))
    size = await asyncio.to_thread(lambda: path.stat().st_size)

    def spoil() -> None:
        with path.open("r+b") as file:
            file.seek(20 * 8192)
            file.write(b"\xff" * (size - 20 * 8192))

    with structlog.testing.capture_logs():
        async with Ledger.open(path) as ledger:
            await asyncio.to_thread(spoil)
            with pytest.raises(RunbusError, match="restart") as caught:
                await ledger.list(ExecutionListRequest(limit=500))
            assert caught.value.code is ErrorCode.UNAVAILABLE
        async with Ledger.open(path) as ledger:
            assert ledger.last_seq == 0
            assert await listed(ledger) == []
        async with Ledger.open(path) as ledger:
            await ledger.apply(numbered([queued()]))
            assert await listed(ledger) == ["e1"]


async def test_a_file_that_may_not_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        async with Ledger.open(tmp_path):
            pass


async def test_questions_are_answered_while_a_batch_is_written(ledger: Ledger) -> None:
    await ledger.apply(numbered([queued("first")]))
    batch = numbered([queued(f"e{number}") for number in range(3000)], first=2)
    writing = asyncio.create_task(ledger.apply(batch))
    seen = set()
    while not writing.done():
        page = await ledger.list(ExecutionListRequest(limit=500))
        seen.add(len(page.executions))
    await writing
    assert seen <= {1, 500}, "a batch is seen whole or not at all"
    assert 1 in seen


async def test_a_cancelled_batch_leaves_the_ledger_usable(ledger: Ledger) -> None:
    batch = numbered([queued(f"e{number}") for number in range(3000)])
    writing = asyncio.create_task(ledger.apply(batch))
    for _ in range(3):
        await ledger.list(ExecutionListRequest())
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert ledger.last_seq == 0
    await ledger.apply(batch)
    assert len(await listed(ledger, limit=500)) == 500


async def test_a_batch_cancelled_as_it_begins_leaves_the_ledger_usable(ledger: Ledger) -> None:
    batch = numbered([queued("e1")])
    writing = asyncio.create_task(ledger.apply(batch))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await ledger.apply(batch)
    assert len(await listed(ledger)) == 1


# ── any history ─────────────────────────────────────────────────────────────────────────────────────────────────

_names = st.sampled_from(["a", "b", "c"])
_projects = st.sampled_from(["p", "q"])
_titles = st.sampled_from(["one", "two words", "три слова"])
_events: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        queued, _names, project=_projects, title=_titles, job=st.sampled_from([None, BACKUP, DEPLOY]),
        orchestrated=st.booleans(), retry=st.sampled_from([None, RetryOf(most=1)]),
    ),
    st.builds(
        ExecutionPhase, execution=_names, project=_projects, at=st.just(T0), phase=st.just(1),
        parts=st.just([Part(assignment="1", set="local", section=0, steps=(1, 1))]),
    ),
    st.builds(
        ExecutionFinished, execution=_names, project=_projects, at=st.just(T0), state=st.sampled_from(sorted(FINAL))
    ),
    st.builds(started, _names, project=_projects, runner=st.sampled_from(RUNNERS), attempt=st.integers(1, 3)),
    st.builds(finished, _names, st.sampled_from(sorted(FINAL)), project=_projects, error=st.sampled_from(["", "oh"])),
    st.builds(AbortRequested, execution=_names, project=_projects, at=st.just(T0), user=st.just("u")),
)  # fmt: skip


async def _contents(ledger: Ledger) -> dict[tuple[str, str], ExecutionView]:
    page = await ledger.list(ExecutionListRequest(limit=500))
    return {(view.project, view.id): view for view in page.executions}


def text_index_problems(path: Path, views: dict[tuple[str, str], ExecutionView]) -> list[str]:
    with sqlite3.connect(path) as connection:
        sql = "SELECT rowid FROM text WHERE text MATCH ?"
        rows = {code: [r[0] for r in connection.execute(sql, (f'"__s{code}"',))] for code in sorted(FINAL_CODES)}
        live = connection.execute("SELECT count(*) FROM live").fetchone()[0]
    connection.close()
    ended = sum(view.state in FINAL for view in views.values())
    wrong = [] if sum(map(len, rows.values())) == ended else [f"{rows} for {ended} ended"]
    return wrong + ([] if live == len(views) - ended else [f"{live} live"])


@settings(max_examples=60, deadline=None)
@given(events=st.lists(_events, max_size=25), cuts=st.lists(st.integers(0, 25), max_size=6), reopened=st.booleans())
@pytest.mark.slow
def test_any_batches_give_the_views_that_folding_gives(events: list[Event], cuts: list[int], reopened: bool) -> None:
    edges = sorted({0, len(events), *(cut for cut in cuts if cut < len(events))})
    batches = [numbered(events)[start:end] for start, end in pairwise(edges)]

    async def check(path: Path) -> None:
        for batch in [] if not reopened else batches:
            async with Ledger.open(path) as ledger:
                await ledger.apply(batch)
        async with Ledger.open(path) as ledger:
            for batch in batches:
                await ledger.apply(batch)
            views = folded(events)
            assert await _contents(ledger) == views
            unfinished = {(view.project, view.id) for view in await ledger.unfinished()}
            assert unfinished == {key for key, view in views.items() if view.state not in FINAL}
            for text in ("one", "words", "три", "oh"):
                found = await ledger.list(ExecutionListRequest(text=text, limit=500))
                has = {key for key, view in views.items() if text in f"{view.title} {view.error}".split()}
                assert {(view.project, view.id) for view in found.executions} >= has
        assert not text_index_problems(path, views)

    with TemporaryDirectory() as folder:
        asyncio.run(check(Path(folder) / "ledger.db"))


async def test_memory_of_views_is_bounded_and_not_needed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "KEPT_VIEWS", 2)
    names = [f"e{number}" for number in range(10)]
    await ledger.apply(numbered([queued(name) for name in names]))
    assert len(ledger._kept) == 2
    await ledger.apply(numbered([finished(name) for name in names], first=11))
    assert ledger._kept == {}
    assert len(await listed(ledger, states=["succeeded"])) == 10
