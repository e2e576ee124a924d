"""``runbus runner show``: what providers and plugins say is folded, and its colours stay whole."""

from __future__ import annotations

import re
from itertools import takewhile

import click
import pytest

from runbus.cli import runner
from runbus.cli.failure import paint
from runbus.cli.render import Run, Runs, fold_runs, print_facts
from schemas.keys import KeyStorageInfo
from schemas.runners import RunnerView
from tests.support.centre import runner_view

PROBLEM = (
    "Vault at http://127.0.0.1:1 cannot be reached: connection refused. Is Vault up, and may this machine reach it? "
    "See the setting address of the key storage."
)
RED = "\x1b[31m"
PIECES = re.compile(r"\x1b\[(\d+)m([^\x1b]*)\x1b\[0m")


def view(problem: str = PROBLEM) -> RunnerView:
    made = runner_view()
    made.key_storage.extend(
        [KeyStorageInfo(type="vault", problem=problem), KeyStorageInfo(type="file", path="local")]
    )
    return made


def printed(capsys: pytest.CaptureFixture[str], problem: str = PROBLEM, *, colour: bool | None) -> list[str]:
    with click.Context(runner.show, color=colour).scope():
        print_facts(runner._facts(view(problem)))
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_provider_that_does_not_answer_is_folded_and_red(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.delenv("NO_COLOR", raising=False)
    lines = printed(capsys, colour=True)
    plain = [PIECES.sub(r"\2", line) for line in lines]
    assert not any("\x1b" in line or "\ufffd" in line for line in plain)
    first = next(number for number, line in enumerate(plain) if line.startswith("keys "))
    block = [plain[first], *takewhile(lambda line: line.startswith("   "), plain[first + 1 :])]
    assert " ".join(" ".join(block).split()) == f"keys vault, does not answer: {PROBLEM}"
    assert max(map(len, plain)) <= width
    red = [text for line in lines for code, text in PIECES.findall(line) if code == "31"]
    assert " ".join(red) == "does not answer:"
    assert "keys         file at runner/local," in "\n".join(plain)


@pytest.mark.parametrize(("no_colour", "colour"), [("1", True), ("", False), ("", None)])
def test_without_colours_no_code_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, no_colour: str, colour: bool | None
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("NO_COLOR", no_colour)
    lines = printed(capsys, colour=colour)
    assert f"keys         vault, does not answer: {PROBLEM}" in lines, "in a pipe nothing is folded"
    assert not any("\x1b" in line or "\ufffd" in line for line in lines)


def test_what_commands_the_terminal_does_not_reach_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    lines = printed(capsys, "no\x1b[2Jpe\nat all", colour=True)
    (line,) = [each for each in lines if "vault" in each]
    assert line.endswith(f"vault, {paint('does not answer:', 'red')} no\ufffd[2Jpe at all")


def test_words_that_are_too_long_have_a_line_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    runs = Runs([Run("a"), Run("b c", "red"), Run("x" * 30), Run("d  e")])
    assert fold_runs(runs, 10) == [f"a {RED}b c\x1b[0m", "x" * 30, "d  e"]
    assert fold_runs(runs, 100) == [f"a {RED}b c\x1b[0m {'x' * 30} d  e"]


def test_a_storage_that_answers_and_is_to_be_mended(capsys: pytest.CaptureFixture[str]) -> None:
    made = runner_view()
    made.key_storage.append(KeyStorageInfo(type="environment", remark="X-1: rename it"))
    with click.Context(runner.show, color=False).scope():
        print_facts(runner._facts(made))
    assert "environment, answers; remark: X-1: rename it" in capsys.readouterr().out
