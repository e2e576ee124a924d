"""Output becomes lines as in the original, however it comes, and comes out of them to the byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.logs import lines
from domain.logs.levels import Level, kept_levels, level_of
from domain.logs.lines import LineCutter, LogLine


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    cutter = LineCutter()
    found: list[bytes] = []
    start = turn = 0
    while start < len(data):
        size = sizes[turn % len(sizes)]
        found += cutter.feed(data[start : start + size])
        start, turn = start + size, turn + 1
    return found + cutter.finish()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a\nb", [b"a\n", b"b"]),
        (b"a\r\nb\r\n", [b"a\r\n", b"b\r\n"]),
        (b"\n\n", [b"\n", b"\n"]),
        (b"1%\r2%\r3%\n", [b"1%\r", b"2%\r", b"3%\n"]),
        (b"a\r\r\nb\r\rc\r", [b"a\r\r\n", b"b\r\r", b"c\r"]),
        (b"a\x0bb\x85c\n", [b"a\x0bb\x85c\n"]),
    ],
)
def test_where_lines_end(data: bytes, expected: list[bytes]) -> None:
    assert cut(data, [1000]) == expected


@given(
    st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\r\n", b"\xff", b"bc"])), st.lists(st.integers(1, 4), min_size=1)
)
def test_the_cut_is_the_same_however_output_comes(parts: list[bytes], sizes: list[int]) -> None:
    data = b"".join(parts)

    found = cut(data, sizes)

    assert found == cut(data, [len(data) + 1])
    assert b"".join(found) == data
    assert b"".join(LogLine.of(line, Level.NORMAL).encode() for line in found) == data


def test_a_line_without_end_is_held_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 10)

    assert cut(b"x" * 25 + b"\ny\n", [1]) == [b"x" * 10, b"x" * 10, b"xxxxx\n", b"y\n"]
    assert cut(b"x" * 25 + b"\ny\n", [100]) == [b"x" * 10, b"x" * 10, b"xxxxx\n", b"y\n"]


@pytest.mark.parametrize(
    ("log_level", "least"),
    [("ERROR", Level.ERROR), ("WARN", Level.WARN), ("INFO", Level.NORMAL), ("VERBOSE", Level.VERBOSE),
     ("DEBUG", Level.DEBUG), ("", Level.NORMAL), ("chatty", Level.NORMAL)],
)  # fmt: skip
def test_an_execution_keeps_its_level_and_all_above(log_level: str, least: Level) -> None:
    kept = kept_levels(log_level)

    assert least in kept
    assert Level.ERROR in kept
    assert len(kept) == list(Level).index(least) + 1


def test_what_is_written_to_stderr_is_an_error() -> None:
    assert (level_of("stdout"), level_of("stderr"), level_of("runner")) == (Level.NORMAL, Level.ERROR, Level.NORMAL)
