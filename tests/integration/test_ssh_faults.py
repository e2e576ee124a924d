"""Nodes that cannot be reached, break off, hang, or are full: each with its own reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bus.server import free_port
from runbus.plugin import FailureReason, Node, StepError
from services.runner.nodes.ssh.service import SshService
from tests.support.badnodes import Relay, open_relay, silent_port, talking_port
from tests.support.nodecontext import RecordingContext
from tests.support.sshd import Sshd, required_sshd
from tests.support.waiting import eventually

pytestmark = [pytest.mark.sshd, pytest.mark.slow]


@pytest.fixture
async def ssh() -> AsyncIterator[SshService]:
    service = SshService(grace_s=0.5)
    yield service
    await service.close()


@pytest.fixture
async def relay(sshd: Sshd) -> AsyncIterator[Relay]:
    """A line to the server that can be cut and frozen."""
    async with open_relay(sshd.port) as opened:
        yield opened


async def _fails(ssh: SshService, node: Node, tmp_path: Path, line: str = "true") -> StepError:
    async with asyncio.timeout(20):
        with pytest.raises(StepError, match=f"Node {node.name}") as raised:
            await ssh.execute(node, line, RecordingContext(node, tmp_path))
    return raised.value


def _over(relay: Relay, sshd: Sshd, name: str = "web1", **attributes: str) -> Node:
    return sshd.node(name, hostname=f"127.0.0.1:{relay.port}", ssh_host_key_policy="off", **attributes)


async def test_a_name_that_does_not_resolve(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    failed = await _fails(ssh, sshd.node(hostname="no-such-host.invalid"), tmp_path)
    assert failed.reason is FailureReason.HOST_NOT_FOUND
    assert "no-such-host.invalid" in failed.message


async def test_a_node_that_refuses(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    port = free_port("127.0.0.1")
    failed = await _fails(ssh, sshd.node(hostname=f"127.0.0.1:{port}"), tmp_path)
    assert failed.reason is FailureReason.CONNECTION_FAILURE
    assert f"127.0.0.1:{port} as {sshd.user}" in failed.message


async def test_a_node_that_takes_the_connection_and_says_nothing(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    async with silent_port() as port:
        failed = await _fails(ssh, sshd.node(hostname=f"127.0.0.1:{port}", ssh_connect_timeout="300"), tmp_path)
    assert failed.reason is FailureReason.CONNECTION_TIMEOUT
    assert "0.3 s" in failed.message


async def test_a_node_that_is_no_ssh_server(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    async with talking_port(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        failed = await _fails(ssh, sshd.node(hostname=f"127.0.0.1:{port}"), tmp_path)
    assert failed.reason in (FailureReason.SSH_PROTOCOL, FailureReason.CONNECTION_FAILURE)


async def test_the_line_breaks_in_mid_command(sshd: Sshd, relay: Relay, ssh: SshService, tmp_path: Path) -> None:
    node, began = _over(relay, sshd), tmp_path / "began"
    context = RecordingContext(node, tmp_path)
    running = asyncio.create_task(ssh.execute(node, f"echo so far; touch {began}; sleep 3", context))
    await eventually(lambda: began.exists() and context.stdout)
    relay.cut()
    with pytest.raises(StepError, match="whether it went on there is not known") as raised:
        await running
    assert raised.value.reason is FailureReason.CONNECTION_FAILURE
    assert context.stdout == b"so far\n"


async def test_a_command_that_was_sent_is_never_sent_again(
    sshd: Sshd, relay: Relay, ssh: SshService, tmp_path: Path
) -> None:
    node, runs = _over(relay, sshd), tmp_path / "runs"
    await ssh.execute(node, "true", RecordingContext(node, tmp_path))
    running = asyncio.create_task(ssh.execute(node, f"echo x >> {runs}; sleep 3", RecordingContext(node, tmp_path)))
    await eventually(runs.exists)
    relay.cut()
    with pytest.raises(StepError):
        await running
    assert runs.read_text() == "x\n"


async def test_a_connection_that_broke_meanwhile_is_made_anew(
    sshd: Sshd, relay: Relay, ssh: SshService, tmp_path: Path
) -> None:
    node = _over(relay, sshd)
    await ssh.execute(node, "true", RecordingContext(node, tmp_path))
    relay.cut()
    assert (await ssh.execute(node, "true", RecordingContext(node, tmp_path))).exit_code == 0
    assert relay.accepted == 2


@pytest.mark.slow
async def test_a_line_that_is_dead_is_noticed_and_made_anew(
    sshd: Sshd, relay: Relay, ssh: SshService, tmp_path: Path
) -> None:
    node = _over(relay, sshd, keep_alive_interval="1", keep_alive_max_alive_count="1", ssh_connect_timeout="1000")
    await ssh.execute(node, "true", RecordingContext(node, tmp_path))
    relay.freeze()
    failed = await _fails(ssh, node, tmp_path)
    # The old connection was given up unsent; the new one met the same dead line.
    assert failed.reason is FailureReason.CONNECTION_TIMEOUT
    assert relay.accepted == 2


@pytest.mark.slow
async def test_a_line_that_goes_dead_under_a_command(
    sshd: Sshd, relay: Relay, ssh: SshService, tmp_path: Path
) -> None:
    node, began = _over(relay, sshd, keep_alive_interval="1", keep_alive_max_alive_count="1"), tmp_path / "began"
    running = asyncio.create_task(_fails(ssh, node, tmp_path, f"touch {began}; sleep 8"))
    await eventually(began.exists)
    relay.freeze()
    failed = await running
    assert failed.reason is FailureReason.CONNECTION_FAILURE
    assert "not known" in failed.message


@pytest.mark.slow
async def test_a_cancelled_command_on_a_dead_line_is_given_up(
    sshd: Sshd, relay: Relay, ssh: SshService, tmp_path: Path
) -> None:
    node, began = _over(relay, sshd), tmp_path / "began"
    context = RecordingContext(node, tmp_path)
    running = asyncio.create_task(ssh.execute(node, f"touch {began}; sleep 50", context))
    await eventually(began.exists)
    relay.freeze()
    running.cancel()
    async with asyncio.timeout(40):
        with pytest.raises(asyncio.CancelledError):
            await running
    assert "may go on" in context.remarks


async def test_a_server_that_opens_no_session(ssh: SshService, tmp_path: Path) -> None:
    with required_sshd(tmp_path / "sshd", settings={"MaxSessions": "0"}) as server:
        failed = await _fails(ssh, server.node(), tmp_path)
    assert failed.reason is FailureReason.CONNECTION_FAILURE
    assert "MaxSessions" in failed.message


async def test_waiting_for_a_connection_can_be_cancelled(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    async with silent_port() as port:
        node = sshd.node(hostname=f"127.0.0.1:{port}")
        waiting = [asyncio.create_task(ssh.execute(node, "true", RecordingContext(node, tmp_path))) for _ in range(2)]
        await eventually(lambda: ssh.pool._opening)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert all(task.cancelled() for task in waiting)
        assert not ssh.pool._opening
        assert not ssh.pool.links


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"hostname": ""}, "no hostname"),
        ({"hostname": "web1:ssh"}, "port 'ssh'"),
        ({"ssh_port": "0", "hostname": "web1"}, "ssh-port"),
        ({"ssh_authentication": "kerberos"}, "privateKey or password"),
        ({"ssh_host_key_policy": "maybe"}, "strict, accept-new, off"),
        ({"ssh_proxy_jump": "a,,b"}, "ssh-proxy-jump"),
        ({"ssh_connect_timeout": "soon"}, "whole number"),
        ({"always_set_pty": "perhaps"}, "true or false"),
        ({"username": "${option.user}"}, r"\$\{option.user\}"),
    ],
)
async def test_settings_that_cannot_be_used(
    attributes: dict[str, str], text: str, sshd: Sshd, ssh: SshService, tmp_path: Path
) -> None:
    node = sshd.node(**attributes)
    with pytest.raises(StepError, match=text) as raised:
        await ssh.execute(node, "true", RecordingContext(node, tmp_path))
    assert raised.value.reason is FailureReason.CONFIGURATION
