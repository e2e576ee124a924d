"""Workflows over several nodes: order, threads, failures, environment and data of each, and what the end says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ErrorCode
from schemas.events import Dispatch
from schemas.jobs import Flow, JobRef, Step, Strategy
from schemas.nodes import Node
from schemas.states import ExecutionState
from tests.support.workflows import CAPTURE, Ran, Rig, a_rig, line, local_nodes, on, run, say, script

SUCCEEDED, FAILED = ExecutionState.SUCCEEDED, ExecutionState.FAILED
N, S, P = Strategy.NODE_FIRST, Strategy.SEQUENTIAL, Strategy.PARALLEL


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with a_rig(tmp_path) as opened:
        yield opened


def nodes_at_a_time(directory: Path) -> Step:
    """Notes how many run at once."""
    mine = f"{directory}/on-$RD_NODE_NAME"
    return script(f"touch {mine}; ls {directory} | grep -c on-; sleep 0.05; rm {mine}")


@pytest.mark.parametrize(
    ("strategy", "places"),
    [(N, "1@a 2@a 1@b 2@b"), (S, "1@a 1@b 2@a 2@b")],
)
async def test_the_order_of_nodes_and_steps(rig: Rig, strategy: Strategy, places: str) -> None:
    ran = await rig.run(say("1"), say("2"), **on("a", "b", flow=Flow(strategy=strategy)))
    assert " ".join(ran.places) == places
    assert ran.end.nodes == {"succeeded": ["a", "b"]}


async def test_threads_are_so_many_and_no_more(rig: Rig, tmp_path: Path) -> None:
    place = tmp_path / "marks"
    place.mkdir()
    ran = await rig.run(nodes_at_a_time(place), **on(*"abcdefgh", threads=3))
    counts = [int(each) for each in ran.lines]
    assert ran.end.state is SUCCEEDED
    assert len(counts) == 8
    assert max(counts) in (2, 3)


@pytest.mark.parametrize(
    ("strategy", "threads", "keepgoing", "nodes"),
    [
        (N, 1, False, {"succeeded": ["a"], "failed": ["b"], "not_run": ["c", "d"]}),
        (S, 1, False, {"succeeded": ["a"], "failed": ["b"], "not_run": ["c", "d"]}),
        (S, 2, False, {"succeeded": ["a", "c", "d"], "failed": ["b"]}),
        (N, 1, True, {"succeeded": ["a", "c", "d"], "failed": ["b"]}),
        (N, 4, False, {"succeeded": ["a", "c", "d"], "failed": ["b"]}),
        (P, 1, True, {"succeeded": ["a", "c", "d"], "failed": ["b"]}),
    ],
)
async def test_one_node_fails(
    rig: Rig, strategy: Strategy, threads: int, keepgoing: bool, nodes: dict[str, list[str]]
) -> None:
    step = line("test $RD_NODE_NAME != b || exit 7")
    dispatch = on("a", "b", "c", "d", threads=threads, keepgoing=keepgoing, flow=Flow(strategy=strategy))
    ran = await rig.run(step, **dispatch)
    assert ran.end.nodes == nodes
    assert (ran.end.state, ran.end.exit_code) == (FAILED, 7)
    assert ran.message == "step 1 (command) on node b failed: exit code 7."


async def test_the_first_failure_is_named_and_the_others_counted(rig: Rig) -> None:
    ran = await rig.run(line("exit 2"), **on(*"abcd", keepgoing=True))
    assert ran.message == (
        "step 1 (command) on node a failed: exit code 2. 3 more failed: see the outcomes of the steps."
    )
    assert ran.end.nodes == {"failed": ["a", "b", "c", "d"]}
    assert {each.reason for each in ran.end.steps} == {"NonZeroResultCode"}


async def test_a_failed_node_is_left_out_of_later_sections(rig: Rig) -> None:
    steps = [line("test $RD_NODE_NAME != a"), say("once", node_step=False), say("on ${node.name}")]
    ran = await rig.run(*steps, **on("a", "b", keepgoing=True, flow=Flow(keepgoing=True)))
    assert ran.places == ["1@a", "1@b", "2", "3@b"]
    assert ran.end.state is FAILED
    assert ran.end.nodes == {"failed": ["a"], "succeeded": ["b"]}


async def test_the_runner_itself_chosen_by_a_filter_is_a_node_like_others(rig: Rig) -> None:
    """Runner as a node: what it is called decides, not how it is reached."""
    own = Node(name="a1", attributes={"hostname": "a1"})
    ran = await rig.run(run("echo ${node.username}"), dispatch=Dispatch(nodes=[own], filter="a1"))
    assert ran.places == ["1@a1"]
    assert ran.end.nodes == {"succeeded": ["a1"]}
    assert ran.entries[0].node == "a1"


async def test_without_a_filter_nothing_is_told_of_nodes(rig: Rig) -> None:
    ran = await rig.run(run("echo ${node.name}"))
    assert ran.places == ["1"]
    assert (ran.end.nodes, ran.entries[0].node, ran.output()) == ({}, "", "a1\n")


async def test_steps_that_are_not_enabled(rig: Rig) -> None:
    ran = await rig.run(say("1", enabled=False), say("2"), say("3", enabled=False))
    assert ran.places == ["2"]
    assert (await rig.run(say("1", enabled=False))).end.state is SUCCEEDED


async def test_no_nodes(rig: Rig) -> None:
    ran = await rig.run(say("1"), dispatch=Dispatch(nodes=[], filter="tags: none"))
    assert ran.end.state is FAILED
    assert ran.end.error is not None
    assert ran.end.error.code is ErrorCode.NO_MATCHED_NODES
    assert ran.message == "No matched nodes: no node of project p matches 'tags: none'."


async def test_no_nodes_where_that_is_well(rig: Rig) -> None:
    ran = await rig.run(say("1"), dispatch=Dispatch(nodes=[], filter="tags: none", success_on_empty=True))
    assert (ran.end.state, ran.end.exit_code, ran.end.steps) == (SUCCEEDED, 0, [])


@pytest.mark.parametrize("strategy", Strategy)
async def test_what_ends_by_a_signal(rig: Rig, strategy: Strategy) -> None:
    ran = await rig.run(line("kill -9 $$"), **on("a", flow=Flow(strategy=strategy)))
    assert (ran.end.exit_code, ran.end.signal) == (None, "SIGKILL")
    assert ran.message == "step 1 (command) on node a failed: ended by SIGKILL."


# environment

JOB = JobRef(uuid="u-1", name="the job", group="a/b")


def environment_of(ran: Ran, node: str = "") -> dict[str, str]:
    text = ran.output(node=node)
    return dict(re.findall(r"^(RD_\w+)=(.*)$", text, re.MULTILINE))


async def test_the_environment_on_the_runner(rig: Rig) -> None:
    context = {"option": {"my-name": "v", "many": "a,b", "many.delimiter": ","}, "globals": {"zone": "eu"}}
    ran = await rig.run(line("env"), job=JOB, context=context, log_level="DEBUG")
    env = environment_of(ran)
    assert {name: env.get(name) for name in ENVIRONMENT} == ENVIRONMENT
    for name in ("HOSTNAME", "OS_NAME", "OS_VERSION", "OS_ARCH", "OS_FAMILY", "USERNAME", "DESCRIPTION", "TAGS"):
        assert env.get(f"RD_NODE_{name}"), name


ENVIRONMENT = {
    "RD_OPTION_MY_NAME": "v",
    "RD_OPTION_MANY": "a,b",
    "RD_OPTION_MANY_DELIMITER": ",",
    "RD_GLOBALS_ZONE": "eu",
    "RD_JOB_NAME": "the job",
    "RD_JOB_GROUP": "a/b",
    "RD_JOB_ID": "u-1",
    "RD_JOB_EXECID": "e1",
    "RD_JOB_EXECUTIONTYPE": "user",
    "RD_JOB_PROJECT": "p",
    "RD_JOB_USERNAME": "ann",
    "RD_JOB_USER_NAME": "ann",
    "RD_JOB_LOGLEVEL": "DEBUG",
    "RD_JOB_RETRYATTEMPT": "0",
    "RD_JOB_RETRYINITIALEXECID": "0",
    "RD_JOB_RETRYPREVEXECID": "0",
    "RD_JOB_WASRETRY": "false",
    "RD_JOB_THREADCOUNT": "1",
    "RD_NODE_NAME": "a1",
}


async def test_the_environment_of_each_node(rig: Rig) -> None:
    nodes = [*local_nodes("a", zone="eu"), *local_nodes("b", **{"os-thing": "x"})]
    dispatch = Dispatch(nodes=nodes, filter="tags: web", threads=2, success_on_empty=True)
    ran = await rig.run(line("env"), dispatch=dispatch, context={"option": {"x": "1"}})
    one, other = environment_of(ran, "a"), environment_of(ran, "b")
    assert (one["RD_NODE_NAME"], one["RD_NODE_ZONE"], one.get("RD_NODE_OS_THING")) == ("a", "eu", None)
    assert (other["RD_NODE_NAME"], other.get("RD_NODE_ZONE"), other["RD_NODE_OS_THING"]) == ("b", None, "x")
    assert one["RD_OPTION_X"] == other["RD_OPTION_X"] == "1"
    assert (one["RD_JOB_FILTER"], one["RD_JOB_THREADCOUNT"]) == ("tags: web", "2")
    assert one["RD_JOB_SUCCESSONEMPTYNODEFILTER"] == "true"
    assert (one["RD_NODE_TAGS"], one["RD_NODE_HOSTNAME"], one["RD_NODE_USERNAME"]) == ("web", "127.0.0.1", "")


# data

CAPTURING = {"log_filters": [CAPTURE]}


def data(text: str) -> Step:
    return line(f'echo "RUNDECK:DATA:{text}"', **CAPTURING)


async def test_data_for_later_steps_on_the_same_node(rig: Rig) -> None:
    steps = [
        data("x=$RD_NODE_NAME-1"),
        run("echo ${data.x}"),
        script("echo $RD_DATA_X @data.x@"),
        say("${data.x}"),
    ]
    for strategy in (N, S):
        ran = await rig.run(*steps, **on("a", "b", flow=Flow(strategy=strategy)))
        for node in "ab":
            own = f"{node}-1"
            assert ran.output(node=node).splitlines()[1:] == [own, f"{own} {own}", own]


async def test_data_of_other_nodes_only_where_they_are_named(rig: Rig) -> None:
    steps = [
        line('test $RD_NODE_NAME = b || echo "RUNDECK:DATA:x=$RD_NODE_NAME-1"', **CAPTURING),
        data("x=$RD_NODE_NAME-2"),
        line('test $RD_NODE_NAME = c || echo "RUNDECK:DATA:only=$RD_NODE_NAME"', **CAPTURING),
        run(
            "echo own=${data.only} a=${data.only@a} one=${1:data.x@a} two=${2:data.x@a} all=${data.x*} "
            "none=${4:data.x@a}"
        ),
        script("echo $RD_DATA_ONLY @data.only/a@ @1:data.x/a@"),
    ]  # fmt: skip
    ran = await rig.run(*steps, **on("a", "b", "c", flow=Flow(strategy=S)))
    last = {node: ran.output(node=node).splitlines()[-2:] for node in "abc"}
    shared = "a=a one=a-1 two=a-2 all=a-2,b-2,c-2 none="
    assert last == {
        "a": [f"own=a {shared}", "a a a-1"],
        "b": [f"own=b {shared}", "b a a-1"],
        "c": [f"own= {shared}", "a a-1"],
    }


async def test_data_of_a_step_that_is_for_no_node_holds_everywhere(rig: Rig) -> None:
    steps = [
        say("RUNDECK:DATA:x=1", node_step=False, **CAPTURING),
        run("echo ${data.x} ${1:data.x}"),
        script("echo $RD_DATA_X"),
        say("${data.x}", node_step=False),
    ]
    ran = await rig.run(*steps, **on("a", "b"))
    assert ran.lines[1:] == ["1 1", "1", "1 1", "1", "1"]


async def test_a_filter_of_the_workflow_is_one_of_every_step(rig: Rig) -> None:
    flow = Flow(log_filters=[CAPTURE])
    ran = await rig.run(
        line("echo RUNDECK:DATA:x=1"), line("echo RUNDECK:DATA:y=2"), say("${data.x}${data.y}"), flow=flow
    )
    assert ran.lines[-1] == "12"


async def test_a_filter_whose_settings_are_wrong_fails_the_job_before_anything_runs(rig: Rig) -> None:
    bad = type(CAPTURE)(type="key-value-data", config={"regex": "("})
    ran = await rig.run(say("1"), say("2", log_filters=[bad]))
    assert (ran.end.state, ran.end.steps) == (FAILED, [])
    assert ran.end.error is not None
    assert ran.end.error.code is ErrorCode.INVALID_JOB


async def test_data_that_earlier_assignments_found(rig: Rig) -> None:
    found = {"@": {"data": {"everywhere": "1"}}, "@a": {"data": {"x": "2"}}, "1@a": {"data": {"x": "2"}}}
    step = run("echo ${data.everywhere} ${data.x} ${1:data.x@a} ${data.x@a}")
    ran = await rig.run(step, data=found, first_step=2, **on("a", "b"))
    assert ran.lines == ["1 2 2 2", "1 2 2"]
    assert ran.places == ["2@a", "2@b"]


async def test_what_a_part_found_is_told_at_its_end(rig: Rig) -> None:
    ran = await rig.run(data("x=$RD_NODE_NAME"), part=True, first_step=4, **on("a", "b"))
    assert ran.end.data == {
        "4@a": {"data": {"x": "a"}}, "@a": {"data": {"x": "a"}},
        "4@b": {"data": {"x": "b"}}, "@b": {"data": {"x": "b"}},
    }  # fmt: skip


async def test_a_failure_that_no_exit_code_tells_is_told_in_the_log_of_its_node(rig: Rig) -> None:
    step = Step(plugin="failing", config={"say": "nobody is there."}, error_handler=line("exit 3"))
    ran = await rig.run(step, **on("a", "b", keepgoing=True))
    for node in ("a", "b"):
        assert ran.output("runner", node=node) == "Failed: ConnectionFailure: nobody is there.\n"


def test_a_part_for_no_node_keeps_the_nodes_that_a_called_job_needs() -> None:
    from services.runner.prepare import share_of  # noqa: PLC0415
    from tests.support.workflows import an_assignment  # noqa: PLC0415

    fields: dict[str, Any] = on("a", "b")
    plan = an_assignment(say("1"), say("2", node_step=False), say("3"), **fields)
    part = an_assignment(assignment="2", only_nodes=[], only_steps=(2, 2), part=True)
    share = share_of(plan, part)
    assert (share.first_step, [step.node_step for step in share.steps]) == (2, [False])
    assert share.dispatch is not None
    assert [node.name for node in share.dispatch.nodes] == ["a", "b"]
    named = share_of(plan, an_assignment(assignment="3", only_nodes=["b"], only_steps=(3, 3), part=True))
    assert named.dispatch is not None
    assert [node.name for node in named.dispatch.nodes] == ["b"]
