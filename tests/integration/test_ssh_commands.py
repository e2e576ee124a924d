"""Commands on a node by SSH, against a real sshd."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runbus.plugin import FailureReason, ProcessExit, StepError, Stream
from services.runner.nodes.ssh.service import SshService
from tests.support.nodecontext import RecordingContext
from tests.support.processes import alive
from tests.support.sshd import Sshd, required_sshd
from tests.support.waiting import eventually

pytestmark = [pytest.mark.sshd, pytest.mark.slow]


@pytest.fixture
async def ssh() -> AsyncIterator[SshService]:
    service = SshService(grace_s=1.0, linger_s=0.5)
    yield service
    await service.close()


async def test_output_of_both_streams_and_the_exit_code(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    context = RecordingContext(sshd.node(), tmp_path)
    ended = await ssh.execute(sshd.node(), "echo out; echo err >&2; exit 3", context)
    assert ended == ProcessExit(exit_code=3)
    assert (context.stdout, context.stderr) == (b"out\n", b"err\n")


async def test_pieces_come_in_the_order_of_their_writing(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    context = RecordingContext(sshd.node(), tmp_path)
    # Each piece is on its way before the next is written: sshd reads both pipes in one turn otherwise.
    await ssh.execute(sshd.node(), "echo 1; sleep .1; echo 2 >&2; sleep .1; echo 3", context)
    assert context.written == [(Stream.STDOUT, b"1\n"), (Stream.STDERR, b"2\n"), (Stream.STDOUT, b"3\n")]


async def test_any_bytes_pass(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(bytes(range(256)) * 300)
    context = RecordingContext(sshd.node(), tmp_path)
    await ssh.execute(sshd.node(), f"cat {blob}", context)
    assert context.stdout == blob.read_bytes()


async def test_a_signal_is_named(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    ended = await ssh.execute(sshd.node(), "exec sh -c 'kill -9 $$'", RecordingContext(sshd.node(), tmp_path))
    assert ended == ProcessExit(exit_code=None, signal="SIGKILL")


async def test_standard_input_is_at_its_end(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    assert (await ssh.execute(sshd.node(), "cat", RecordingContext(sshd.node(), tmp_path))).exit_code == 0


async def test_variables_are_sent_where_the_server_takes_them(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    env = {"RD_JOB_NAME": "back up\n'x'", "OTHER": "refused"}
    context = RecordingContext(sshd.node(), tmp_path, env=env)
    await ssh.execute(sshd.node(), 'printf "%s|%s" "$RD_JOB_NAME" "$OTHER"', context)
    assert context.stdout == b"back up\n'x'|"


async def test_no_variables_are_sent_where_that_is_set(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    node = sshd.node(ssh_send_env="false")
    context = RecordingContext(node, tmp_path, env={"RD_JOB_NAME": "backup"})
    await ssh.execute(node, 'echo "<$RD_JOB_NAME>"', context)
    assert context.stdout == b"<>\n"


async def test_a_terminal_where_one_is_asked_for(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    node = sshd.node(always_set_pty="true")
    context = RecordingContext(node, tmp_path)
    ended = await ssh.execute(node, "test -t 1 && echo yes", context)
    assert (ended.exit_code, context.stdout) == (0, b"yes\r\n")


async def test_a_background_process_does_not_hold_the_step(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    context = RecordingContext(sshd.node(), tmp_path)
    async with asyncio.timeout(15):
        ended = await ssh.execute(sshd.node(), "sleep 30 & echo $!", context)
    assert ended.exit_code == 0
    assert "left in the background" in context.remarks
    await ssh.execute(sshd.node(), f"kill {context.stdout.decode()}", context)


async def test_a_log_that_takes_nothing_holds_the_command_back(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    context = RecordingContext(sshd.node(), tmp_path)
    context.flow.clear()
    pid_file = tmp_path / "pid"
    tracemalloc.start()
    try:
        line = f"echo $$ > {pid_file}; exec head -c 60000000 /dev/zero"
        running = asyncio.create_task(ssh.execute(sshd.node(), line, context))
        await eventually(pid_file.exists)
        await eventually(lambda: _is_waiting(int(pid_file.read_text())), what="the writer waits at its full pipe")
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
        assert not running.done()
    finally:
        tracemalloc.stop()
    context.flow.set()
    assert (await running).exit_code == 0
    assert sum(len(data) for _, data in context.written) == 60_000_000


def _is_waiting(pid: int) -> bool:
    """Asleep, and not for want of a turn: the same count of switches twice."""
    status = Path(f"/proc/{pid}/status")
    first = status.read_text()
    return (
        "State:\tS" in first
        and first.split("voluntary_ctxt_switches")[1] == (status.read_text().split("voluntary_ctxt_switches")[1])
    )


@pytest.mark.parametrize("accepted", ["RD_*", "LC_*", "NOTHING"])
async def test_a_cancelled_command_ends_on_the_node(accepted: str, tmp_path: Path) -> None:
    service = SshService(grace_s=1.0)
    with required_sshd(tmp_path / "sshd", settings={"AcceptEnv": accepted}) as server:
        pid_file = tmp_path / "pid"
        context = RecordingContext(server.node(), tmp_path)
        line = f"sh -c 'echo $$ > {pid_file}; sleep 60; echo never'"
        running = asyncio.create_task(service.execute(server.node(), line, context))
        await eventually(lambda: pid_file.exists() and pid_file.read_text())
        pid = int(pid_file.read_text())
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await eventually(lambda: not alive(pid), what="the process on the node has ended")
        assert context.remarks == ""
        await service.close()


async def test_a_cancelled_command_has_its_grace(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    ready, said = tmp_path / "ready", tmp_path / "said"
    line = f"trap 'echo bye > {said}; exit 0' TERM; touch {ready}; while :; do sleep .05; done"
    running = asyncio.create_task(ssh.execute(sshd.node(), line, RecordingContext(sshd.node(), tmp_path)))
    await eventually(ready.exists)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert said.read_text() == "bye\n"


@pytest.mark.slow
async def test_a_command_that_ignores_sigterm_is_killed(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    line = f"trap '' TERM; echo $$ > {pid_file}; while :; do sleep .1; done"
    running = asyncio.create_task(ssh.execute(sshd.node(), line, RecordingContext(sshd.node(), tmp_path)))
    await eventually(lambda: pid_file.exists() and pid_file.read_text())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await eventually(lambda: not alive(int(pid_file.read_text())))


async def test_ending_one_command_leaves_the_others_on_the_connection(
    sshd: Sshd, ssh: SshService, tmp_path: Path
) -> None:
    gate, pids = tmp_path / "gate", [tmp_path / "pid-a", tmp_path / "pid-b"]
    context = RecordingContext(sshd.node(), tmp_path)
    lines = [f"echo $$ > {pid}; until [ -e {gate} ]; do sleep .02; done; echo done" for pid in pids]
    first, second = (asyncio.create_task(ssh.execute(sshd.node(), line, context)) for line in lines)
    await eventually(lambda: all(pid.exists() for pid in pids), within_s=30)
    assert len(ssh.pool.links) == 1
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.touch()
    assert (await second).exit_code == 0
    assert context.stdout == b"done\n"


async def test_the_command_s_own_limit(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    node = sshd.node(ssh_command_timeout="200")
    with pytest.raises(StepError, match=r"web1 .* ssh-command-timeout .*200 ms") as raised:
        await ssh.execute(node, "sleep 60", RecordingContext(node, tmp_path))
    assert raised.value.reason is FailureReason.CONNECTION_TIMEOUT


async def test_a_sudo_prompt_is_refused_by_name(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    node = sshd.node(sudo_command_enabled="true")
    with pytest.raises(StepError, match="NOPASSWD") as raised:
        await ssh.execute(node, "sudo id", RecordingContext(node, tmp_path))
    assert raised.value.reason is FailureReason.CONFIGURATION
