"""Connections are shared, bounded by what a server allows, and closed when nobody uses them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.runner.nodes.ssh import SshNodes
from services.runner.nodes.ssh.pool import SESSIONS
from services.runner.nodes.ssh.service import SshService
from tests.support.nodecontext import RecordingContext
from tests.support.sshd import Sshd, make_key, required_sshd
from tests.support.waiting import eventually

pytestmark = [pytest.mark.sshd, pytest.mark.slow]


@pytest.fixture
async def ssh() -> AsyncIterator[SshService]:
    service = SshService(idle_s=0.2)
    yield service
    await service.close()


async def _at_once(ssh: SshService, server: Sshd, tmp_path: Path, *, times: int) -> int:
    """Run so many commands that wait for one another; return on how many connections they ran."""
    gate, arrived = tmp_path / "gate", tmp_path / "arrived"
    arrived.mkdir()
    context = RecordingContext(server.node(), tmp_path)
    line = f"touch {arrived}/$$; until [ -e {gate} ]; do sleep .02; done"
    tasks = [asyncio.create_task(ssh.execute(server.node(), line, context)) for _ in range(times)]
    await eventually(lambda: len(list(arrived.iterdir())) == times, within_s=20)
    found = len(ssh.pool.links)
    gate.touch()
    assert [(await task).exit_code for task in tasks] == [0] * times
    return found


async def test_calls_for_one_host_share_a_connection(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    before = sshd.logins
    assert await _at_once(ssh, sshd, tmp_path, times=SESSIONS) == 1
    assert sshd.logins - before == 1


async def test_more_than_a_connection_takes_get_another(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    assert await _at_once(ssh, sshd, tmp_path, times=SESSIONS + 1) == 2


async def test_a_server_that_allows_fewer_sessions_gets_more_connections(ssh: SshService, tmp_path: Path) -> None:
    with required_sshd(tmp_path / "sshd", settings={"MaxSessions": "2"}) as server:
        assert await _at_once(ssh, server, tmp_path, times=6) >= 3


async def test_an_idle_connection_is_closed(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    await ssh.execute(sshd.node(), "true", RecordingContext(sshd.node(), tmp_path))
    assert len(ssh.pool.links) == 1
    await eventually(lambda: not ssh.pool.links)


async def test_a_used_connection_is_not(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    ended = await ssh.execute(sshd.node(), "sleep .6; echo still here", RecordingContext(sshd.node(), tmp_path))
    assert ended.exit_code == 0


async def test_another_key_is_another_connection(sshd: Sshd, tmp_path: Path) -> None:
    ssh = SshService()
    other = make_key(tmp_path / "other")
    authorized = tmp_path / "authorized"
    authorized.write_text("".join(Path(f"{key}.pub").read_text() for key in (sshd.key, other)))
    with required_sshd(tmp_path / "sshd", settings={"AuthorizedKeysFile": str(authorized)}) as server:
        first = str(sshd.key)
        for node in (
            server.node(ssh_keypath=first),
            server.node(ssh_keypath=str(other)),
            server.node("web2", ssh_keypath=first),
        ):
            await ssh.execute(node, "true", RecordingContext(node, tmp_path))
        assert len(ssh.pool.links) == 2
        assert server.logins == 2
        await ssh.close()


async def test_closing_ends_every_connection(sshd: Sshd, tmp_path: Path) -> None:
    nodes = SshNodes()
    await nodes.close()
    context = RecordingContext(sshd.node(), tmp_path)
    await nodes.execute(sshd.node(), ["true"], context)
    service = nodes._loaded()
    (link,) = service.pool.links
    await nodes.close()
    assert link.connection.is_closed()
    assert (await nodes.execute(sshd.node(), ["echo", "'anew'"], context)).exit_code == 0
    assert context.stdout == b"anew\n"
    await nodes.close()
