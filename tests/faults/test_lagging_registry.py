"""A copy of the registry that lags behind tells of an earlier run of a runner: what the later one runs goes on."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from nats.aio.msg import Msg

from schemas import catalog
from schemas.api import RunnerList
from schemas.codec import encode
from schemas.runners import FleetChanged, RunnerView
from schemas.states import ExecutionState, RunnerStatus
from tests.support.gate import Gate
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


class LaggingRegistry:
    """Answers for the registry, with what it knew long ago."""

    def __init__(self, system: System, runners: list[RunnerView]) -> None:
        self._system = system
        self._runners = runners
        self.asked = 0

    async def serve(self) -> None:
        await self._system.bus.client.subscribe(catalog.RUNNER_LIST.subject(self._system.subjects), cb=self._answer)
        await self._system.bus.flush()

    async def _answer(self, msg: Msg) -> None:
        self.asked += 1
        await msg.respond(encode(RunnerList(runners=self._runners)))

    async def makes_dispatchers_look(self, times: int) -> None:
        """Each look begins behind the end of the one before it."""
        changed = FleetChanged(runner="a1", instance="", status=RunnerStatus.DOWN)
        for wanted in range(1, times + 1):
            await self._system.bus.publish(self._system.subjects.fleet_changed(), changed)
            await eventually(lambda wanted=wanted: self.asked >= wanted, what="a dispatcher looks")  # type: ignore[misc]


@pytest.mark.parametrize("knows", ["an earlier run", "an earlier run that left", "nothing", "that it is down"])
async def test_what_runs_on_a_connected_runner_is_not_lost(system: System, tmp_path: Path, knows: str) -> None:
    registry = system.start_registry()
    system.start_dispatcher()
    await system.ready()
    system.start_runner("a1", "linux")
    await system.runners_ready("a1")
    view = (await system.runners())["a1"]
    earlier = msgspec.structs.replace(view, instance="earlier")
    known = {
        "an earlier run": [earlier],
        "an earlier run that left": [msgspec.structs.replace(earlier, status=RunnerStatus.DOWN)],
        "nothing": [],
        "that it is down": [msgspec.structs.replace(view, status=RunnerStatus.DOWN)],
    }
    with Gate(tmp_path) as gate:
        started = await system.start(gate.command, "linux")
        await eventually(lambda: gate.inside, what="it runs")
        await system.stop(registry)
        lagging = LaggingRegistry(system, known[knows])
        await lagging.serve()
        await lagging.makes_dispatchers_look(3)
        gate.open()
        ended = await system.end_of(started.id)
    assert (ended.state, ended.runner) == (ExecutionState.SUCCEEDED, "a1")
