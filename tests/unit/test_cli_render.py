"""What commands print."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from runbus.cli.context import Options
from runbus.cli.failure import clean, print_error
from runbus.cli.jobcheck import folded, print_warnings
from runbus.cli.loglines import LineHeads
from runbus.cli.render import Column, ago, duration, moment, print_facts, print_table, short_moment
from runbus.cli.show import Output, TextView, entry_bytes
from runbus.client import LogPiece
from schemas.api import ExecutionView
from schemas.errors import ErrorCode, ErrorInfo
from schemas.events import LogEntry
from schemas.states import ExecutionState

COLUMNS = [Column("ID"), Column("NAME", folds=True), Column("TEXT", folds=True)]
ROW = ["0123456789", "a-name-of-some-length", "one two three four five six"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""), (0, "0ms"), (-1, "0ms"), (0.085, "85ms"), (0.9996, "1.0s"), (1.24, "1.2s"), (59.94, "59.9s"),
        (59.96, "1m"), (75, "1m15s"), (3600, "1h"), (3725, "1h2m"), (86_400 * 2 + 4 * 3600, "2d4h"),
    ],
)  # fmt: skip
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_times_are_local_and_as_short_as_can_be() -> None:
    now = datetime.now().astimezone()
    assert short_moment(now) == now.strftime("%H:%M:%S")
    assert short_moment(now - timedelta(days=800)) == (now - timedelta(days=800)).strftime("%Y-%m-%d")
    assert moment(now) == now.strftime("%Y-%m-%d %H:%M:%S")
    assert moment(None) == short_moment(None) == ""
    assert (ago(None), ago(now)) == ("never", "now")
    assert ago(now - timedelta(seconds=12)) == "12s ago"
    assert ago(now - timedelta(hours=2, minutes=1)) == "2h1m ago"


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert clean("a\x1b[31mb\nc") == "a\ufffd[31mb\ufffdc"


@pytest.mark.parametrize("width", [18, 24, 30, 40, 60, 80])
def test_a_table_folds_and_loses_nothing(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(COLUMNS, [ROW, ["b", "c", "d\x1b"]])
    text = capsys.readouterr().out
    assert ROW[0] in text
    assert "\x1b" not in text
    for cell in ROW:
        assert all(text.count(char) >= cell.count(char) for char in set(cell) - {" "})
    if "ID  " in text:
        assert max(map(len, text.splitlines())) <= width


def test_in_a_pipe_a_row_is_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    print_table(COLUMNS, [[*ROW[:2], "x" * 500], ["b", "漢字", ""]])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1] == f"{ROW[0]}  {ROW[1]}  {'x' * 500}"
    assert lines[2].split() == ["b", "漢字"]


def test_facts_leave_out_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts([("a", "1"), ("none", ""), ("lines", "one\ntwo\x07")])
    assert capsys.readouterr().out == "a            1\nlines        one\n             two\ufffd\n"


def test_warnings_of_one_text_are_folded() -> None:
    many = [f"a.yaml:{line}:3: [{line}].loglevel: ignored: kept" for line in range(1, 9)]
    assert folded([*many, "a.yaml:9:1: defaultTab: ignored", "x/y: it could not run now. Nobody.", "odd"]) == [
        "a.yaml:1:3, a.yaml:2:3, a.yaml:3:3, a.yaml:4:3, a.yaml:5:3 and 3 more: loglevel: ignored: kept",
        "a.yaml:9:1: defaultTab: ignored",
        "x/y: it could not run now. Nobody.",
        "odd",
    ]


def test_entries_come_back_to_the_byte() -> None:
    assert entry_bytes(LogEntry(at=0, stream="stdout", step=1, text="é\r\n")) == "é\r\n".encode()
    assert entry_bytes(LogEntry(at=0, stream="stdout", step=1, base64="/w==")) == b"\xff"


def test_times_stand_before_lines_and_not_within_them() -> None:
    stamps = LineHeads(stamps=True)

    def put(text: str, stream: str = "stdout") -> str:
        entry = LogEntry(at=0.25, stream=stream, step=1, text=text)
        return stamps.put_before_lines(entry, text.encode()).decode().replace(stamp, "@")

    stamp = datetime.fromtimestamp(0).strftime("%Y-%m-%d %H:%M:%S") + ".250 "
    assert put("one\ntw") == "@one\n@tw"
    assert put("err\n", "stderr") == "@err\n"
    assert put("o\n\n1%\r2%\r") == "o\n@\n@1%\r2%\r"


class Recorder(Output):
    """Takes the place of our stdout and stderr."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    async def write(self, stream: str, data: bytes) -> None:
        self.written.append(f"{stream}: {data.decode()}")

    def remark(self, text: str) -> None:
        self.written.append(text)


def test_the_end_names_a_status_of_the_job_and_the_nodes_that_failed() -> None:
    names = [f"n{number}" for number in range(12)]
    view = ExecutionView(
        id="e1", project="p", state=ExecutionState.OTHER, status="toolong", set="local", nodes={"failed": names},
        node_count=20,
    )  # fmt: skip
    recorder = Recorder()
    TextView(recorder, view).state(view)
    assert recorder.written == [
        "■ other (toolong)",
        "  failed on 12 of 20 nodes: n0, n1, n2, n3, n4, n5, n6, n7, n8, n9 and 2 more",
    ]


async def test_the_runner_stands_at_the_top_whatever_comes_first() -> None:
    view = ExecutionView(id="e1", project="p", state=ExecutionState.QUEUED, set="dev+linux")
    recorder = Recorder()
    shown = TextView(recorder, view)
    shown.state(view)
    entries = [
        LogEntry(at=0, stream=stream, step=1, text=stream) for stream in ("stdout", "stderr", "runner")
    ]  # fmt: skip
    await shown.piece(LogPiece(1, "1", "web-1", entries))
    running = ExecutionView(
        id="e1", project="p", state=ExecutionState.RUNNING, set="dev+linux", runner="web-1", attempt=1
    )  # fmt: skip
    shown.state(running)
    plain = [text.replace("\x1b[36m", "").replace("\x1b[1m", "").replace("\x1b[0m", "") for text in recorder.written]
    assert plain == [
        "▶ e1 on runner web-1 (dev+linux)", "stdout: stdout", "stderr: stderr", "stderr: runner"
    ]  # fmt: skip


def test_what_others_wrote_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_warnings(["x wrote to stderr: \x1b[2Jgone"])
    info = ErrorInfo(
        code=ErrorCode.INTERNAL, message="it said \x1b]0;title\x07\nand \x9b31m", origin="r1", error_id="1"
    )
    print_error(info, Options())
    said = capsys.readouterr().err
    assert said.splitlines() == [
        "Warning: x wrote to stderr: \ufffd[2Jgone", "Error (internal, id 1):", "it said \ufffd]0;title\ufffd",
        "and \ufffd31m",
    ]  # fmt: skip
