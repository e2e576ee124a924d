"""The example of an outside plugin, really installed, on one of two runners."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from bus.server import free_port
from runbus.client import Client
from schemas import catalog
from schemas.api import AbortRequest, RunnerShowRequest, RunRequest
from schemas.errors import ErrorCode
from schemas.jobs import RunnerSelector, SelectorMode, Step
from schemas.states import ExecutionState
from tests.support.processes import ROOT
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

EXAMPLE: Final = ROOT / "examples" / "plugin-wait-for-port"
BROKEN: Final = "[runbus.plugins]\nbroken = runbus_broken:Step\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example and a package that cannot be imported, installed into a directory of their own."""
    target = tmp_path_factory.mktemp("plugins")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(EXAMPLE)],
        check=True,
        timeout=120,
    )
    info = target / "runbus_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: runbus-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(BROKEN)
    (target / "runbus_broken.py").write_text("import a_library_that_is_not_there\n")
    return target


@pytest.fixture
async def fleet(system: System, installed: Path) -> Client:
    """``bears`` has the plugin, ``lacks`` has not; both bear the tag linux."""
    system.start_registry()
    system.start_dispatcher()
    await system.ready()
    system.start_runner("lacks", "linux", program=True)
    system.start_runner("bears", "linux,more", program=True, env={"PYTHONPATH": str(installed)})
    await system.runners_ready("lacks", "bears")
    return system.client


def wait_for_port(tags: str, wait_s: float = 20.0, **config: Any) -> RunRequest:
    step = Step(plugin="wait-for-port", config=config)
    return RunRequest(steps=[step], runner=RunnerSelector(mode=SelectorMode.TAGS, filter=tags), wait_s=wait_s)


async def test_the_inventory_tells_what_each_bears_and_what_is_broken(fleet: Client) -> None:
    bears = (await fleet.call(catalog.RUNNER_SHOW, RunnerShowRequest(runner="bears"))).runner.plugins
    lacks = (await fleet.call(catalog.RUNNER_SHOW, RunnerShowRequest(runner="lacks"))).runner.plugins
    assert {plugin.name: plugin.version for plugin in bears}["wait-for-port"] == "1.0.0"
    assert "a_library_that_is_not_there" in {plugin.name: plugin.problem for plugin in bears}["broken"]
    assert {plugin.name for plugin in lacks} == {"command", "script"}


async def test_it_waits_on_the_runner_that_bears_it(fleet: Client) -> None:
    """Both runners match; only one bears the plugin, and that one gets every job."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        ended = await asyncio.gather(
            *(fleet.run(wait_for_port("linux", host="127.0.0.1", port=port)) for _ in range(5))
        )
    assert {(view.state, view.runner) for view in ended} == {(ExecutionState.SUCCEEDED, "bears")}
    log = [entry.text async for piece in fleet.log("default", ended[0].id) for entry in piece.entries]
    assert f"127.0.0.1:{port} accepts connections\n" in "".join(log)


async def test_a_closed_port_fails_with_the_plugins_text(fleet: Client) -> None:
    port = free_port("127.0.0.1")
    ended = await fleet.run(wait_for_port("more", host="127.0.0.1", port=port, timeout_s=0.2, interval_s=0.05))
    assert ended.state is ExecutionState.FAILED
    assert ended.error is not None
    assert f"127.0.0.1:{port} accepted no connection within 0.2 s" in ended.error.message


async def test_a_wrong_configuration_names_the_field(fleet: Client) -> None:
    ended = await fleet.run(wait_for_port("more", host="127.0.0.1", port="eighty"))
    assert ended.state is ExecutionState.FAILED
    assert ended.error is not None
    assert "$.port" in ended.error.message


async def test_abort_cancels_it(fleet: Client) -> None:
    request = wait_for_port("more", wait_s=0.0, host="127.0.0.1", port=free_port("127.0.0.1"))
    started = await fleet.run(request)

    async def runs() -> bool:
        return (await fleet.result("default", started.id)).state is ExecutionState.RUNNING

    await eventually(runs, what="it runs")
    ended = await fleet.call(catalog.ABORT, AbortRequest(execution=started.id), timeout_s=20.0)
    assert ended.state is ExecutionState.ABORTED
    assert ended.error is not None
    assert ended.error.code is ErrorCode.ABORTED
