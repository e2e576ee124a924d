"""``runbus job plan`` tells which keys are read where, and never asks for one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runbus.cli import exits
from runbus.cli.main import run_command

JOB = """\
- name: use
  runnerSelector: {runnerFilterMode: TAGS, filter: dmz}
  options:
  - {name: own, secure: true, valueExposed: true, storagePath: runner/db/password, required: true}
  - {name: centre, secure: true, storagePath: 'keys/${option.env}/token'}
  - {name: env, value: prod}
  sequence: {commands: [{jobref: {name: inner}}]}
- name: inner
  options: [{name: deep, secure: true, storagePath: runner/deep}]
  sequence: {commands: [{exec: date}]}
- name: local
  options: [{name: own, secure: true, storagePath: runner/db/password}, {name: c, secure: true, storagePath: keys/c}]
  sequence: {commands: [{exec: date}]}
- name: strange
  options: [{name: own, secure: true, storagePath: keys/project/shop/x, required: REQUIRED}]
  sequence: {commands: [{exec: date}]}
"""
KEYS = """\
keys         own: runner/db/password (required; read by the runner of dmz that claims the job, in its key storage)
             centre: keys/prod/token (read at the centre, and sealed to the runner that claims the job)
             deep of inner, step 1: runner/deep (read by the runner of dmz that claims the job, in its key storage)
"""


def plan(job: str, *words: str, required: str = "false") -> int:
    Path("job.yaml").write_text(JOB.replace("REQUIRED", required), encoding="utf-8")
    return run_command(["job", "plan", "job.yaml", job, *words])


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_who_reads_which_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan("use") == exits.OK
    shown = capsys.readouterr()
    assert KEYS in "\n".join(line.rstrip() for line in shown.out.splitlines())
    assert shown.err == (
        "note: which runners of dmz have a key storage for these keys is not in the files: --fleet looks.\n"
    )


def test_the_local_runner(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan("local") == exits.OK
    shown = capsys.readouterr()
    assert "own: runner/db/password (read by the Local Runner, in its key storage)" in shown.out
    assert "c: keys/c (read at the centre, and sealed to the Local Runner)" in shown.out
    assert shown.err == ""


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan("use", "--json") == exits.OK
    found = json.loads(capsys.readouterr().out)
    assert found["keys"][0] == {
        "option": "own", "path": "runner/db/password", "required": True,
        "read_by": "read by the runner of dmz that claims the job, in its key storage",
    }  # fmt: skip
    assert [(each["option"], each.get("place", "")) for each in found["keys"]] == [
        ("own", ""), ("centre", ""), ("deep", "1"),
    ]  # fmt: skip
    assert len(found["notes"]) == 1


def test_a_key_that_no_run_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan("strange", required="true") == exits.ERROR
    shown = capsys.readouterr()
    assert "it belongs to project shop, and this is project default" in shown.err
    assert shown.out == ""
    assert plan("strange") == exits.OK
    shown = capsys.readouterr()
    assert "Warning: option 'own' takes its value from key 'keys/project/shop/x': it belongs to" in shown.err
    assert "own: keys/project/shop/x (read at the centre" in shown.out
    assert plan("strange", "--project", "shop", required="true") == exits.OK
