"""The way of a step's output through lines, filters, masking and limit to what is shipped."""

from __future__ import annotations

import asyncio
import base64
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.context.masking import Masker
from domain.logs import LogLimiter, build_filters, parse_limit
from schemas.codec import decode
from schemas.events import LogChunk, LogEntry
from schemas.jobs import LogFilter
from services.runner import steplog
from services.runner.logship import LogLabel, LogShip
from services.runner.steplog import StepLog
from tests.support.eventlog import FakeEventLog
from tests.support.waiting import eventually

LABEL = LogLabel(stream="stdout", step=1)
WEB = LogLabel(stream="stdout", step=1, node="web-1")
DB = LogLabel(stream="stdout", step=1, node="db-1")
KEY_VALUE = LogFilter(type="key-value-data")
QUIET_X = LogFilter(type="quiet-output", config={"regex": "x", "quietMatch": "true"})


class Shipped:
    """A ship, and what it brought to the bus."""

    def __init__(self) -> None:
        self._log = FakeEventLog()
        bus: Any = self._log
        self.ship = LogShip(bus, "rb.p.log.e1.1.a1", attempt=1, msg_id="m")
        self.data: list[tuple[str, str, str]] = []

    def step(
        self, label: LogLabel = LABEL, secrets: Sequence[str] = (), filters: Sequence[LogFilter] = (), **given: Any
    ) -> StepLog:
        built, _ = build_filters(filters)
        return StepLog(
            self.ship, label, masker=Masker(secrets), filters=built, on_data=lambda *each: self.data.append(each),
            **given,
        )  # fmt: skip

    @property
    def entries(self) -> list[LogEntry]:
        return [entry for message in self._log.messages for entry in decode(message.data, LogChunk).entries]

    def by_stream(self) -> dict[str, bytes]:
        found: dict[str, bytes] = defaultdict(bytes)
        for entry in self.entries:
            found[entry.stream] += base64.b64decode(entry.base64) if entry.base64 else entry.text.encode()
        return found


async def shipped(
    pieces: Sequence[tuple[str, bytes]], label: LogLabel = LABEL, limit: str = "", **given: Any
) -> tuple[Shipped, list[str]]:
    """Write pieces through one step's log to its end; also returns the statuses of halts."""
    to, halted = Shipped(), list[str]()
    if limit:
        given["limit"] = LogLimiter(parse_limit(limit), action="truncate", status="failed", on_halt=halted.append)
    log = to.step(label, **given)
    for stream, data in pieces:
        await log.write(stream, data)
    await log.finish()
    await to.ship.finish()
    return to, halted


async def test_without_stages_bytes_go_through_as_they_come() -> None:
    to = Shipped()
    log = to.step()
    await log.write("stdout", b"Password: ")
    await log.write("stderr", b"\xff\x00")
    await log.write("runner", b"a remark\n")
    await eventually(lambda: len(to.entries) == 3)
    assert to.by_stream() == {"stdout": b"Password: ", "stderr": b"\xff\x00", "runner": b"a remark\n"}


async def test_a_secret_is_masked_across_pieces_in_every_stream_and_in_remarks() -> None:
    to, _ = await shipped(
        [("stdout", b"a sec"), ("stderr", b"an err"), ("stdout", b"ret b"), ("runner", b"secret\n")],
        secrets=["secret"],
    )
    assert to.by_stream() == {"stdout": b"a [SECURE] b", "stderr": b"an err", "runner": b"[SECURE]\n"}


async def test_captured_data_is_told_as_soon_as_its_line_is_whole_and_is_not_masked() -> None:
    to = Shipped()
    log = to.step(secrets=["hunter2"], filters=[KEY_VALUE])
    await log.write("stdout", b"RUNDECK:DATA:pw=hun")
    assert to.data == []
    await log.write("stdout", b"ter2\nRUNDECK:DATA:last=1")
    assert to.data == [("data", "pw", "hunter2")]
    await log.finish()
    await to.ship.finish()
    assert to.data[1:] == [("data", "last", "1")]
    assert to.by_stream()["stdout"] == b"RUNDECK:DATA:pw=[SECURE]\nRUNDECK:DATA:last=1"


async def test_quieted_lines_are_left_out_unless_the_execution_keeps_their_level() -> None:
    pieces = [("stdout", b"1\nx2\n3\n"), ("stderr", b"x\n")]
    to, _ = await shipped(pieces, filters=[QUIET_X])
    assert to.by_stream() == {"stdout": b"1\n3\n", "stderr": b"x\n"}

    to, _ = await shipped(pieces, filters=[QUIET_X], log_level="DEBUG")
    assert [(entry.stream, entry.level, entry.text) for entry in to.entries] == [
        ("stdout", "", "1\n"), ("stdout", "VERBOSE", "x2\n"), ("stdout", "", "3\n"), ("stderr", "", "x\n")
    ]  # fmt: skip


async def test_an_execution_of_the_level_warn_logs_stderr_only() -> None:
    to, _ = await shipped([("stdout", b"1\n"), ("stderr", b"2\n"), ("runner", b"3\n")], log_level="WARN")
    assert to.by_stream() == {"stderr": b"2\n", "runner": b"3\n"}


async def test_what_a_filter_says_is_masked_and_stands_where_it_was_said() -> None:
    filters = [LogFilter(type="render-datatype"), LogFilter(type="key-value-data", config={"logData": "true"})]
    output = b"#BEGIN:RUNDECK:DATATYPE:csv\n1,secret\n#END:RUNDECK:DATATYPE\nRUNDECK:DATA:a=secret\n"
    to, _ = await shipped([("stdout", output)], filters=filters, secrets=["secret"])
    shown = [(entry.stream, entry.text, entry.meta.get("content-data-type")) for entry in to.entries]
    assert shown == [
        ("stdout", "1,[SECURE]\n", "text/csv"),
        ("stdout", "RUNDECK:DATA:a=[SECURE]\n", None),
        ("runner", '{"a":"[SECURE]"}\n', "application/json"),
    ]


async def test_a_line_held_back_for_a_secret_keeps_its_own_level() -> None:
    to, _ = await shipped(
        [("stdout", b"x1\n"), ("stdout", b"2\n")], filters=[QUIET_X], log_level="DEBUG", secrets=["\nsecret"]
    )
    assert [(entry.level, entry.text) for entry in to.entries] == [("VERBOSE", "x1"), ("VERBOSE", "\n"), ("", "2\n")]


async def test_the_limit_counts_what_is_left_and_says_so_once_for_all_steps() -> None:
    to, halted = Shipped(), list[str]()
    limit = LogLimiter(parse_limit("2"), action="halt", status="aborted", on_halt=halted.append)
    one, two = to.step(limit=limit, filters=[QUIET_X]), to.step(limit=limit)
    await one.write("stdout", b"x\nx\nx\n1\n")
    await two.write("stdout", b"2\n")
    assert halted == []
    await two.write("stderr", b"3\n")
    assert halted == ["aborted"]
    await one.finish()
    await two.finish()
    await to.ship.finish()
    assert to.by_stream()["stdout"] == b"1\n2\n"
    remarks = [entry for entry in to.entries if entry.stream == "runner"]
    assert [(entry.level, entry.text.count("\n")) for entry in remarks] == [("ERROR", 1)]


async def test_a_remark_at_the_end_is_not_held_back_for_a_secret() -> None:
    to, _ = await shipped([("stdout", b"1\n2")], limit="1", secrets=["\nsecret"])
    assert to.by_stream()["stdout"] == b"1\n2"
    assert to.by_stream()["runner"].endswith(b"\n")


async def test_lines_of_two_nodes_are_not_torn() -> None:
    to = Shipped()
    web, db = to.step(WEB), to.step(DB)
    for piece in (b"one ", b"two\nthree ", b"four\n"):
        await web.write("stdout", piece)
        await db.write("stdout", piece.upper())
    await web.finish()
    await db.finish()
    await to.ship.finish()
    assert [(entry.node, entry.text) for entry in to.entries] == [
        ("web-1", "one two\n"), ("db-1", "ONE TWO\n"), ("web-1", "three four\n"), ("db-1", "THREE FOUR\n")
    ]  # fmt: skip


async def test_half_a_line_of_a_node_waits_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steplog, "HOLD_S", 0.001)
    to = Shipped()
    log = to.step(WEB)
    await log.write("stdout", b"Password: ")
    await eventually(lambda: to.by_stream()["stdout"] == b"Password: ")
    await log.write("stdout", b"x" * steplog.HELD_BYTES)
    assert to.ship.last_seq or len(to.entries) >= 1
    await log.finish()
    await to.ship.finish()
    assert to.by_stream()["stdout"] == b"Password: " + b"x" * steplog.HELD_BYTES


async def test_a_single_node_need_not_wait() -> None:
    to = Shipped()
    await to.step(WEB, whole_lines=False).write("stdout", b"Password: ")
    await asyncio.sleep(0)
    await eventually(lambda: to.by_stream()["stdout"] == b"Password: ")


text = st.lists(
    st.sampled_from(
        [
            b"RUNDECK:DATA:k=",
            b"v1",
            b"hunter2",
            b"hunter",
            b"'hunter2'",
            b"\n",
            b"\r\n",
            b"x",
            b"line one\nline two",
            b" ",
        ]
    ),
    max_size=14,
).map(b"".join)
filter_sets = st.lists(
    st.sampled_from(
        [
            KEY_VALUE,
            QUIET_X,
            LogFilter(type="mask-passwords", config={"replacement": "*"}),
            LogFilter(type="highlight-output", config={"regex": "n", "fgcolor": "red"}),
            LogFilter(type="mask-log-output-regex", config={"regex": "v1"}),
            LogFilter(type="key-value-data-multilines", config={"logData": "true"}),
            LogFilter(type="render-datatype"),
        ]
    ),
    max_size=3,
)


@settings(deadline=None, max_examples=150)
@given(text, filter_sets, st.lists(st.integers(1, 9), min_size=1), st.sampled_from(["", "2", "9B"]))
@pytest.mark.slow
def test_output_comes_out_the_same_however_it_is_cut_and_without_secrets(
    data: bytes, filters: list[LogFilter], sizes: list[int], limit: str
) -> None:
    pieces: list[tuple[str, bytes]] = []
    start = 0
    while start < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(("stdout", data[start : start + size]))
        start += size
    given_: dict[str, Any] = {"filters": filters, "secrets": ["hunter2", "line one\nline two"], "limit": limit}

    whole, _ = asyncio.run(shipped([("stdout", data)], **given_))
    cut, _ = asyncio.run(shipped(pieces, **given_))

    assert cut.by_stream() == whole.by_stream()
    assert cut.data == whole.data
    for stream in cut.by_stream().values():
        assert b"hunter2" not in stream
        assert b"line one\nline two" not in stream
