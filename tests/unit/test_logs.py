"""The log of a service: one JSON line an event, whatever is in it, and no secrets in tracebacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

PROGRAM = """
import structlog
from pathlib import Path
from bus.logs import configure
configure(part="runner r1", form="json", level={level!r})
log = structlog.get_logger("test")
{body}
"""


def lines_of(body: str, *, level: str = "info") -> list[dict[str, object]]:
    program = PROGRAM.format(body=body, level=level)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, cwd=Path(__file__).parents[2]
    )
    return [msgspec.json.decode(line) for line in ended.stderr.splitlines()]


def test_a_line_has_the_event_its_facts_and_who_wrote_it() -> None:
    (line,) = lines_of("log.info('assignment.started', execution='e1', exit_code=0)")
    assert line.pop("timestamp")
    assert line == {
        "event": "assignment.started", "execution": "e1", "exit_code": 0, "level": "info", "part": "runner r1",
    }  # fmt: skip


def test_what_is_below_the_level_is_left_out() -> None:
    lines = lines_of("log.info('quiet'); log.warning('loud')", level="warning")
    assert [line["event"] for line in lines] == ["loud"]


@pytest.mark.parametrize(
    "value", [r"'\udc80'", "Path('/tmp')", "object()", "2**80", "float('nan')", "{1: 2}", "{(1, 2): 3}", r"b'\xff'"]
)
def test_no_value_keeps_a_line_from_being_written(value: str) -> None:
    lines = lines_of(f"log.info('odd', value={value})")
    assert [line["event"] for line in lines] == ["odd"]


def test_a_traceback_has_its_frames_and_no_local_variables() -> None:
    body = "def fail():\n    password = 'geheim-und-lang'\n    1 / 0\n"
    body += "try:\n    fail()\nexcept ZeroDivisionError:\n    log.exception('broken')"
    (line,) = lines_of(body)
    text = msgspec.json.encode(line).decode()
    assert "ZeroDivisionError" in text
    assert '"name":"fail"' in text
    assert "geheim-und-lang" not in text
