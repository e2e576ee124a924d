"""Executions that several runners serve, while runners and dispatchers die: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.api import RunRequest
from schemas.codec import encode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import AbortRequested
from schemas.jobs import Flow, Strategy
from schemas.states import ExecutionState, RunnerStatus
from services.dispatcher import losses, orchestrator, unserved
from services.dispatcher.handout import HandOut
from tests.support.automatic import automatic, diary_of, line, load, on_nodes, run, serve
from tests.support.gate import Gate
from tests.support.parts import Part, ProgramPart
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

SHORT: dict[str, Any] = {"beat_interval_s": 0.1, "unknown_after_s": 0.5, "down_after_s": 1.5}
SEQUENTIAL = Flow(strategy=Strategy.SEQUENTIAL)
LOST = ExecutionState.LOST


async def with_killable(system: System, **settings: Any) -> Part:
    """A system with runners ``r-a`` and ``r-b`` and their nodes, of which ``r-b`` can be killed."""
    await automatic(system, "a", **SHORT)
    runner = system.start_runner("r-b", program=True, **settings)
    await system.runners_ready("r-b")
    await load(system, {name: {"zone": name[0]} for name in ("a1", "a2", "b1", "b2")})
    await serve(system, "r-b", "zone: b")
    return runner


@pytest.mark.slow
@pytest.mark.parametrize("keepgoing", [False, True])
async def test_a_runner_killed_in_a_section_fails_its_nodes_and_keeps_the_others_results(
    system: System, tmp_path: Path, keepgoing: bool
) -> None:
    runner = await with_killable(system)
    begun, after = tmp_path / "begun", tmp_path / "after"
    flow = Flow(strategy=Strategy.SEQUENTIAL, keepgoing=keepgoing)
    stuck = line(f"echo $RD_NODE_NAME >> {begun}; [ $RD_NODE_ZONE = a ] || sleep 60")
    view = await system.client.run(on_nodes(stuck, line(f"echo $RD_NODE_NAME >> {after}"), flow=flow))
    await eventually(lambda: "b1" in diary_of(begun), what="r-b is at it")
    await system.kill(runner)
    ended = await system.end_of(view.id)
    assert ended.state is ExecutionState.FAILED
    assert ended.error is not None
    assert ended.error.code is ErrorCode.RUNNER_LOST
    assert ended.nodes == {"succeeded": ["a1", "a2"], "failed": ["b1", "b2"]}
    assert {part.runner: part.state for part in ended.parts}["r-b"] is LOST
    assert sorted(diary_of(after)) == (["a1", "a2"] if keepgoing else []), "nothing more is asked of lost nodes"


@pytest.mark.slow
async def test_a_runner_killed_while_its_assignment_waits_fails_its_nodes(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unserved, "PATIENCE_S", 0.2)
    monkeypatch.setattr(losses, "_LOOK_EVERY_S", 0.2)
    runner = await with_killable(system, max_running=1)
    with Gate(tmp_path) as gate:
        await system.start(gate.command, "@r-b")
        await eventually(lambda: gate.inside, what="r-b has all it may have")
        view = await system.client.run(on_nodes("true"))
        await eventually(lambda: view.id, what="it is there")
        await system.kill(runner)
        await system.runner_is("r-b", RunnerStatus.DOWN)
        ended = await system.end_of(view.id)
    assert ended.state is ExecutionState.FAILED
    assert ended.nodes == {"succeeded": ["a1", "a2"], "failed": ["b1", "b2"]}


async def test_what_a_dispatcher_said_and_did_not_hand_out_another_hands_out(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orchestrator, "LOOK_EVERY_S", 0.1)
    hand_out = HandOut.hand_out
    deaths: list[HandOut] = []

    async def dies_once(self: HandOut, *args: Any) -> None:
        if not deaths:
            deaths.append(self)
            raise RunbusError(ErrorCode.UNAVAILABLE, "died between the two, says the test")
        await hand_out(self, *args)

    monkeypatch.setattr(HandOut, "hand_out", dies_once)
    await automatic(system, "a", "b")
    system.start_dispatcher()
    diary = tmp_path / "diary"
    view = await run(system, on_nodes(line(f"echo $RD_NODE_NAME >> {diary}")))
    assert deaths
    assert view.state is ExecutionState.SUCCEEDED
    assert sorted(diary_of(diary)) == ["a1", "a2", "b1", "b2"]


async def test_an_abort_whose_dispatcher_died_is_carried_out(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orchestrator, "LOOK_EVERY_S", 0.1)
    await automatic(system, "a", "b", nodes=1)
    begun = tmp_path / "begun"
    view = await system.client.run(on_nodes(line(f"echo x >> {begun}; sleep 60")))
    await eventually(lambda: len(diary_of(begun)) == 2, what="both are at it")
    asked = AbortRequested(execution=view.id, project="default", at=datetime.now(UTC), user="bob")
    await system.bus.append(system.subjects.event("default", view.id, "0", "dispatcher"), encode(asked))
    ended = await system.end_of(view.id)
    assert ended.state is ExecutionState.ABORTED
    assert {part.state for part in ended.parts} == {ExecutionState.ABORTED}


async def serving(part: Part) -> None:
    assert isinstance(part, ProgramPart)
    await eventually(lambda: '"ready"' in part.program.log, within_s=20.0, what="it serves")


@pytest.mark.slow
async def test_one_of_two_dispatchers_is_killed_and_every_step_ran_once_on_every_node(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orchestrator, "LOOK_EVERY_S", 0.3)
    await automatic(system, "a", "b")
    second = system.start_dispatcher(program=True)
    await serving(second)
    diary = tmp_path / "diary"
    steps = [line(f"echo $RD_JOB_EXECID.{number}.$RD_NODE_NAME >> {diary}") for number in range(4)]

    async def one(number: int) -> None:
        request = msgspec.structs.replace(on_nodes(*steps, flow=SEQUENTIAL), id=f"e{number}")
        await insisted(system, request)

    runs = asyncio.gather(*map(one, range(12)))
    await eventually(lambda: len(diary_of(diary)) > 20, what="some have run")
    await system.kill(second)
    await runs
    for number in range(12):
        assert (await system.end_of(f"e{number}")).state is ExecutionState.SUCCEEDED
    wanted = {f"e{run}.{step}.{node}" for run in range(12) for step in range(4) for node in ("a1", "a2", "b1", "b2")}
    assert Counter(diary_of(diary)) == Counter(wanted)


async def insisted(system: System, request: RunRequest) -> None:
    """Ask until somebody has accepted it."""

    async def accepted() -> bool:
        try:
            await system.client.run(request)
        except RunbusError as error:
            assert error.code is ErrorCode.UNAVAILABLE, error.message
            return False
        return True

    await eventually(accepted, within_s=20.0, what="it is accepted")


async def test_a_ledger_that_was_deleted_tells_the_same_again(system: System) -> None:
    dispatcher = await automatic(system, "a", "b")
    before = [
        await run(system, on_nodes("true", line("true", node_step=False), flow=SEQUENTIAL)),
        await run(system, on_nodes(line("[ $RD_NODE_NAME != a1 ]"), "true", flow=SEQUENTIAL)),
    ]
    await system.stop(dispatcher)
    for path in system.directory.glob("dispatcher-*"):
        shutil.rmtree(path)
    system.start_dispatcher()
    await system.ready()
    assert [await system.show(view.id) for view in before] == before
