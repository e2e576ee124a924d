"""``runbus job plan`` as it is read on a screen, and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runbus.cli import exits
from runbus.cli.main import run_command

JOB = """\
- name: Deploy
  group: ops
  retries: 3
  options:
  - {name: version, required: true, regex: '[0-9]+'}
  nodefilters: {filter: 'tags: web', dispatch: {threadcount: 2, rankAttribute: rank, rankOrder: descending}}
  sequence:
    strategy: sequential
    commands:
    - exec: echo "v ${option.version}" on ${node.name}
      errorhandler: {exec: echo handled, keepgoingOnSuccess: true}
    - script: echo @data.found@
      scriptInterpreter: bash
    - {type: reboot, configuration: {wait: '5', node: '${node.name}'}}
"""
NODES = """\
web1: {hostname: 192.0.2.1, username: ops, tags: 'web,prod', rank: '2'}
web2: {hostname: 192.0.2.2, username: ops, tags: [web], rank: '10', node-executor: local}
db1: {hostname: 192.0.2.3, username: ops, tags: db}
"""
SCREEN = """\
job          ops/Deploy
runs on      the Local Runner
options      version=7
nodes        2: web2, web1
threads      2
strategy     sequential

step 1       exec
  on         web2, by local
  line       echo 'v 7' on web2

step 1       exec, where the step has failed
  on         web2, by local
  line       echo handled

step 1       exec
  on         web1, by ssh
  line       echo 'v 7' on web1

step 1       exec, where the step has failed
  on         web1, by ssh
  line       echo handled

step 2       script
  on         web2, by local
  line       bash WORKDIR/N-EXECUTION-web2-dispatch-script.sh
  script     echo
  unknown    @data.found@

step 2       script
  on         web1, by ssh
  line       bash /tmp/N-EXECUTION-web1-dispatch-script.sh
  script     echo
  unknown    @data.found@

step 3       reboot
  on         web2, by local
  wait       5
  node       web2

step 3       reboot
  on         web1, by ssh
  wait       5
  node       web1
"""
WARNINGS = """\
Warning: job.yaml:3:3: retries: kept, and without effect: unknown field; did you mean 'retry'?
Warning: job.yaml: ops/Deploy, step 3: plugin 'reboot' is neither Runbus's own nor installed here; the job needs a \
runner that bears it
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(JOB, encoding="utf-8")
    Path("nodes.yaml").write_text(NODES, encoding="utf-8")


def plan(*words: str) -> int:
    return run_command(["job", "plan", "job.yaml", *words])


def test_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan("--nodes", "nodes.yaml", "-o", "version=7") == exits.OK
    shown = capsys.readouterr()
    assert [line.rstrip() for line in shown.out.splitlines()] == SCREEN.splitlines()
    assert shown.err == WARNINGS


def test_json_tells_arguments_and_environment_of_each_step_and_node(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan("--nodes", "nodes.yaml", "-o", "version=7", "--json") == exits.OK
    found = json.loads(capsys.readouterr().out)
    assert (found["nodes"], found["threads"]) == (["web2", "web1"], 2)
    first = found["steps"][0]
    assert (first["place"], first["node"], first["line"]) == ("1", "web2", "echo 'v 7' on web2")
    assert first["environment"]["RD_OPTION_VERSION"] == "7"
    assert first["environment"]["RD_NODE_RANK"] == "10"
    assert [each["place"] for each in found["steps"]] == ["1", "1e", "1", "1e", "2", "2", "3", "3"]
    assert len(found["warnings"]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "option 'version' is required"),
        (("-o", "version=x"), "option 'version'"),
        (("-o", "version=7"), "give a file of nodes (--nodes FILE)"),
        (("-o", "version=7", "--nodes", "nodes.yaml", "--node-filter", "tags: none"), "no node"),
        (("-o", "version=7", "--nodes", "nodes.yaml", "--node-filter", "name: /[/"), "/[/"),
        (("-o", "version=7", "-o", "color=red", "--nodes", "nodes.yaml"), "color"),
        (("-o", "version=7", "--nodes", "gone.yaml"), "gone.yaml"),
    ],
)
def test_what_a_run_would_refuse_is_refused(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan(*words) not in (exits.OK, exits.PROBLEMS)
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""
