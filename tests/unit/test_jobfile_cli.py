"""``runbus job check`` of all formats, and what is read of a file before anything looks into it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from domain.jobfile import FORMATS, write_job_file
from runbus.cli import exits
from runbus.cli.jobcheck import read_text
from runbus.cli.main import run_command
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import MAX_JOB_FILE_BYTES
from tests.support.jobfiles import one
from tests.support.jobfixtures import YAML


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("suffix", ["", ".txt"])
def test_each_format_is_checked(form: str, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = f"jobs.{form}{suffix}"
    Path(file).write_text(write_job_file([one(YAML)], form), encoding="utf-8")  # type: ignore[arg-type]
    assert run_command(["job", "check", file]) == exits.OK
    shown = capsys.readouterr()
    assert shown.out == f"{file}: good, 1 job\n"
    assert f"Warning: {file}:" in shown.err
    assert "lifecycle plugins of the original are not run" in shown.err


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        (
            "a.yaml",
            "name: n\nsequence: {commands: [{exec: [a]}]}\n",
            "2:30: sequence.commands[0].exec: expected text",
        ),
        ("a.xml", "<joblist>\n <job>\n  <name>n</name></job></joblist>", "2:2: no 'sequence'; "),
        ("a.json", '[{"name": "n",\n "sequence": 5}]', "2:14: sequence: expected a map, got a whole number ('5')"),
        ("a.xml", "- name: n", "1:1: not valid XML: "),
        ("a.json", "- name: n", "1:1: not valid JSON: "),
    ],
)
def test_problems_have_their_place(file: str, text: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(file).write_text(text, encoding="utf-8")
    assert run_command(["job", "check", file]) == exits.PROBLEMS
    assert capsys.readouterr().out.startswith(f"{file}:{problem}")
    assert run_command(["job", "check", "--json", file]) == exits.PROBLEMS
    (found,) = json.loads(capsys.readouterr().out)
    assert problem.startswith(f"{found['problems'][0]['line']}:{found['problems'][0]['column']}: ")


def test_a_large_file_is_not_read_to_its_end() -> None:
    with Path("large.yaml").open("wb") as stream:
        stream.truncate(50_000_000)
    with pytest.raises(RunbusError, match=r"\Alarge.yaml:1:1: longer than 1 MiB; split the file\Z") as caught:
        read_text("large.yaml")
    assert caught.value.code is ErrorCode.INVALID_JOB
    Path("fits.yaml").write_text("x" * MAX_JOB_FILE_BYTES, encoding="utf-8")
    assert len(read_text("fits.yaml")) == MAX_JOB_FILE_BYTES
