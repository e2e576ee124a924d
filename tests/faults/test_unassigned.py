"""A dispatcher that dies between storing what it accepted and handing it on: the others do that for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.codec import encode
from schemas.events import ExecutionQueued
from schemas.jobs import Step
from schemas.states import ExecutionState
from services.dispatcher import unassigned
from tests.support.parts import ProgramPart
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unassigned, "_LOOK_EVERY_S", 0.1)


async def left_behind(system: System, name: str, command: str, *, deadline_s: float | None = None) -> None:
    """What a dispatcher leaves that is killed right behind the event."""
    now = datetime.now(UTC)
    queued = ExecutionQueued(
        execution=name, project="default", at=now, title="x", set="linux",
        steps=[Step(plugin="command", config={"command": command})],
        deadline_at=now + timedelta(seconds=deadline_s) if deadline_s else None,
    )  # fmt: skip
    await system.bus.append(system.subjects.event("default", name, "0", "dispatcher"), encode(queued))


@pytest.mark.parametrize("copies", [1, 2])
async def test_what_was_queued_and_not_handed_on_runs_once(system: System, tmp_path: Path, copies: int) -> None:
    await system.up("a1:linux")
    for _ in range(copies - 1):
        system.start_dispatcher()
    await left_behind(system, "orphan", f"echo x >> {tmp_path}/diary")
    assert (await system.end_of("orphan")).state is ExecutionState.SUCCEEDED
    assert (tmp_path / "diary").read_text() == "x\n"

    async def queue_is_empty() -> bool:
        return await system.count(system.subjects.jobs_stream) == 0

    await eventually(queue_is_empty, what="the queue is empty")


async def test_a_dispatcher_that_starts_later_hands_it_on(system: System, tmp_path: Path) -> None:
    system.start_registry()
    first = system.start_dispatcher(program=True)
    await system.ready()
    assert isinstance(first, ProgramPart)
    await system.kill(first)
    await left_behind(system, "orphan", "true")
    system.start_dispatcher(data_dir=str(tmp_path / "other"))
    await system.ready()
    system.start_runner("a1", "linux")
    await system.runners_ready("a1")
    assert (await system.end_of("orphan")).state is ExecutionState.SUCCEEDED


async def test_nobody_takes_it_and_its_deadline_leaves_nothing_in_the_queue(system: System) -> None:
    await system.up()
    await left_behind(system, "orphan", "true", deadline_s=0.8)

    async def handed_on() -> bool:
        return await system.count(system.subjects.jobs_stream) == 1

    await eventually(handed_on, what="it waits for a runner")
    assert (await system.end_of("orphan")).state is ExecutionState.TIMEDOUT
    assert await system.count(system.subjects.jobs_stream) == 0


async def test_a_long_queue_is_neither_doubled_nor_lost(system: System) -> None:
    await system.up()
    started = [await system.start("true", "linux", when_no_runner="wait") for _ in range(100)]
    for number in range(20):
        await left_behind(system, f"orphan-{number}", "true")

    async def all_wait() -> bool:
        return await system.count(system.subjects.jobs_stream) == 120

    await eventually(all_wait, what="one message each")
    system.start_runner("a1", "linux")
    for view in started:
        assert (await system.end_of(view.id)).attempt == 1
    for number in range(20):
        assert (await system.end_of(f"orphan-{number}")).state is ExecutionState.SUCCEEDED
        events = await system.events(f"orphan-{number}")
        assert [name for _, name in events].count("runbus.assignment_started.v1") == 1
