"""Dispatchers that die: another one, or the same one again, knows what they accepted."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from schemas.catalog import RUN as _RUN
from schemas.states import ExecutionState
from tests.support.gate import Gate
from tests.support.parts import Part, ProgramPart
from tests.support.system import System, request
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


async def serving(part: Part) -> None:
    """Wait for one of several copies: the others answer whether or not it does."""
    assert isinstance(part, ProgramPart)
    await eventually(lambda: '"ready"' in part.program.log, what="it serves")


@pytest.mark.parametrize("successor", ["another", "restarted"])
async def test_what_a_killed_dispatcher_accepted_is_answered_by_its_successor(
    system: System, tmp_path: Path, successor: str
) -> None:
    system.start_registry()
    first = system.start_dispatcher(program=True, data_dir=str(tmp_path / "first"))
    await system.ready()
    system.start_runner("a1", "linux")
    await system.runners_ready("a1")
    with Gate(tmp_path) as gate:
        running = await system.start(gate.command, "linux", user="alice")
        waiting = await system.start("echo later", "windows", when_no_runner="wait")
        await system.kill(first)
        gate.open()
        if successor == "another":
            system.start_dispatcher()
        else:
            system.start_dispatcher(program=True, data_dir=str(tmp_path / "first"))
        await system.ready()
        ended = await system.end_of(running.id)
        assert (ended.state, ended.user) == (ExecutionState.SUCCEEDED, "alice")
        assert (await system.show(waiting.id)).state is ExecutionState.QUEUED
        system.start_runner("b1", "windows")
        assert (await system.end_of(waiting.id)).state is ExecutionState.SUCCEEDED


async def test_a_deadline_is_kept_by_the_successor(system: System) -> None:
    system.start_registry()
    first = system.start_dispatcher(program=True)
    await system.ready()
    queued = await system.start("true", "windows", when_no_runner="wait", deadline_s=1.0)
    await system.kill(first)
    system.start_dispatcher()
    await system.ready()
    assert (await system.end_of(queued.id)).state is ExecutionState.TIMEDOUT


@pytest.mark.slow
async def test_one_of_two_is_killed_and_no_request_with_an_id_is_lost_or_doubled(
    system: System, tmp_path: Path
) -> None:
    """The requester tries again under the same id until it has an answer."""
    system.start_registry()
    first = system.start_dispatcher(program=True)
    system.start_dispatcher()
    await system.ready()
    await serving(first)
    system.start_runner("a1", "linux", max_running=8)
    await system.runners_ready("a1")
    diary = tmp_path / "diary"

    async def insist(number: int) -> ExecutionState:
        ask = request(f"echo {number} >> {diary}", "linux", id=f"run-{number}", wait_s=1.0)

        async def ended() -> ExecutionState | None:
            try:
                view = await system.client.call(_RUN, ask, timeout_s=2.0)
            except Exception as error:  # noqa: BLE001
                assert getattr(error, "code", "") == "unavailable", error
                return None
            return view.state if view.state is not ExecutionState.QUEUED else None

        state = await eventually(ended, within_s=30.0, what="an answer")
        assert state is not None
        return state

    runs = [asyncio.ensure_future(insist(number)) for number in range(60)]
    await eventually(diary.exists, what="some have run")
    await system.kill(first)
    await asyncio.gather(*runs)
    for number in range(60):
        assert (await system.end_of(f"run-{number}")).state is ExecutionState.SUCCEEDED
    assert sorted(map(int, diary.read_text().split())) == list(range(60))


async def test_durable_requests_that_a_killed_dispatcher_had_in_hand_are_taken_by_another(
    system: System, tmp_path: Path
) -> None:
    system.start_registry()
    first = system.start_dispatcher(program=True, ack_wait_s=1.0)
    await system.ready()
    system.start_runner("a1", "linux")
    await system.runners_ready("a1")
    diary = tmp_path / "diary"
    for number in range(40):
        await system.client.submit(request(f"echo {number} >> {diary}", "linux", id=f"run-{number}"))
    await eventually(diary.exists, what="some have run")
    await system.kill(first)
    system.start_dispatcher(ack_wait_s=1.0)
    await system.ready()

    async def all_ran() -> bool:
        return len(diary.read_text().split()) >= 40

    await eventually(all_ran, within_s=15.0, what="all have run")
    assert sorted(map(int, diary.read_text().split())) == list(range(40))


async def test_a_frozen_dispatcher_holds_up_nobody_who_asks_again(system: System) -> None:
    system.start_registry()
    frozen = system.start_dispatcher(program=True)
    system.start_dispatcher()
    await system.ready()
    system.start_runner("a1", "linux")
    await system.runners_ready("a1")
    assert isinstance(frozen, ProgramPart)
    await serving(frozen)
    frozen.program.signal(signal.SIGSTOP)

    async def answered() -> bool:
        try:
            view = await system.client.call(_RUN, request("true", "linux", id="once", wait_s=1.0), timeout_s=1.5)
        except Exception as error:  # noqa: BLE001
            assert getattr(error, "code", "") == "unavailable", error
            return False
        return view.state is ExecutionState.SUCCEEDED

    await eventually(answered, within_s=20.0, what="the other one answers")
