"""The example of an outside plugin, really installed, on one of two runners."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from bus.server import free_port
from runbus.client import Client
from schemas import catalog
from schemas.api import AbortRequest, RunnerShowRequest, RunRequest
from schemas.errors import ErrorCode
from schemas.jobs import RunnerSelector, SelectorMode, Step
from schemas.states import ExecutionState
from tests.support.example_system import example_system, missing, must
from tests.support.processes import ROOT
from tests.support.system import refused
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow
in_module_loop = pytest.mark.asyncio(loop_scope="module")

EXAMPLE: Final = ROOT / "examples" / "plugin-wait-for-port"
BROKEN: Final = {
    "broken": "import a_library_that_is_not_there",
    "exits": "raise SystemExit(3)",
    "half": "class Step:\n    version = '1.0'",
}
"""Plugins that cannot be loaded, each with its module's text."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as pip installs it, and a package of plugins that cannot be loaded, in a directory of their own."""
    target = tmp_path_factory.mktemp("plugins")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    ended = subprocess.run(
        [*pip, "--target", str(target), str(EXAMPLE)], capture_output=True, text=True, timeout=120, check=False
    )
    if ended.returncode != 0:
        missing(f"pip could not build and install the example (it fetches hatchling): {ended.stderr[-500:]}")
    info = target / "runbus_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: runbus-broken\nVersion: 1.0\n")
    entries = [f"{name} = runbus_broken_{name}:Step\n" for name in BROKEN]
    (info / "entry_points.txt").write_text("[runbus.plugins]\n" + "".join(entries))
    for name, text in BROKEN.items():
        (target / f"runbus_broken_{name}.py").write_text(text)
    return target


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """``bears`` has the plugin, ``lacks`` has not; both bear the tag linux."""
    async with example_system(tmp_path_factory.mktemp("system")) as system:
        system.start_dispatcher(program=True)
        system.start_runner("lacks", "linux", program=True)
        system.start_runner("bears", "linux,more", program=True, env={"PYTHONPATH": str(installed)})
        await system.ready()
        await system.runners_ready("lacks", "bears")
        yield system.client


def wait_for_port(tags: str, wait_s: float = 20.0, **config: Any) -> RunRequest:
    step = Step(plugin="wait-for-port", config=config)
    return RunRequest(steps=[step], runner=RunnerSelector(mode=SelectorMode.TAGS, filter=tags), wait_s=wait_s)


@in_module_loop
async def test_the_inventory_tells_what_each_bears_and_what_is_broken(fleet: Client) -> None:
    bears = (await fleet.call(catalog.RUNNER_SHOW, RunnerShowRequest(runner="bears"))).runner.plugins
    lacks = (await fleet.call(catalog.RUNNER_SHOW, RunnerShowRequest(runner="lacks"))).runner.plugins
    assert {plugin.name: plugin.version for plugin in bears}["wait-for-port"] == "1.0.0"
    assert {plugin.name: plugin.problem for plugin in bears if plugin.problem and not plugin.unless} == {
        "broken": "ModuleNotFoundError: No module named 'a_library_that_is_not_there'",
        "exits": "SystemExit: 3",
        "half": "AttributeError: type object 'Step' has no attribute 'config_type'",
    }
    own = {"command", "exec", "jobref", "script", "scriptfile", "scripturl"}
    assert {plugin.name for plugin in lacks if plugin.kind == "step"} == own


@in_module_loop
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


@in_module_loop
async def test_a_closed_port_fails_with_the_plugins_text(fleet: Client) -> None:
    port = free_port("127.0.0.1")
    ended = await fleet.run(wait_for_port("more", host="127.0.0.1", port=port, timeout_s=0.2, interval_s=0.05))
    assert ended.state is ExecutionState.FAILED
    assert ended.error is not None
    assert ended.error.code is ErrorCode.STEP_FAILED
    assert ended.error.message.startswith(
        f"step 1 (wait-for-port): 127.0.0.1:{port} accepted no connection within 0.2 s (last: ConnectionRefused"
    )
    log = [entry async for piece in fleet.log("default", ended.id) for entry in piece.entries]
    assert {entry.stream for entry in log} == {"runner"}
    assert log[0].text.startswith(f"waiting for 127.0.0.1:{port}, 0.2 s at most\n")


@in_module_loop
@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"host": "127.0.0.1", "port": "eighty"}, "Expected `int`, got `str` - at `$.port`"),
        ({"host": "127.0.0.1", "port": 70000}, "Expected `int` <= 65535 - at `$.port`"),
        ({"host": "127.0.0.1"}, "Object missing required field `port`"),
        ({"host": "127.0.0.1", "port": 80, "timeout": 1}, "Object contains unknown field `timeout`"),
    ],
)
async def test_a_wrong_configuration_names_the_field(fleet: Client, config: dict[str, Any], text: str) -> None:
    ended = await fleet.run(wait_for_port("more", **config))
    assert ended.state is ExecutionState.FAILED
    assert ended.error is not None
    assert ended.error.code is ErrorCode.STEP_FAILED
    assert ended.error.message == f"step 1 (wait-for-port): its configuration is not valid: {text}."


@in_module_loop
@pytest.mark.parametrize("name", [*BROKEN, "nowhere"])
async def test_a_plugin_that_is_broken_or_missing_is_told_before_anything_is_queued(fleet: Client, name: str) -> None:
    selector = RunnerSelector(mode=SelectorMode.TAGS, filter="more")
    error = await refused(
        ErrorCode.PLUGIN_NOT_FOUND, lambda: fleet.run(RunRequest(steps=[Step(plugin=name)], runner=selector))
    )
    assert error.message == (
        f"Reason: The {name} plugin was not found on Runner ID = bears. "
        "You may need to upgrade your Runner or select a different Runner."
    )


@in_module_loop
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


@in_module_loop
async def test_the_example_passes_its_own_tests(installed: Path) -> None:
    """As an outsider runs them: against the installed package, with pytest and nothing else."""
    test = EXAMPLE / "test_wait_for_port.py"
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", str(test)]
    await must(argv, cwd=EXAMPLE, env={"PYTHONPATH": str(installed)})


def test_the_example_imports_the_plugin_face_only() -> None:
    imported = set(
        re.findall(r"^(?:from|import) (\S+)", (EXAMPLE / "runbus_wait_for_port.py").read_text(), re.MULTILINE)
    )
    assert imported - {"__future__", "asyncio", "typing"} == {"msgspec", "runbus.plugin"}
