"""What a job would run where, told from files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from domain.dryrun import FileLookups, StepOnNode, steps_of
from domain.jobfile import read_job_file
from domain.planning import Run, plan_job
from schemas.errors import ErrorCode, RunbusError
from schemas.nodes import Node

NODES = [Node(name=f"n{number}", tags=["web"], attributes={"rack": str(9 - number)}) for number in (1, 2)]
CHILD = """\
- name: child
  options: [{name: who, required: true}]
  sequence: {commands: [{exec: "echo ${option.who} ${job.name} ${node.name}"}]}
"""


def planned(text: str, *, nodes: Sequence[Node] | None = None, **options: str) -> list[StepOnNode]:
    jobs = read_job_file(text, project="p").jobs
    run = Run(execution="EXECUTION", project="p", options=options)
    plan = asyncio.run(plan_job(jobs[0], run, FileLookups(jobs, nodes)))
    return list(steps_of(jobs[0], plan))


def test_lines_are_what_the_runner_would_start() -> None:
    job = """\
- name: x
  options: [{name: a, value: "v w"}, {name: s, secure: true, valueExposed: true}]
  sequence:
    commands:
    - exec: echo --a=${option.a} "two words" $HOME ${option.s}
    - {script: "echo @option.a@", args: "${option.a} lit", scriptInterpreter: bash -e}
"""
    first, second = planned(job, s="swordfish")
    assert first.line == "echo '--a=v w' two words $HOME '[SECURE]'" or first.line.endswith("$HOME [SECURE]")
    assert second.line == "bash -e WORKDIR/N-EXECUTION-RUNNER-dispatch-script.sh 'v w' lit"
    assert second.script == "echo v w\n"
    assert second.environment["RD_OPTION_A"] == "v w"
    assert "swordfish" not in repr([first, second])


@pytest.mark.parametrize(
    ("strategy", "order"),
    [("node-first", ["1 n2", "2 n2", "1 n1", "2 n1"]), ("sequential", ["1 n2", "1 n1", "2 n2", "2 n1"])],
)
def test_steps_and_nodes_take_turns_as_the_engine_has_it(strategy: str, order: list[str]) -> None:
    job = f"""\
- name: x
  nodefilters: {{filter: "tags: web", dispatch: {{rankAttribute: rack}}}}
  sequence: {{strategy: {strategy}, commands: [{{exec: "true"}}, {{exec: "false"}}]}}
"""
    found = planned(job, nodes=NODES)
    assert [f"{each.place} {each.node}" for each in found] == order
    assert {each.executor for each in found} == {"ssh"}


def test_a_called_job_has_its_own_options_on_its_callers_nodes() -> None:
    job = """\
- name: x
  options: [{name: n, value: ann}]
  nodefilters: {filter: "tags: web"}
  sequence: {commands: [{jobref: {name: child, args: "-who ${option.n}", nodeStep: true}}]}
"""
    found = planned(job + CHILD, nodes=NODES)
    assert [(each.place, each.node, each.line) for each in found] == [
        ("1/1", "n1", "echo ann child n1"),
        ("1/1", "n2", "echo ann child n2"),
    ]


def test_a_called_job_that_no_file_has_is_named() -> None:
    with pytest.raises(RunbusError, match="child") as caught:
        planned("- name: x\n  sequence: {commands: [{jobref: {name: child}}]}\n")
    assert caught.value.code is ErrorCode.UNKNOWN_JOB


@pytest.mark.slow
def test_ten_thousand_nodes_are_planned() -> None:
    nodes = [Node(name=f"n{number}", tags=["web"]) for number in range(10_000)]
    job = "- name: x\n  nodefilters: {filter: 'tags: web'}\n  sequence: {commands: [{exec: 'echo ${node.name}'}]}\n"
    found = planned(job, nodes=nodes)
    assert len(found) == 10_000
    assert found[-1].line.startswith("echo n")


def test_handlers_follow_their_steps_and_references_to_what_only_a_run_knows_are_named() -> None:
    job = """\
- name: x
  options: [{name: a, value: v}]
  sequence:
    commands:
    - exec: echo ${data.first} ${option.a} ${HOME} ${2:data.z@web}
      errorhandler: {exec: "echo ${result.reason} ${option.none}"}
    - script: echo @option.a@ @data.second@ me@host.com
      args: ${data.third}
      errorhandler: {jobref: {name: child, args: -who me}}
    - {exec: never, enabled: false, errorhandler: {exec: neither}}
"""
    found = planned(job + CHILD)
    assert [(each.place, each.line) for each in found] == [
        ("1", "echo  v  "),
        ("1e", "echo  "),
        ("2", "WORKDIR/N-EXECUTION-RUNNER-dispatch-script.sh '${data.third}'"),
        ("2e/1", "echo me child RUNNER"),
    ]
    assert [each.unresolved for each in found] == [
        ["${data.first}", "${2:data.z@web}"],
        ["${result.reason}", "${option.none}"],
        ["@data.second@", "${data.third}"],
        [],
    ]
