"""``runbus job plan`` tells where secure options take their values from, and asks for none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runbus.cli import exits
from runbus.cli.main import run_command

JOB = """\
- name: use
  options:
  - {name: own, secure: true, valueExposed: true, storagePath: 'runner/${option.env}/password', required: true}
  - {name: tok, secure: true, valueExposed: true, required: true, regex: 'a+'}
  - {name: shut, secure: true}
  - {name: env, value: prod}
  sequence:
    commands:
    - exec: mysql ${option.own} ${option.tok} ${option.shut}
    - script: echo @option.own@ @option.shut@
    - jobref: {name: inner, args: '-deep ${option.own} -given ${option.tok}'}
- name: inner
  options:
  - {name: deep, secure: true, valueExposed: true, regex: '[0-9]+', required: true}
  - {name: given, secure: true, valueExposed: true, enforced: true, values: [a, b]}
  - {name: key, secure: true, valueExposed: true, storagePath: keys/deep}
  sequence: {commands: [{exec: 'see ${option.deep} ${option.given} ${option.key}'}]}
"""
SCREEN = """\
job          use
runs on      the Local Runner
options      env=prod
             own: secure, from runner/prod/password
             tok: secure, to be given (required): --secure-option tok
             shut: secure, to be given: --secure-option shut
"""
STEPS = """\
step 1       exec
  line       mysql [SECURE] [SECURE]
  unknown    ${option.shut} (secure without valueExposed: no step is given it)

step 2       script
  line       WORKDIR/N-EXECUTION-RUNNER-dispatch-script.sh
  script     echo [SECURE]
  unknown    @option.shut@ (secure without valueExposed: no step is given it)

step 3/1     exec
  line       see [SECURE] [SECURE] [SECURE]
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(JOB, encoding="utf-8")


def plan(*words: str) -> int:
    return run_command(["job", "plan", "job.yaml", "use", *words])


def test_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan() == exits.OK
    shown = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines()) + "\n"
    assert shown.startswith(SCREEN)
    assert shown.endswith(STEPS)


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    Path("tok").write_text("aaa")
    assert plan("--json", "--secure-option", "tok=@tok") == exits.OK
    shown = capsys.readouterr().out
    found = json.loads(shown)
    assert found["options"] == {"env": "prod"}
    assert found["secure"] == {
        "own": "secure, from runner/prod/password",
        "tok": "secure, given",
        "shut": "secure, to be given: --secure-option shut",
    }
    assert "aaa" not in shown


def test_what_a_run_would_refuse_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("tok").write_text("bbb")
    assert plan("--secure-option", "tok=@tok") == exits.ERROR
    assert "option 'tok' has a value that does not match the regex 'a+'" in capsys.readouterr().err
    Path("tok").write_text("")
    assert plan("--secure-option", "tok=@tok") == exits.ERROR
    assert "option 'tok' is required" in capsys.readouterr().err
    assert plan("-o", "tok=aaa") == exits.USAGE
    shown = capsys.readouterr()
    assert "option 'tok' is secure" in shown.err
    assert "--secure-option tok" in shown.err
    assert shown.out == ""
