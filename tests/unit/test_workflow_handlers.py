"""Error handlers of all kinds, what they see of the failure, and what they make of the workflow's end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ErrorCode
from schemas.jobs import Flow, Step, Strategy
from schemas.states import ExecutionState
from tests.support.workflows import Rig, a_rig, call, job, line, on, run, say, script

SUCCEEDED, FAILED = ExecutionState.SUCCEEDED, ExecutionState.FAILED
N, S, P = Strategy.NODE_FIRST, Strategy.SEQUENTIAL, Strategy.PARALLEL


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with a_rig(tmp_path) as opened:
        yield opened


def failing(handler: Step, *, code: int = 3) -> Step:
    return line(f"exit {code}", error_handler=handler)


KINDS = {
    "exec": run("echo handled"),
    "command": line("echo handled"),
    "script": script("echo handled"),
    "plugin": say("handled"),
    "jobref": call(),
    "node jobref": call(node_step=True),
}
CALLS = {"1e": job(run("echo handled"))}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize(("keepgoing", "clears"), [(False, False), (True, False), (False, True)])
async def test_a_handler_of_any_kind(rig: Rig, kind: str, strategy: Strategy, keepgoing: bool, clears: bool) -> None:
    handler = Step(**{**fields_of(KINDS[kind]), "keepgoing_on_success": clears})
    flow = Flow(strategy=strategy, keepgoing=keepgoing)
    ran = await rig.run(failing(handler), say("next"), flow=flow, calls=CALLS)
    assert "handled" in ran.lines
    assert ran.outcome("1e").state is SUCCEEDED
    assert ran.outcome("1e").handler
    goes_on = keepgoing or clears
    assert ran.end.state is (SUCCEEDED if goes_on else FAILED)
    if strategy is not P:
        assert ("next" in ran.lines) is goes_on
    if not goes_on:
        assert (ran.end.exit_code, ran.message) == (3, "step 1 (command) failed: exit code 3.")


def fields_of(step: Step) -> dict[str, Any]:
    return {name: getattr(step, name) for name in step.__struct_fields__}


async def test_what_a_handler_sees(rig: Rig) -> None:
    seen = "${result.reason}|${result.message}|${result.resultCode}|${result.failedNodes}"
    ran = await rig.run(failing(say(seen, keepgoing_on_success=True)), say("later ${result.reason}"))
    assert ran.lines == [
        "NonZeroResultCode|step 1 (command) failed: exit code 3.|3|a1",
        "later ${result.reason}",
    ]


async def test_what_a_handlers_process_sees(rig: Rig) -> None:
    ran = await rig.run(failing(script('echo "$RD_RESULT_REASON/@result.resultCode@"')))
    assert ran.lines == ["NonZeroResultCode/3"]


async def test_the_reason_of_a_plugin(rig: Rig) -> None:
    handler = say("${result.reason}|${result.message}")
    step = Step(plugin="failing", config={"say": "no way there"}, error_handler=handler)
    ran = await rig.run(step)
    assert ran.lines == ["ConnectionFailure|step 1 (failing): no way there"]
    assert ran.outcome("1").exit_code is None


async def test_a_handler_that_fails_too(rig: Rig) -> None:
    ran = await rig.run(failing(line("exit 5", keepgoing_on_success=True)), say("next"))
    assert ran.places == ["1", "1e"]
    assert (ran.end.state, ran.end.exit_code) == (FAILED, 3)


async def test_keepgoing_goes_on_behind_a_handler_that_fails(rig: Rig) -> None:
    ran = await rig.run(failing(line("exit 5")), say("next"), flow=Flow(keepgoing=True))
    assert ran.places == ["1", "1e", "2"]
    assert (ran.end.state, ran.end.exit_code) == (FAILED, 3)


async def test_a_handler_that_is_not_enabled_is_none(rig: Rig) -> None:
    ran = await rig.run(failing(say("x", enabled=False)))
    assert ran.places == ["1"]


async def test_a_failure_that_was_cleared_does_not_decide(rig: Rig) -> None:
    cleared = failing(say("x", keepgoing_on_success=True), code=9)
    ran = await rig.run(line("exit 4"), cleared, line("exit 6"), flow=Flow(keepgoing=True))
    assert ran.end.exit_code == 4
    assert ran.message == "step 1 (command) failed: exit code 4. One more failed: see the outcomes of the steps."


async def test_on_each_node_at_once(rig: Rig) -> None:
    step = line("test $RD_NODE_NAME = b", error_handler=say("handled ${node.name} of ${result.failedNodes}"))
    ran = await rig.run(step, **on("a", "b", "c", keepgoing=True))
    assert ran.places == ["1@a", "1e@a", "1@b", "1@c", "1e@c"]
    assert ran.lines == ["handled a of a", "handled c of c"]
    assert ran.end.nodes == {"failed": ["a", "c"], "succeeded": ["b"]}


async def test_on_all_nodes_that_failed_once_the_step_is_over(rig: Rig) -> None:
    handler = say("handled ${node.name} of ${result.failedNodes}", keepgoing_on_success=True)
    step = line("test $RD_NODE_NAME = b", error_handler=handler)
    ran = await rig.run(step, say("2"), **on("a", "b", "c", keepgoing=True, flow=Flow(strategy=S)))
    assert ran.places == ["1@a", "1@b", "1@c", "1e@a", "1e@c", "2@a", "2@b", "2@c"]
    assert ran.lines[:2] == ["handled a of a,c", "handled c of a,c"]
    assert ran.end.state is SUCCEEDED
    assert ran.end.nodes == {"succeeded": ["a", "b", "c"]}


async def test_a_handler_that_is_for_no_node_runs_once_for_all_that_failed(rig: Rig) -> None:
    handler = say("handled ${result.failedNodes}", node_step=False, keepgoing_on_success=True)
    step = line("test $RD_NODE_NAME = b", error_handler=handler)
    ran = await rig.run(step, say("2"), **on("a", "b", "c", keepgoing=True, flow=Flow(strategy=S)))
    assert ran.places == ["1@a", "1@b", "1@c", "1e", "2@a", "2@b", "2@c"]
    assert ran.lines[0] == "handled a,c"


async def test_a_node_step_handles_a_step_that_is_for_none_on_every_node(rig: Rig) -> None:
    step = call(step={"error_handler": say("handled by ${node.name}: ${result.reason}")})
    ran = await rig.run(step, calls={"1": job(line("exit 2"))}, **on("a", "b"))
    assert ran.places == ["1/1@a", "1", "1e@a", "1e@b"]
    assert ran.lines == ["handled by a: JobFailed", "handled by b: JobFailed"]


async def test_a_handler_whose_plugin_is_not_there(rig: Rig) -> None:
    ran = await rig.run(failing(run("true", log_filters=[])), say("x"))
    assert ran.outcome("1e").error is None
    missing = Step(plugin="none")
    with pytest.raises(AssertionError, match="handed back"):
        await rig.run(failing(missing))


async def test_the_called_jobs_failure_is_told_with_its_own_error(rig: Rig) -> None:
    ran = await rig.run(call(), calls={"1": job(line("exit 2"), name="deploy")})
    assert ran.outcome("1").reason == "JobFailed"
    assert ran.end.error is not None
    assert ran.end.error.code is ErrorCode.STEP_FAILED
    assert "step 1/1 (command) failed: exit code 2." in ran.message
