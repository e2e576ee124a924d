"""Values on the command line."""

from __future__ import annotations

from datetime import datetime, timedelta

import click
import pytest

from runbus.cli import exits
from runbus.cli.main import run_command
from runbus.cli.values import DURATION, MOMENT, chosen_tags, names_of, seconds_of, selector_of, tags_of
from schemas.api import ExecutionView
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.states import ExecutionState


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0), ("1.5", 1.5), ("30s", 30.0), ("250ms", 0.25), ("5m", 300.0), ("1h30m", 5400.0),
        ("1h 30m", 5400.0), ("2D", 172_800.0), ("1w", 604_800.0),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)
    assert DURATION.convert(text, None, None) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "5x", "-1s", "1h30", "soon", "1..5s", "2026-11-24"])
def test_what_is_no_duration(text: str) -> None:
    assert seconds_of(text) is None
    with pytest.raises(click.BadParameter, match="is not a duration above 0"):
        DURATION.convert(text, None, None)


def test_a_duration_of_nothing_is_refused() -> None:
    with pytest.raises(click.BadParameter):
        DURATION.convert("0s", None, None)


def test_a_moment_is_so_long_ago_or_a_time_here() -> None:
    ago = MOMENT.convert("2h", None, None)
    assert abs(datetime.now().astimezone() - ago - timedelta(hours=2)) < timedelta(seconds=5)
    assert MOMENT.convert("2026-11-24T08:30", None, None) == datetime(2026, 11, 24, 8, 30).astimezone()
    assert MOMENT.convert("2026-11-24T08:30Z", None, None).utcoffset() is not None
    assert MOMENT.convert("2026-11-24T08:30:00+02:00", None, None).isoformat().startswith("2026-11-2")


@pytest.mark.parametrize("text", ["soon", "24.11.2026", "9999999999w", ""])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no moment"):
        MOMENT.convert(text, None, None)


def test_names_and_tags() -> None:
    assert names_of(("a,b", " c ", "")) == ["a", "b", "c"]
    assert tags_of("A+B,C") == ["A", "B", "C"]
    assert tags_of("A++B") == ["A", "", "B"]
    assert tags_of(" ") == []
    assert chosen_tags(("A+B", "C")) == ["A", "B", "C"]
    assert chosen_tags(()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["keys", "list"], ["keys", "show", "keys/db"], ["keys", "list", "--tags", "DMZ"],
        ["run", "--tags", "DMZ", "ls"], ["job", "run", "x"], ["runner", "list"],
        ["nodes", "source", "add", "web", "--type", "docker"],
    ],
)  # fmt: skip
def test_tags_of_a_variable_without_a_value(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    at = words.index("ls") if "ls" in words else len(words)
    for empty in ("", " "):
        assert run_command([*words[:at], "--tags", empty, *words[at:]]) == exits.USAGE
        assert "--tags is empty: name tags, or leave it away." in capsys.readouterr().err


def test_the_choice_of_runners() -> None:
    assert selector_of((), None, local=False) is None
    assert selector_of((), None, local=True) == RunnerSelector(mode=SelectorMode.LOCAL)
    assert selector_of(("A+B", "C"), None, local=False) == RunnerSelector(mode=SelectorMode.TAGS, filter="A+B+C")
    assert selector_of((), "A,B", local=False) == RunnerSelector(mode=SelectorMode.FILTER, filter="A,B")


@pytest.mark.parametrize(("tags", "text", "local"), [(("A",), "B", False), (("A",), None, True), ((), "", True)])
def test_two_choices_are_refused(tags: tuple[str, ...], text: str | None, local: bool) -> None:
    with pytest.raises(click.UsageError):
        selector_of(tags, text, local=local)


@pytest.mark.parametrize(
    ("state", "code", "signal", "expected"),
    [
        ("succeeded", 0, None, 0), ("failed", 3, None, 3), ("failed", None, "SIGKILL", 137),
        ("failed", None, "SIGRTMIN+1", 163), ("failed", None, None, 125), ("failed", 0, None, 125),
        ("failed", None, "SIGNOSUCH", 125), ("aborted", 0, None, 130), ("timedout", None, "SIGTERM", 124),
        ("lost", None, None, 123),
    ],
)  # fmt: skip
def test_exit_codes(state: str, code: int | None, signal: str | None, expected: int) -> None:
    view = ExecutionView(
        id="e", project="p", state=ExecutionState(state), exit_code=code, signal=signal
    )  # fmt: skip
    assert exits.of_execution(view) == expected


def test_every_exit_code_is_documented() -> None:
    for code in (exits.USAGE, exits.LOST, exits.TIMED_OUT, exits.ERROR, exits.ABORTED, int(exits.CLOSED_PIPE)):
        assert f"\n  {code} " in exits.HELP
