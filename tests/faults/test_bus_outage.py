"""The server goes away and comes back: jobs go on, and what they had to say arrives once."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bus.server import EmbeddedServer
from runbus.client import LogPiece
from schemas.states import ExecutionState, RunnerStatus
from tests.support.gate import Gate
from tests.support.parts import ProgramPart
from tests.support.processes import peak_rss_bytes, read_bytes
from tests.support.system import System, output_of, script
from tests.support.waiting import eventually, never

pytestmark = pytest.mark.slow


async def end(server: EmbeddedServer, how: str) -> None:
    """Stop the server by SIGTERM or by SIGKILL."""
    if how == "killed":
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await server.ended()
    await server.stop()


async def connected(system: System) -> None:
    await eventually(lambda: system.bus.client.is_connected, what="the client is connected again")
    await system.ready()


def silent_s(since: datetime) -> float:
    return (datetime.now(UTC) - since).total_seconds()


class Stillness:
    """How long a count has not changed, as looked at."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._last = (-1, 0.0)

    def lasts_s(self) -> float:
        count, now_s = self._count(), time.monotonic()
        if count != self._last[0]:
            self._last = (count, now_s)
        return now_s - self._last[1]


@pytest.mark.parametrize("how", ["gracefully", "killed"])
async def test_a_restart_while_a_job_runs_loses_nothing_and_doubles_nothing(
    server: EmbeddedServer, own_system: System, tmp_path: Path, how: str
) -> None:
    system = await own_system.up("a1:linux")
    with Gate(tmp_path) as gate:
        started = await system.start(f"seq 1 5000; {gate.command}; seq 5001 10000", "linux")
        await eventually(lambda: gate.inside, what="it runs")
        await end(server, how)
        gate.open()
        await server.start()
        await connected(system)
        ended = await system.end_of(started.id)
    assert (ended.state, ended.attempt, ended.runner) == (ExecutionState.SUCCEEDED, 1, "a1")
    assert await system.output(started.id) == "".join(f"{i}\n" for i in range(1, 10001)).encode()
    assert [name.rsplit(".", 2)[-2] for _, name in await system.events(started.id)] == [
        "execution_queued",
        "assignment_started",
        "assignment_finished",
    ]
    await system.runners_ready("a1")
    assert (await system.run("true", "linux")).state is ExecutionState.SUCCEEDED


async def test_a_job_that_ends_while_the_bus_is_away_reports_when_it_is_back(
    server: EmbeddedServer, own_system: System, tmp_path: Path
) -> None:
    system = await own_system.up("a1:linux")
    done = tmp_path / "done"
    with Gate(tmp_path) as gate:
        started = await system.start(f"{gate.command}; echo said meanwhile; touch {done}; exit 5", "linux")
        await eventually(lambda: gate.inside, what="it runs")
        await server.stop()
        gate.open()
        await eventually(done.exists, what="it is done, and nobody to tell")
        await server.start()
        await connected(system)
        ended = await system.end_of(started.id)
    assert (ended.state, ended.exit_code) == (ExecutionState.FAILED, 5)
    assert await system.output(started.id) == b"said meanwhile\n"


async def test_a_follower_of_the_log_sees_it_whole_across_a_restart(
    server: EmbeddedServer, own_system: System, tmp_path: Path
) -> None:
    system = await own_system.up("a1:linux")
    pieces: list[LogPiece] = []
    with Gate(tmp_path) as gate:
        started = await system.start(f"seq 1 100; {gate.command}; seq 101 200", "linux")

        async def follow() -> None:
            async for item in system.client.follow("default", started.id):
                if isinstance(item, LogPiece):
                    pieces.append(item)  # noqa: PERF401 (watched while it grows)

        following = asyncio.ensure_future(follow())
        await eventually(lambda: output_of(pieces).endswith(b"\n100\n"), what="the first half is heard")
        await server.stop()
        gate.open()
        await server.start()
        await following
    assert output_of(pieces) == "".join(f"{i}\n" for i in range(1, 201)).encode()


@pytest.mark.slow
async def test_an_outage_longer_than_both_clocks_loses_no_job(
    server: EmbeddedServer, own_system: System, tmp_path: Path
) -> None:
    """Silence of the bus is not silence of the runners: whoever could not hear them cannot call them lost.

    The runner is the last to come back, as one behind a worse line is.
    """
    system = own_system
    system.start_registry(beat_interval_s=0.1, unknown_after_s=1.0, down_after_s=2.0)
    system.start_dispatcher()
    await system.ready()
    part = system.start_runner("a1", "linux", program=True)
    assert isinstance(part, ProgramPart)
    await system.runners_ready("a1")
    with Gate(tmp_path) as gate:
        started = await system.start(gate.command, "linux")
        await eventually(lambda: gate.inside, what="it runs")
        part.program.signal(signal.SIGSTOP)
        heard_at = (await system.runners())["a1"].last_seen_at
        assert heard_at
        await server.stop()
        await eventually(lambda: silent_s(heard_at) > 2.5, what="it was silent for longer than both clocks")
        await server.start()
        await connected(system)
        assert (await system.runners())["a1"].status is not RunnerStatus.DOWN

        async def called_lost() -> bool:
            return (await system.show(started.id)).state is ExecutionState.LOST

        await never(called_lost, for_s=0.7, what="the job is called lost")
        part.program.signal(signal.SIGCONT)
        await system.runner_is("a1", RunnerStatus.HEALTHY)
        gate.open()
        ended = await system.end_of(started.id)
    assert ended.state is ExecutionState.SUCCEEDED


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_job_that_prints_without_end_while_the_bus_is_away_takes_bounded_memory(
    server: EmbeddedServer, own_system: System, tmp_path: Path
) -> None:
    """What the bus does not take waits in the child's pipe. NUL bytes take six times their size as JSON."""
    system = await own_system.up()
    part = system.start_runner("a1", "linux", program=True)
    assert isinstance(part, ProgramPart)
    await system.runners_ready("a1")
    with Gate(tmp_path) as gate:
        started = await system.start(f"{gate.command}; head -c 30000000 /dev/zero; echo the end", "linux")
        await eventually(lambda: gate.inside, what="it runs")
        await server.stop()
        gate.open()
        still = Stillness(lambda: read_bytes(part.program.pid))
        await eventually(lambda: still.lasts_s() > 1.0, within_s=30.0, what="the runner reads no more")
        part.check()
        await server.start()
        await connected(system)
        ended = await system.end_of(started.id, wait_s=60.0)
    assert ended.state is ExecutionState.SUCCEEDED
    assert await system.output(started.id) == b"\0" * 30_000_000 + b"the end\n"
    assert peak_rss_bytes(part.program.pid) < 100 * 1024 * 1024


async def test_tiny_pieces_said_while_the_bus_is_away_arrive_complete(
    server: EmbeddedServer, own_system: System, tmp_path: Path
) -> None:
    system = await own_system.up("a1:linux")
    go, said = tmp_path / "go", tmp_path / "said"
    text = (
        f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        "for i in range(20000):\n    os.write(1, b'o')\n    os.write(2, b'e')\n"
        f"open({str(said)!r}, 'w').close()\n"
    )
    started = await system.start(script(text, interpreter="python3"), "linux")
    await system.state_is(started.id, ExecutionState.RUNNING)
    await server.stop()
    go.touch()
    await eventually(said.exists, what="everything is said")
    await server.start()
    await connected(system)
    assert (await system.end_of(started.id)).state is ExecutionState.SUCCEEDED
    assert await system.output(started.id) == b"o" * 20000
    assert await system.output(started.id, "stderr") == b"e" * 20000


async def test_abort_works_after_a_restart(server: EmbeddedServer, own_system: System, tmp_path: Path) -> None:
    from schemas import catalog  # noqa: PLC0415
    from schemas.api import AbortRequest  # noqa: PLC0415

    system = await own_system.up("a1:linux")
    with Gate(tmp_path) as gate:
        started = await system.start(gate.command, "linux")
        await eventually(lambda: gate.inside, what="it runs")
        await server.stop()
        await server.start()
        await connected(system)
        await system.runners_ready("a1")
        ended = await system.client.call(catalog.ABORT, AbortRequest(execution=started.id), timeout_s=20.0)
    assert ended.state is ExecutionState.ABORTED


async def test_a_server_that_lost_everything_is_set_up_anew(
    server: EmbeddedServer, own_system: System, tmp_path: Path
) -> None:
    """The data directory is gone: a restart of the services is enough."""
    import shutil  # noqa: PLC0415

    system = await own_system.up("a1:linux")
    await system.run("true", "linux")
    parts = list(system._parts)
    for part in reversed(parts):
        assert await system.stop(part) == 0
    await server.stop()
    shutil.rmtree(tmp_path / "nats" / "jetstream")
    await server.start()
    await eventually(lambda: system.bus.client.is_connected, what="the client is connected again")
    system.start_registry()
    system.start_dispatcher(data_dir=str(tmp_path / "dispatcher-1"))
    await system.ready()
    system.start_runner("a1", "linux")
    await system.runners_ready("a1")
    assert (await system.run("true", "linux")).state is ExecutionState.SUCCEEDED
