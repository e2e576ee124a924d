"""With somebody subscribed to ``>`` the server never says that nobody listens: the ordinary life goes on."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest

from schemas import catalog
from schemas.api import AbortRequest, ExecutionView, RunnerTagsRequest
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.keys import KeyListRequest
from schemas.states import ExecutionState, RunnerStatus
from tests.integration.test_keys import answers
from tests.integration.test_node_sources import nodes_script, put, refresh, script_source
from tests.support.gate import Gate
from tests.support.keydirs import key_files
from tests.support.parts import ProgramPart, TaskPart
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
async def tapped(own_system: System) -> AsyncIterator[System]:
    """A bus on which an operator does ``nats sub '>'``, before anything is started."""
    tap = await nats.connect(own_system.url)

    async def see(_message: object) -> None:
        """Look, and say nothing."""

    await tap.subscribe(">", cb=see)
    await tap.flush()
    yield own_system
    await tap.close()


async def refused_as_taken(system: System, name: str) -> None:
    part = system.start_runner(name, "linux")
    assert isinstance(part, TaskPart)
    system.forget(part)
    with pytest.raises(RunbusError) as caught:
        await part.ended()
    assert caught.value.code is ErrorCode.RUNNER_ID_TAKEN, caught.value.message


async def test_runners_start_and_a_second_live_one_is_refused(tapped: System) -> None:
    await tapped.up("local", "a1:linux")
    instance = (await tapped.ping("a1")).instance
    await refused_as_taken(tapped, "a1")
    assert (await tapped.ping("a1")).instance == instance
    assert (await tapped.run("true", "linux")).state is ExecutionState.SUCCEEDED


async def test_one_that_left_is_back_at_once(tapped: System) -> None:
    await tapped.up()
    part = tapped.start_runner("a1", "linux")
    await tapped.runners_ready("a1")
    assert await tapped.stop(part) == 0
    await tapped.runner_is("a1", RunnerStatus.DOWN)
    started_s = time.monotonic()
    tapped.start_runner("a1", "linux")
    await tapped.runners_ready("a1")
    assert time.monotonic() - started_s < 6.0


async def test_the_id_of_a_killed_runner_is_free_once_its_beats_are_missed(tapped: System) -> None:
    tapped.start_registry(beat_interval_s=0.5)
    tapped.start_dispatcher()
    await tapped.ready()
    first = tapped.start_runner("a1", "linux", program=True)
    await tapped.runners_ready("a1")
    before = (await tapped.ping("a1")).instance
    await tapped.kill(first)
    tapped.start_runner("a1", "linux")

    async def another() -> bool:
        return await tapped.answering("a1") and (await tapped.ping("a1")).instance != before

    await eventually(another, within_s=15.0, what="the new one answers")
    await tapped.runners_ready("a1")


async def test_of_two_that_start_at_the_same_moment_one_is_refused(tapped: System) -> None:
    await tapped.up()
    parts = [tapped.start_runner("a1", "linux") for _ in range(2)]

    async def one_ended() -> list[TaskPart]:
        return [part for part in parts if isinstance(part, TaskPart) and part.task.done()]

    (ended,) = await eventually(one_ended, within_s=15.0, what="one has ended")
    tapped.forget(ended)
    with pytest.raises(RunbusError) as caught:
        await ended.ended()
    assert caught.value.code is ErrorCode.RUNNER_ID_TAKEN
    await tapped.runners_ready("a1")


async def test_one_that_stands_still_for_a_moment_keeps_its_id(tapped: System) -> None:
    await tapped.up()
    first = tapped.start_runner("a1", "linux", program=True)
    assert isinstance(first, ProgramPart)
    await tapped.runners_ready("a1")
    instance = (await tapped.ping("a1")).instance
    first.program.signal(signal.SIGSTOP)
    second = tapped.start_runner("a1", "linux", program=True)
    assert isinstance(second, ProgramPart)
    tapped.forget(second)
    await eventually(lambda: "registry.awaited" in second.program.log, within_s=10.0, what="it waits")
    assert "whether it still runs" in second.program.log
    first.program.signal(signal.SIGCONT)
    assert await second.program.ended() == 1
    assert "runner_id_taken" in second.program.log
    assert (await tapped.ping("a1")).instance == instance


async def test_keys_and_nodes_of_a_set_that_was_just_added(tapped: System, tmp_path: Path) -> None:
    file = tmp_path / "key-storage.yaml"
    file.write_text(f"- {{type: file, config: {{directory: {key_files(tmp_path / 'keys', top='x')}}}}}\n")
    file.chmod(0o600)
    tapped.start_keyproxy()
    tapped.start_nodesource()
    await tapped.up("a1:lab,dmz", key_storage=str(file))
    await eventually(lambda: answers(tapped), what="the keyproxy answers")
    started_s = time.monotonic()
    dmz = RunnerSelector(mode=SelectorMode.TAGS, filter="dmz")
    listed = await tapped.client.call(catalog.KEY_LIST, KeyListRequest(runner=dmz), timeout_s=30.0)
    assert [entry.path for entry in listed.keys] == ["top"]
    await put(tapped, script_source(tmp_path / "nodes.sh", nodes_script(tmp_path / "n", "n1", "n2")))
    assert (await refresh(tapped)).count == 2
    assert time.monotonic() - started_s < 8.0


async def test_abort_reaches_a_runner_and_ends_what_a_gone_one_left(tapped: System, tmp_path: Path) -> None:
    await tapped.up()
    part = tapped.start_runner("a1", "linux", program=True)
    await tapped.runners_ready("a1")

    async def aborted(view: ExecutionView) -> ExecutionView:
        request = AbortRequest(execution=view.id, wait_s=20.0)
        return await tapped.client.call(catalog.ABORT, request, timeout_s=25.0)

    with Gate(tmp_path) as gate:
        first, second = [await tapped.start(gate.command, "linux") for _ in range(2)]
        await eventually(lambda: len(gate.inside) == 2, what="both run")
        started_s = time.monotonic()
        assert (await aborted(first)).state is ExecutionState.ABORTED
        assert time.monotonic() - started_s < 3.0
        await tapped.kill(part)
        gone = await aborted(second)
        assert gone.state is ExecutionState.ABORTED
        assert gone.error is not None
        assert "did not answer" in gone.error.message
        assert time.monotonic() - started_s < 10.0


async def test_tags_of_one_that_is_gone_are_set_all_the_same(tapped: System) -> None:
    await tapped.up()
    part = tapped.start_runner("a1", "linux", program=True)
    await tapped.runners_ready("a1")
    await tapped.kill(part)
    reply = await tapped.client.call(catalog.RUNNER_TAGS, RunnerTagsRequest(runner="a1", add=["x"]))
    assert (reply.runner.tags, reply.rebound) == (["linux", "x"], False)


async def test_many_that_run_a_new_set_wait_together(tapped: System) -> None:
    """Whether its runner has bound is looked for once, not by one request after the other."""
    await tapped.up("a1:linux,fresh")
    started_s = time.monotonic()
    views = await asyncio.gather(*(tapped.run("true", "fresh") for _ in range(10)))
    assert {view.state for view in views} == {ExecutionState.SUCCEEDED}
    assert time.monotonic() - started_s < 6.0
