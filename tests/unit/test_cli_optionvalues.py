"""Values of options on a command line, before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from runbus.cli.optionvalues import option_values, require_fit, say_how, values_in_clear
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import JobDefinition, Step
from schemas.options import Option

JOB = JobDefinition(
    uuid="u", name="j", project="p", steps=[Step(plugin="exec", config={"command": "date"})],
    options=[
        Option(name="tok", secure=True), Option(name="seen", secure=True, value_exposed=True), Option(name="to"),
        Option(name="many", multivalued=True),
    ],
)  # fmt: skip
SECRET = "s3cret-123"


def refused(given: tuple[str, ...] = (), secure: tuple[str, ...] = (), words: tuple[str, ...] = ()) -> str:
    with pytest.raises(click.UsageError) as caught:
        require_fit(JOB, option_values(given, secure, words), values_in_clear(given, words))
    assert SECRET not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    "arguments",
    [
        {"given": (f"tok={SECRET}",)},
        {"given": ("to=x", f"tok={SECRET}")},
        {"words": ("-to", "x", "-tok", SECRET)},
        {"given": ("tok=",)},
        {"given": (f"tok={SECRET}", "tok=again")},
    ],
)
def test_a_secure_value_in_an_argument(arguments: dict[str, Any]) -> None:
    assert refused(**arguments) == (
        "option 'tok' is secure, and an argument is seen by others and kept by the shell: give it with "
        "--secure-option tok, which asks for it, or reads a line of standard input, or --secure-option tok=@FILE. "
        "Nothing was run."
    )


def test_beside_the_right_one_it_is_still_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "tok").write_text("right")
    assert "option 'tok' is secure" in refused((f"tok={SECRET}",), (f"tok=@{tmp_path / 'tok'}",))


def test_others_are_taken(tmp_path: Path) -> None:
    (tmp_path / "tok").write_text(f"{SECRET}\n")
    given, words = ("to=x", "unknown=y"), ("-many", "a")
    values = option_values(given, (f"tok=@{tmp_path / 'tok'}",), words)
    require_fit(JOB, values, values_in_clear(given, words))
    assert values == {"to": "x", "unknown": "y", "many": "a", "tok": SECRET}


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("seen", b"x" * 200_000, "option 'seen' has 200,000 bytes, and a process can be given 131,0"),
        ("to", b"x" * 200_000, "option 'to' has 200,000 bytes, and a process can be given 131,0"),
        ("tok", f"{SECRET}\0".encode(), "the secure option 'tok' holds a NUL character"),
        ("tok", SECRET.encode() + b"\xff\xfe", "the secure option 'tok' is no UTF-8 text"),
    ],
)
def test_what_no_process_can_be_given(tmp_path: Path, name: str, data: bytes, text: str) -> None:
    (tmp_path / "value").write_bytes(data)
    assert text in refused(secure=(f"{name}=@{tmp_path / 'value'}",))


def test_what_no_process_is_given_may_be_long(tmp_path: Path) -> None:
    (tmp_path / "value").write_bytes(b"x" * 200_000)
    values = option_values((), (f"tok=@{tmp_path / 'value'}",), ())
    require_fit(JOB, values, {})


@pytest.mark.parametrize("given", [(SECRET,), ("to=x", SECRET), (f"={SECRET}",)])
def test_what_is_no_pair_is_not_shown(given: tuple[str, ...]) -> None:
    assert f"--option has to be NAME=VALUE: number {len(given)} is not" in refused(given)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert refused(secure=(f"tok=@{tmp_path}",)) == f"the file {tmp_path} cannot be read: Is a directory."


def test_how_a_missing_secure_option_is_given() -> None:
    problems = [
        {"option": "tok", "problem": "is required: give it a value", "secure": True},
        {"option": "to", "problem": "is required: give it a value"},
        {"option": "seen", "problem": "has a value that is not allowed", "secure": True},
    ]
    error = RunbusError(ErrorCode.INVALID_OPTION, "told", details={"problems": problems})
    assert say_how(error, {"seen": SECRET}).message == (
        "told\n--secure-option tok asks for it, or reads a line of standard input."
    )
    strange: list[dict[str, Any]] = [{}, {"problems": "none"}, {"problems": [{}]}]
    for details in strange:
        assert say_how(RunbusError(ErrorCode.INVALID_OPTION, "told", details=details), {}).message == "told"
