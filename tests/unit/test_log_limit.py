"""How much a job may log: what is still logged, what is said, and how often the execution is ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.logs import LogLimiter, limit, parse_limit
from domain.logs.limit import LimitRule, LimitUnit
from schemas.errors import ErrorCode, RunbusError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("123", LimitRule(123, LimitUnit.LINES)),
        (" 123 ", LimitRule(123, LimitUnit.LINES)),
        ("123/node", LimitRule(123, LimitUnit.NODE_LINES)),
        ("123b", LimitRule(123, LimitUnit.BYTES)),
        ("123B/node", LimitRule(123, LimitUnit.BYTES)),
        ("123k", LimitRule(123 << 10, LimitUnit.BYTES)),
        ("123Kb", LimitRule(123 << 10, LimitUnit.BYTES)),
        ("5MB", LimitRule(5 << 20, LimitUnit.BYTES)),
        ("1g", LimitRule(1 << 30, LimitUnit.BYTES)),
        ("0", None),
        ("0MB", None),
        ("", None),
    ],
)
def test_what_a_limit_says(text: str, expected: LimitRule | None) -> None:
    assert parse_limit(text) == expected


@pytest.mark.parametrize(
    "text", ["x", "-1", "1.5MB", "5 MB", "5TB", "10/nodes", "10/", "MB", "9" * 30, "${option.x}"]
)
def test_any_other_limit_is_an_error(text: str) -> None:
    with pytest.raises(RunbusError) as raised:
        parse_limit(text)

    assert raised.value.code is ErrorCode.INVALID_JOB


class Limited:
    """A limiter and what came of it."""

    def __init__(self, text: str, action: str = "truncate", status: str = "failed") -> None:
        self.halted: list[str] = []
        self.limiter = LogLimiter(parse_limit(text), action=action, status=status, on_halt=self.halted.append)
        self.remarks: list[str] = []

    def write(self, *pieces: bytes, node: str = "") -> bytes:
        stream = self.limiter.open(node)
        kept = b""
        for piece in pieces:
            data, remark = stream.take(piece)
            kept += data
            self.remarks += [remark] if remark else []
        remark = stream.finish()
        self.remarks += [remark] if remark else []
        return kept


def test_the_line_that_exceeds_the_limit_is_the_last_that_is_logged() -> None:
    limited = Limited("2")

    assert limited.write(b"1\n2\n") == b"1\n2\n"
    assert limited.remarks == []
    assert limited.write(b"3\n4\n5\n") == b"3\n"
    assert limited.write(b"6\n") == b""
    assert len(limited.remarks) == 1
    assert "2 lines" in limited.remarks[0]
    assert limited.halted == []


def test_a_halted_execution_is_ended_once_and_what_it_says_at_its_end_is_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limit, "AFTER_HALT_BYTES", 10)
    limited = Limited("1", "halt", "too-chatty")

    assert limited.write(b"1\n", b"2\n3\n") == b"1\n2\n3\n"
    assert limited.halted == ["too-chatty"]
    assert limited.write(b"4\n", b"5\n") == b"4\n5\n"
    assert limited.write(b"0123456789") == b"0123"
    assert limited.halted == ["too-chatty"]
    assert len(limited.remarks) == 1


def test_lines_of_each_node_are_counted_by_themselves() -> None:
    limited = Limited("2/node")

    assert limited.write(b"1\n2\n", node="a") == b"1\n2\n"
    assert limited.write(b"1\n2\n", node="b") == b"1\n2\n"
    assert limited.remarks == []
    assert limited.write(b"3\n4\n", node="b") == b"3\n"
    assert limited.write(b"3\n", node="a") == b""


def test_a_last_line_without_an_end_is_a_line() -> None:
    limited = Limited("2")

    assert limited.write(b"1\n2") == b"1\n2"
    assert limited.write(b"3") == b"3"
    assert len(limited.remarks) == 1


def test_states_of_a_progress_bar_are_lines() -> None:
    assert Limited("2").write(b"1%\r2%\r3%\r4%\n") == b"1%\r2%\r3%\r"
    assert Limited("2").write(b"1\r\n2\r\n3\r\n4\r\n") == b"1\r\n2\r\n3\r\n"


def test_the_line_in_which_a_number_of_bytes_is_exceeded_comes_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "REST_OF_LINE_BYTES", 6)

    assert Limited("4B").write(b"12\n4") == b"12\n4"
    assert Limited("4B").write(b"12\n456\n8\n") == b"12\n456\n"
    assert Limited("4B").write(b"1" * 100) == b"1" * 10
    limited = Limited("4B")
    assert limited.write(b"12345") == b"12345"
    assert len(limited.remarks) == 1
    assert limited.write(b"x\n") == b""


def test_another_stream_does_not_run_on_while_one_comes_to_the_end_of_its_line() -> None:
    limited = Limited("4B")
    one, other = limited.limiter.open(), limited.limiter.open()

    assert one.take(b"12345") == (b"12345", "")
    assert other.take(b"x\n") == (b"", "")
    assert one.take(b"6\n7\n")[0] == b"6\n"


@given(
    st.sampled_from(["3", "3/node", "7B", "1"]),
    st.sampled_from(["truncate", "halt"]),
    st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\r\n", b"bcd"])),
    st.lists(st.integers(1, 4), min_size=1),
)
def test_what_is_logged_does_not_depend_on_how_it_comes(
    text: str, action: str, parts: list[bytes], sizes: list[int]
) -> None:
    data = b"".join(parts)
    pieces: list[bytes] = []
    start = 0
    while start < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[start : start + size])
        start += size
    whole, cut = Limited(text, action), Limited(text, action)

    assert whole.write(data) == cut.write(*pieces)
    assert (whole.remarks, whole.halted) == (cut.remarks, cut.halted)


def test_no_limit_limits_nothing() -> None:
    limited = Limited("", "halt")

    assert limited.write(b"x\n" * 1000) == b"x\n" * 1000
    assert limited.remarks == []


def test_an_unknown_action_is_an_error() -> None:
    with pytest.raises(RunbusError) as raised:
        Limited("1", "explode")

    assert raised.value.code is ErrorCode.INVALID_JOB
