"""What stands before the lines of a log that the command line prints."""

from __future__ import annotations

import pytest

from runbus.cli.loglines import LineHeads
from runbus.cli.show import OnlyNodes, Output, TextView
from runbus.client import LogPiece
from schemas.api import ExecutionView
from schemas.events import LogEntry
from schemas.states import ExecutionState


def entry(text: str, node: str = "", stream: str = "stdout", context: str = "") -> LogEntry:
    return LogEntry(at=0, stream=stream, step=1, text=text, node=node, context=context)


def put(heads: LineHeads, *entries: LogEntry, coloured: bool = False) -> str:
    return "".join(heads.put_before_lines(each, each.text.encode(), coloured=coloured).decode() for each in entries)


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_output_of_one_node_is_as_it_was() -> None:
    heads = LineHeads()

    assert put(heads, entry("a\nb"), entry("c\n", "web-1"), entry("d\n", "web-1", context="2/1")) == "a\nbc\nd\n"


def test_nodes_are_named_once_there_is_a_second() -> None:
    shown = put(LineHeads(), entry("a\n", "web-1"), entry("b\nc\n", "db"), entry("d\n", "web-1"))

    assert shown == "a\ndb    | b\ndb    | c\nweb-1 | d\n"


def test_all_lines_bear_their_node_and_their_place_in_a_called_job() -> None:
    heads = LineHeads(tags=True)

    assert put(heads, entry("a\n", "web-1", context="2/1"), entry("b\n", "db"), entry("c\n")) == (
        "web-1 2/1 | a\ndb    | b\n      | c\n"
    )


def test_half_a_line_goes_on_unless_another_interrupts_it() -> None:
    heads = LineHeads(tags=True)
    shown = put(heads, entry("a", "x"), entry("b", "x"), entry("c\nd", "y"), entry("e\n", "x"), entry("f\n", "y"))

    assert shown == "x | ab\ny | c\ny | d\nx | e\ny | f\n"


def test_another_file_interrupts_nothing_and_a_remark_does() -> None:
    heads = LineHeads(tags=True)
    assert put(heads, entry("a", "x"), entry("e\n", "x", "stderr"), entry("b", "x")) == "x | ax | e\nb"
    heads.interrupted()
    assert put(heads, entry("c", "x")) == "c"

    heads = LineHeads(tags=True, one_file=True)
    assert put(heads, entry("a", "x"), entry("e\n", "x", "stderr"), entry("b", "x")) == "x | a\nx | e\nx | b"
    heads.interrupted()
    assert put(heads, entry("c", "x")) == "x | c"


def test_long_and_evil_names_are_made_short_and_harmless() -> None:
    assert put(LineHeads(tags=True), entry("a\n", "n" * 30), entry("b\n", "\x1b[2Jx")) == (
        f"{'n' * 19}… | a\n{chr(0xFFFD) + '[2Jx':20} | b\n"
    )


def test_nodes_have_colours_only_where_someone_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = LineHeads(tags=True)

    assert put(heads, entry("a\n", "x"), entry("b\n", "y"), coloured=True) == (
        "\x1b[36mx\x1b[0m | a\n\x1b[33my\x1b[0m | b\n"
    )
    monkeypatch.setenv("NO_COLOR", "1")
    assert put(heads, entry("a\n", "x"), coloured=True) == "x | a\n"


class Recorder(Output):
    """Takes the place of our stdout and stderr."""

    def __init__(self) -> None:
        super().__init__()
        self.written = ""

    async def write(self, stream: str, data: bytes) -> None:
        assert stream in {"stdout", "stderr"}
        self.written += data.decode()

    def remark(self, text: str) -> None:
        self.written += f"({text})"


async def shown(
    node_count: int | None, nodes: tuple[str, ...] = (), tags: bool | None = None
) -> tuple[str, list[str]]:
    recorder = Recorder()
    view = ExecutionView(id="e1", project="p", state=ExecutionState.RUNNING, node_count=node_count)
    text = TextView(recorder, view, framed=False, tags=tags)
    only = OnlyNodes(text, nodes)
    await (only if nodes else text).piece(
        LogPiece(1, "1", "r", [entry("a\n", "x"), entry("b\n", "y"), entry("c\n", "x")])
    )
    return recorder.written, only.missing


async def test_an_execution_on_several_nodes_names_them_from_the_start() -> None:
    assert (await shown(2))[0] == "x | a\ny | b\nx | c\n"
    assert (await shown(1))[0] == "a\ny | b\nx | c\n"


async def test_only_the_nodes_asked_for_are_shown() -> None:
    assert await shown(2, ("x", "z"), tags=False) == ("a\nc\n", ["z"])
    assert await shown(2, ("z",)) == ("", ["z"])
