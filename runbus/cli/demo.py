"""``runbus demo``: real jobs over a real bus, to be watched; every result is checked."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import click
import msgspec

from bus.lifecycle import EXIT_FAILED, EXIT_OK, Background, StopSignal, report_as_text, run_process
from bus.server import EmbeddedServer, ServerSettings
from runbus.cli.supervisor import Part, Supervisor, part_specs, runner_spec
from runbus.client import Client, LogPiece, open_client
from schemas.api import ExecutionView, RunRequest
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import RunnerSelector, SelectorMode, Step
from schemas.states import ExecutionState

_SCRIPT: Final = """#!/bin/sh
echo "deploying $1 on $(uname -n)"
for step in fetch unpack restart; do
    echo "  $step"
    sleep 0.2
done
echo "a warning goes to stderr" >&2
"""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """One request, and what must come of it."""

    title: str
    command: str
    step: Step
    tags: str = ""
    runner: str = ""
    """Who must carry it out."""
    log_has: str = ""
    refused: ErrorCode | None = None
    refusal_has: str = ""


SCENES: Final = (
    Scene(
        title="A command by one tag: a runner that bears PROD",
        command="runbus run --tags PROD -- 'echo checking the database; uptime'",
        step=Step(plugin="command", config={"command": "echo checking the database; uptime"}),
        tags="PROD",
        runner="db-1",
        log_has="checking the database",
    ),
    Scene(
        title="A script by two tags: a runner that bears LINUX and DEV",
        command="runbus run --tags LINUX+DEV --script deploy.sh -- shop-1.7",
        step=Step(plugin="script", config={"script": _SCRIPT, "args": ["shop-1.7"]}),
        tags="LINUX+DEV",
        runner="web-1",
        log_has="deploying shop-1.7",
    ),
    Scene(
        title="No selection: the Local Runner",
        command="runbus run -- 'echo beside the dispatcher'",
        step=Step(plugin="command", config={"command": "echo beside the dispatcher"}),
        runner="local",
        log_has="beside the dispatcher",
    ),
    Scene(
        title="Tags that nobody bears: refused, saying which",
        command="runbus run --tags LINUX+WINDOWS -- ver",
        step=Step(plugin="command", config={"command": "ver"}),
        tags="LINUX+WINDOWS",
        refused=ErrorCode.NO_RUNNER,
        refusal_has="windows",
    ),
    Scene(
        title="A plugin that no runner of the set has: refused before it is queued",
        command="a job with a step of type datadog-check, on LINUX+PROD",
        step=Step(plugin="datadog-check", config={"monitor": "cpu"}),
        tags="LINUX+PROD",
        refused=ErrorCode.PLUGIN_NOT_FOUND,
        refusal_has="Reason: The datadog-check plugin was not found on Runner ID = db-1. "
        "You may need to upgrade your Runner or select a different Runner.",
    ),
)


@click.command()
def demo() -> None:
    """Start everything, run real jobs, show their logs, stop everything."""
    raise SystemExit(run_process(run_demo, report=report_as_text))


async def run_demo(stop: StopSignal) -> int:
    """Exit code 0 only if each scene came out as it should and everything stopped."""
    with tempfile.TemporaryDirectory(prefix="runbus-demo-") as directory:
        server = EmbeddedServer(ServerSettings(data_dir=Path(directory), port=0))
        supervisor = _supervisor(server, Path(directory))
        started_s = time.monotonic()
        try:
            async with Background(_start_server(server), *supervisor.starting()) as starting:
                if not await starting.finished_before(stop):
                    return EXIT_FAILED
            _say(f"  everything is ready after {time.monotonic() - started_s:.1f} s")
            async with open_client(server.url, name="runbus-demo") as client:
                results = [await _play(number, scene, client) for number, scene in enumerate(SCENES, start=1)]
        finally:
            await supervisor.stop()
            await server.stop()
    good = sum(results)
    _say(f"\n{good} of {len(SCENES)} came out as they should; everything is stopped.")
    return EXIT_OK if good == len(SCENES) else EXIT_FAILED


def _supervisor(server: EmbeddedServer, directory: Path) -> Supervisor:
    common = {"RUNBUS_NATS_URL": server.url, "RUNBUS_DATA_DIR": str(directory), "RUNBUS_LOG_FORMAT": "json"}
    runners = [
        runner_spec("local", local=True),
        runner_spec("web-1", tags="LINUX,DEV"),
        runner_spec("db-1", tags="LINUX,PROD"),
    ]

    def on_ready(part: Part) -> None:
        _say(f"  {part.spec.name:<14}ready  {part.spec.remark}".rstrip())

    return Supervisor(part_specs(common, runners), directory, on_ready=on_ready)


async def _start_server(server: EmbeddedServer) -> None:
    await server.start()
    _say(f"  {'nats':<14}ready  {server.url}")


async def _play(number: int, scene: Scene, client: Client) -> bool:
    """Run one scene and show it; whether it came out as it should."""
    _say(f"\n{number}. {scene.title}\n   $ {scene.command}")
    selector = RunnerSelector(mode=SelectorMode.TAGS, filter=scene.tags) if scene.tags else None
    request = RunRequest(steps=[scene.step], runner=selector, user="demo")
    try:
        view = await client.run(request)
    except RunbusError as error:
        _say(f"   refused ({error.code}): {error.message}")
        return _verdict(error.code is scene.refused and scene.refusal_has in error.message)
    final, text = await _show(client, view)
    _say(f"   {final.state}, exit code {final.exit_code}, {(final.duration_s or 0) * 1000:.0f} ms on the runner")
    good = final.state is ExecutionState.SUCCEEDED and final.runner == scene.runner and scene.log_has in text
    return _verdict(good and scene.refused is None)


async def _show(client: Client, view: ExecutionView) -> tuple[ExecutionView, str]:
    """Print the execution as it goes: the runner's name at the top, then the log, live."""
    shown, text = "", ""
    async for item in client.follow(view.project, view.id):
        if isinstance(item, LogPiece):
            if not shown:
                shown = item.runner
                _say(f"   executed through {shown}")
            for entry in item.entries:
                text += entry.text
                for line in entry.text.splitlines():
                    _say(f"   {'!' if entry.stream == 'stderr' else '|'} {line}")
        else:
            view = item
            if view.runner and not shown:
                shown = view.runner
                _say(f"   executed through {shown}")
    return view, text


def _verdict(good: bool) -> bool:
    _say("   as it should be" if good else "   NOT AS IT SHOULD BE")
    return good


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
