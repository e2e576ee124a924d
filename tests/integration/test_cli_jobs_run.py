"""Jobs run from the command line with options, on nodes, and shown afterwards."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.cli_system import Cli
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

JOBS = """\
- name: greet
  group: demo
  nodeFilterEditable: true
  options:
  - {name: who, required: true, regex: "[a-z]+"}
  - {name: many, multivalued: true, delimiter: ":"}
  - {name: word, secure: true, valueExposed: true}
  sequence:
    commands:
    - exec: echo ${option.who} ${option.many} on ${node.name}
    - script: test -z "$RD_OPTION_WORD" || echo the word is $RD_OPTION_WORD
    - exec: test ${node.name} != n2
      errorhandler: {exec: "echo handled ${result.reason}"}
"""
NODES = """\
n1: {hostname: localhost, tags: web, node-executor: local}
n2: {hostname: localhost, tags: web, node-executor: local}
n3: {hostname: localhost, tags: db, node-executor: local}
"""


@pytest.fixture
async def cli(system: System, tmp_path: Path) -> Cli:
    system.start_nodesource()
    await system.up("local")
    cli = Cli.of(system)
    (tmp_path / "jobs.yaml").write_text(JOBS)
    (tmp_path / "nodes.yaml").write_text(NODES)

    async def loaded() -> bool:
        return (await cli("nodes", "load", str(tmp_path / "nodes.yaml"))).code == 0

    await eventually(loaded, within_s=20.0)
    assert (await cli("job", "put", str(tmp_path / "jobs.yaml"))).code == 0
    return cli


async def test_options_are_given_in_three_ways(cli: Cli) -> None:
    done = await cli("job", "run", "demo/greet", "-o", "who=ann", "-o", "many=a", "-o", "many=b c")
    assert (done.code, done.out) == (0, b"ann a:b c on local\n"), done.err
    done = await cli("job", "run", "demo/greet", "--", "-who", "bob")
    assert (done.code, done.out) == (0, b"bob on local\n"), done.err
    done = await cli("job", "run", "demo/greet", "-o", "who=ann", "--secure-option", "word", stdin=b"swordfish\n")
    assert (done.code, done.out) == (0, b"ann on local\nthe word is [SECURE]\n"), done.err


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ((), 125, "option 'who' is required"),
        (("-o", "who=A1"), 125, "option 'who' has the value 'A1', which does not match the regex '[a-z]+'"),
        (("-o", "whom=ann"), 125, "option 'whom' is unknown: did you mean 'who'?"),
        (("-o", "who"), 2, "has to be NAME=VALUE"),
        (("--secure-option", "word=swordfish"), 2, "a secure value has no place in an argument"),
        (("-o", "who=ann", "--threads", "2"), 2, "go with --nodes"),
        (("-o", "who=ann", "--nodes", "tags: none"), 125, "No matched nodes"),
    ],
)
async def test_what_is_wrong_with_options_is_said(cli: Cli, words: tuple[str, ...], code: int, text: str) -> None:
    done = await cli("job", "run", "demo/greet", *words)
    assert (done.code, text in done.err) == (code, True), done.err


async def test_on_nodes_it_says_where_and_how_each_ended(cli: Cli) -> None:
    done = await cli("job", "run", "demo/greet", "-o", "who=ann", "--nodes", "tags: web", "--node-keepgoing")
    assert done.code == 1
    assert done.text == "n1 | ann on n1\nn2 | ann on n2\nn2 3e | handled NonZeroResultCode\n"
    found = (await cli("execution", "list", "--json")).json["executions"][0]["id"]
    shown = (await cli("execution", "show", found)).text
    assert "nodes        2 nodes (tags: web): 1 succeeded, 1 failed\n" in shown
    assert "options      who=ann\n" in shown
    assert "  failed     n2\n" in shown
    assert re.search(r"^  state +1 succeeded, 1 failed$", shown, re.M)


async def test_a_command_runs_on_nodes(cli: Cli) -> None:
    done = await cli("run", "--nodes", "tags: db", "--", "echo $RD_NODE_NAME")
    assert (done.code, done.out) == (0, b"n3\n"), done.err
