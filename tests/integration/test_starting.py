"""Told to stop before they are ready, services end at once and say so."""

from __future__ import annotations

import json
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bus.lifecycle import EXIT_OK
from tests.support.processes import ROOT, Program
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

SETTINGS = {"RUNBUS_LOG_FORMAT": "json", "RUNBUS_RUNNER_ID": "a1"}


async def end(program: Program, number: signal.Signals) -> None:
    """Signal it once; it ends well, at once, and its last line says why."""
    signalled_s = time.monotonic()
    program.signal(number)
    assert await program.ended() == EXIT_OK
    assert time.monotonic() - signalled_s < 2.0
    last = json.loads(program.log.splitlines()[-1])
    assert (last["event"], last["phase"], last["reason"]) == ("stopped", "starting", number.name)


def answers_nobody(program: Program) -> bool:
    """It is past its imports: it handles signals by itself."""
    status = Path(f"/proc/{program.pid}/status").read_text()
    (caught,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("part", ["registry", "nodesource", "keyproxy", "dispatcher", "runner"])
async def test_while_no_server_answers(tmp_path: Path, part: str, number: signal.Signals) -> None:
    settings = SETTINGS | {"RUNBUS_NATS_URL": "nats://127.0.0.1:1", "RUNBUS_DATA_DIR": str(tmp_path)}
    program = Program(f"services.{part}", settings, tmp_path / "log")
    await eventually(lambda: answers_nobody(program), what="it handles signals")
    await end(program, number)


async def test_while_a_server_takes_the_connection_and_says_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"nats://127.0.0.1:{silent.getsockname()[1]}"
        program = Program("services.runner", SETTINGS | {"RUNBUS_NATS_URL": url}, tmp_path / "log")

        connection = await eventually(lambda: accepted(silent), what="it connects")
        assert connection
        with connection:
            await end(program, signal.SIGTERM)


def accepted(server: socket.socket) -> socket.socket | None:
    server.setblocking(False)
    try:
        return server.accept()[0]
    except BlockingIOError:
        return None


def test_a_start_that_swallows_its_cancellation_is_cancelled_again() -> None:
    """As the client of NATS does at times."""
    code = (
        "import asyncio, os, signal\n"
        "from bus.lifecycle import run_process\n"
        "async def main(stop):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    try:\n"
        "        await asyncio.sleep(60)\n"
        "    except asyncio.CancelledError:\n"
        "        await asyncio.sleep(60)\n"
        "run_process(main)\n"
        "os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=10, check=False)
    assert done.returncode == EXIT_OK


async def test_a_runner_that_waits_for_the_registry(nats_url: str, tmp_path: Path) -> None:
    settings = SETTINGS | {"RUNBUS_NATS_URL": nats_url, "RUNBUS_PREFIX": f"c{secrets.token_hex(4)}"}
    program = Program("services.runner", settings, tmp_path / "log")
    await eventually(lambda: "registry.awaited" in program.log, what="it waits")
    await end(program, signal.SIGTERM)


async def test_once_ready_it_drains(system: System) -> None:
    await system.up()
    part = system.start_runner("a1", "linux", program=True)
    await system.runners_ready("a1")
    assert await system.stop(part) == EXIT_OK
    log = (system.directory / "a1.log").read_text()
    assert '"draining"' in log
    assert '"starting"' not in log
