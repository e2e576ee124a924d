"""Automatic dispatch: the nodes of one execution divided among runners, section by section."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbus.client import LogPiece
from schemas import catalog
from schemas.api import AbortRequest, ExecutionView
from schemas.errors import ErrorCode
from schemas.jobs import Flow, LogFilter, Strategy
from schemas.states import ExecutionState
from tests.support.automatic import automatic, diary_of, exec_step, line, load, on_nodes, run, serve
from tests.support.system import System, output_of, refused
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

SEQUENTIAL = Flow(strategy=Strategy.SEQUENTIAL)
KEEPGOING = Flow(keepgoing=True)
GOOD, BAD = ExecutionState.SUCCEEDED, ExecutionState.FAILED


def by_runner(view: ExecutionView) -> dict[str, set[str]]:
    """The steps of an execution's parts, as ``1-2``, by the runner that carried them out."""
    found: dict[str, set[str]] = {}
    for part in view.parts:
        found.setdefault(part.runner, set()).add("-".join(map(str, part.steps)))
    return found


async def test_two_runners_and_the_local_runner_serve_one_execution(system: System, tmp_path: Path) -> None:
    await automatic(system, "a", "b")
    await load(system, {name: {"zone": name[0]} for name in ("a1", "a2", "b1", "b2", "c1")})
    diary = tmp_path / "diary"
    view = await run(system, on_nodes(line(f"echo $RD_NODE_NAME >> {diary}; echo on $RD_NODE_NAME")))
    assert (view.state, view.error) == (GOOD, None)
    assert view.nodes == {"succeeded": ["a1", "a2", "b1", "b2", "c1"]}
    assert by_runner(view) == {"r-a": {"1-1"}, "r-b": {"1-1"}, "local": {"1-1"}}
    assert view.division == {"=40r-a": ["a1", "a2"], "=40r-b": ["b1", "b2"], "local": ["c1"]}
    assert sorted(diary_of(diary)) == ["a1", "a2", "b1", "b2", "c1"]
    assert set(view.runner.split(", ")) == {"r-a", "r-b", "local"}
    assert (view.exit_code, view.node_count) == (0, 5)
    assert sorted(output_of(await system.log(view.id)).decode().splitlines()) == [
        f"on {name}" for name in ("a1", "a2", "b1", "b2", "c1")
    ]


async def test_in_sequential_a_barrier_stands_behind_each_step(system: System, tmp_path: Path) -> None:
    await automatic(system, "a", "b")
    diary = tmp_path / "diary"
    slow = line(f"[ $RD_NODE_ZONE = a ] && sleep 0.3; echo 1 >> {diary}")
    view = await run(system, on_nodes(slow, line(f"echo 2 >> {diary}"), line(f"echo 3 >> {diary}"), flow=SEQUENTIAL))
    assert view.state is GOOD
    assert diary_of(diary) == ["1"] * 4 + ["2"] * 4 + ["3"] * 4
    assert [(part.section, part.steps) for part in view.parts] == [
        (0, (1, 1)), (0, (1, 1)), (1, (2, 2)), (1, (2, 2)), (2, (3, 3)), (2, (3, 3))
    ]  # fmt: skip
    assert [outcome.step for outcome in view.outcomes] == [1] * 4 + [2] * 4 + [3] * 4


async def test_in_node_first_no_barrier_stands_within_a_section(system: System, tmp_path: Path) -> None:
    await automatic(system, "a", "b", nodes=1)
    gate = tmp_path / "gate"
    first = line(f"[ $RD_NODE_ZONE = b ] || until [ -e {gate} ]; do sleep 0.02; done")
    second = line(f"[ $RD_NODE_ZONE = a ] || touch {gate}")
    view = await run(system, on_nodes(first, second))
    assert view.state is GOOD, "the other runner's second step lets this one's first step end"


async def test_in_parallel_all_steps_run_at_once(system: System, tmp_path: Path) -> None:
    await automatic(system, "a", "b", nodes=1)
    gate = tmp_path / "gate"
    flow = Flow(strategy=Strategy.PARALLEL)
    view = await run(
        system, on_nodes(line(f"until [ -e {gate} ]; do sleep 0.02; done"), line(f"touch {gate}"), flow=flow)
    )
    assert view.state is GOOD
    assert len(view.parts) == 4


async def test_a_step_for_no_node_runs_once_between_two_sections(system: System, tmp_path: Path) -> None:
    await automatic(system, "a", "b")
    diary = tmp_path / "diary"
    once = line(f"echo once >> {diary}", node_step=False)
    view = await run(system, on_nodes(line(f"echo x >> {diary}"), once, line(f"echo y >> {diary}")))
    assert view.state is GOOD
    assert diary_of(diary) == ["x"] * 4 + ["once"] + ["y"] * 4
    (workflow,) = [part for part in view.parts if part.node_count == 0]
    assert (workflow.runner, workflow.steps) == ("local", (2, 2))
    assert view.nodes == {"succeeded": ["a1", "a2", "b1", "b2"]}


async def test_a_failed_node_fails_the_execution_and_others_keep_their_results(
    system: System, tmp_path: Path
) -> None:
    await automatic(system, "a", "b")
    diary = tmp_path / "diary"
    view = await run(
        system, on_nodes(line("[ $RD_NODE_NAME != a1 ] || exit 7"), line(f"echo y >> {diary}"), flow=SEQUENTIAL)
    )
    assert (view.state, view.exit_code) == (BAD, 7)
    assert view.error is not None
    assert view.error.code is ErrorCode.STEP_FAILED
    assert view.nodes == {"failed": ["a1"], "not_run": ["a2"], "succeeded": ["b1", "b2"]}
    assert diary_of(diary) == []


async def test_with_keepgoing_of_nodes_failed_ones_are_left_out_of_later_sections(
    system: System, tmp_path: Path
) -> None:
    await automatic(system, "a", "b")
    diary = tmp_path / "diary"
    steps = (
        line("[ $RD_NODE_NAME != a1 ] || exit 7"), line("true", node_step=False),
        line(f"echo $RD_NODE_NAME >> {diary}"),
    )  # fmt: skip
    view = await run(system, on_nodes(*steps, flow=KEEPGOING, nodes={"keepgoing": True}))
    assert view.state is BAD, "it has failed all the same"
    assert sorted(diary_of(diary)) == ["a2", "b1", "b2"]
    assert view.nodes == {"failed": ["a1"], "succeeded": ["a2", "b1", "b2"]}
    assert [part.left_out for part in view.parts if part.section == 2] == [["a1"], []]


async def test_a_workflow_that_keeps_going_goes_on_with_all_nodes_where_they_do_not(
    system: System, tmp_path: Path
) -> None:
    await automatic(system, "a", "b", nodes=1)
    diary = tmp_path / "diary"
    flow = Flow(strategy=Strategy.SEQUENTIAL, keepgoing=True)
    view = await run(system, on_nodes(line("[ $RD_NODE_NAME != a1 ]"), line(f"echo y >> {diary}"), flow=flow))
    assert (view.state, diary_of(diary)) == (BAD, ["y", "y"])


async def test_where_filters_overlap_the_nodes_are_spread_by_load(system: System) -> None:
    await automatic(system, "a", "b", nodes=1)
    await load(system, {f"n{number}": {} for number in range(8)})
    for runner in ("r-a", "r-b"):
        await serve(system, runner, "name: n.*")
    view = await run(system, on_nodes("true"))
    assert sorted((part.runner, part.node_count) for part in view.parts) == [("r-a", 4), ("r-b", 4)]


async def test_data_of_one_section_is_there_in_the_next_on_any_runner(system: System) -> None:
    await automatic(system, "a", "b", nodes=1)
    found = line(
        "echo RUNDECK:DATA:who=$RD_NODE_NAME",
        log_filters=[LogFilter(type="key-value-data", config={"regex": r"^RUNDECK:DATA:\s*([^\s]+?)\s*=\s*(.+)$"})],
    )
    told = exec_step("echo ${data.who@a1} and ${data.who@b1}, here ${data.who}")
    view = await run(system, on_nodes(found, told, flow=SEQUENTIAL))
    assert view.state is GOOD
    lines = set(output_of(await system.log(view.id)).decode().splitlines())
    assert {"a1 and b1, here a1", "a1 and b1, here b1"} <= lines


async def test_an_abort_ends_all_parts(system: System, tmp_path: Path) -> None:
    await automatic(system, "a", "b", nodes=1)
    begun, after = tmp_path / "begun", tmp_path / "after"
    view = await system.client.run(
        on_nodes(line(f"echo x >> {begun}; sleep 60"), line(f"touch {after}"), flow=SEQUENTIAL)
    )
    await eventually(lambda: len(diary_of(begun)) == 2, what="both runners are at it")
    ended = await system.client.call(
        catalog.ABORT, AbortRequest(execution=view.id, user="bob", reason="enough"), timeout_s=20.0
    )
    assert ended.state is ExecutionState.ABORTED
    assert {part.state for part in ended.parts} == {ExecutionState.ABORTED}
    assert ended.error is not None
    assert "bob" in ended.error.message
    assert ended.nodes == {"failed": ["a1", "b1"]}
    assert not after.exists()


async def test_a_limit_holds_over_all_sections(system: System) -> None:
    await automatic(system, "a", "b", nodes=1)
    view = await run(system, on_nodes("sleep 0.6", "sleep 0.6", "sleep 0.6", flow=SEQUENTIAL, timeout_s=1.0))
    assert view.state is ExecutionState.TIMEDOUT
    assert max(part.section for part in view.parts) == 1
    assert view.duration_s is not None
    assert 0.9 < view.duration_s < 3.0


async def test_a_deadline_ends_all_parts(system: System) -> None:
    await automatic(system, "a", "b", nodes=1)
    view = await run(system, on_nodes("sleep 60", flow=SEQUENTIAL, deadline_s=1.0))
    assert view.state is ExecutionState.TIMEDOUT
    assert view.error is not None
    assert {part.state for part in view.parts} == {ExecutionState.TIMEDOUT}
    assert "deadline" in view.error.message


async def test_one_follow_has_the_log_of_all_parts_in_order_per_node(system: System) -> None:
    await automatic(system, "a", "b")
    loop = line("for i in 1 2 3 4 5; do echo $RD_NODE_NAME $i; done")
    view = await system.client.run(on_nodes(loop, loop, flow=SEQUENTIAL))
    items = [item async for item in system.client.follow("default", view.id)]
    assert isinstance(items[-1], ExecutionView)
    assert items[-1].state is GOOD, "the follow ends with the execution"
    pieces = [item for item in items if isinstance(item, LogPiece)]
    entries = [entry for piece in pieces for entry in piece.entries if entry.stream == "stdout"]
    for node in ("a1", "a2", "b1", "b2"):
        text = "".join(entry.text for entry in entries if entry.node == node)
        assert text.split("\n")[:-1] == [f"{node} {i}" for i in (1, 2, 3, 4, 5)] * 2


async def test_nobody_to_serve_a_node_or_a_step_is_said_at_once(system: System) -> None:
    await automatic(system, "a", local=False)
    assert (await run(system, on_nodes("true"))).state is GOOD
    once = line("true", node_step=False)
    error = await refused(ErrorCode.NO_RUNNER, lambda: run(system, on_nodes("true", once)))
    assert "No Local Runner" in error.message
    await load(system, {"a1": {"zone": "a"}, "c1": {"zone": "c"}})
    error = await refused(ErrorCode.NO_RUNNER, lambda: run(system, on_nodes("true")))
    assert "No Local Runner" in error.message


async def test_the_plan_is_gone_from_the_bus_when_the_execution_has_ended(system: System) -> None:
    await automatic(system, "a", "b")
    view = await run(system, on_nodes("true"))

    async def gone() -> bool:
        return await system.count(system.subjects.parcels_bucket) == 0

    await eventually(gone, what="no parcel is left")
    system.start_dispatcher(data_dir=str(system.directory / "another"))

    async def same() -> bool:
        assert await system.show(view.id) == view
        return True

    await eventually(same, what="both dispatchers tell the same")


@pytest.mark.slow
async def test_a_lost_plan_ends_the_execution_with_the_reason(system: System) -> None:
    await automatic(system, "a", nodes=1)
    view = await system.client.run(on_nodes("sleep 1", "true", flow=SEQUENTIAL))
    await system.state_is(view.id, ExecutionState.RUNNING)
    await system.bus.js.purge_stream(system.subjects.parcels_bucket)
    system.start_dispatcher()
    ended = await system.end_of(view.id)
    assert ended.state is not GOOD
    assert ended.error is not None
    assert ended.error.code is ErrorCode.PARCEL_LOST
