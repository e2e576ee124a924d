"""Files on a node by SFTP, and by cat where there is none."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runbus.plugin import FailureReason, StepError
from services.runner.nodes.ssh.service import SshService
from tests.support.nodecontext import RecordingContext
from tests.support.sshd import Sshd, required_sshd

pytestmark = [pytest.mark.sshd, pytest.mark.slow]

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
async def ssh() -> AsyncIterator[SshService]:
    service = SshService()
    yield service
    await service.close()


@pytest.fixture(params=["sftp", "cat"], scope="module")
def node_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server with SFTP, and one whose SFTP program is missing."""
    settings = {} if request.param == "sftp" else {"Subsystem": "sftp /nonexistent/sftp-server"}
    with required_sshd(tmp_path_factory.mktemp(request.param), settings=settings) as server:
        yield server


async def _copy(ssh: SshService, server: Sshd, destination: Path, content: bytes = CONTENT) -> None:
    await ssh.copy(server.node(), content, str(destination), RecordingContext(server.node(), destination.parent))


async def test_a_file_arrives_and_is_its_user_s_only(node_server: Sshd, ssh: SshService, tmp_path: Path) -> None:
    destination = tmp_path / "it's a script.sh"
    await _copy(ssh, node_server, destination)
    assert destination.read_bytes() == CONTENT
    assert destination.stat().st_mode & 0o777 == 0o600


async def test_an_empty_file(node_server: Sshd, ssh: SshService, tmp_path: Path) -> None:
    await _copy(ssh, node_server, tmp_path / "empty", b"")
    assert (tmp_path / "empty").read_bytes() == b""


async def test_what_was_there_is_replaced_and_not_written_through(
    node_server: Sshd, ssh: SshService, tmp_path: Path
) -> None:
    victim, destination = tmp_path / "victim", tmp_path / "script.sh"
    victim.write_text("mine")
    destination.symlink_to(victim)
    await _copy(ssh, node_server, destination)
    assert victim.read_text() == "mine"
    assert not destination.is_symlink()
    assert destination.read_bytes() == CONTENT


async def test_a_directory_that_is_not_there(node_server: Sshd, ssh: SshService, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"web1.*nowhere/script\.sh") as raised:
        await _copy(ssh, node_server, tmp_path / "nowhere" / "script.sh")
    assert raised.value.reason is FailureReason.IO_FAILURE


async def test_a_directory_in_the_file_s_place(node_server: Sshd, ssh: SshService, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(StepError) as raised:
        await _copy(ssh, node_server, tmp_path / "taken")
    assert raised.value.reason is FailureReason.IO_FAILURE
    assert (tmp_path / "taken").is_dir()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


async def test_a_full_disk_leaves_nothing_behind(node_server: Sshd, ssh: SshService, small_disk: Path) -> None:
    with pytest.raises(StepError) as raised:
        await _copy(ssh, node_server, small_disk / "script.sh")
    assert raised.value.reason is FailureReason.IO_FAILURE
    assert "space" in raised.value.message
    assert list(small_disk.iterdir()) == []


async def test_a_file_limit_leaves_nothing_behind(ssh: SshService, tmp_path: Path) -> None:
    """A write that fails on the way, without a file system of its own: by a limit on the size of files."""
    limited = tmp_path / "limited-sftp-server"
    server_program = "/usr/lib/openssh/sftp-server"
    if not Path(server_program).exists():
        pytest.skip(f"there is no {server_program}")
    limited.write_text(f"#!/bin/sh\ntrap '' XFSZ\nulimit -f 64\nexec {server_program}\n")
    limited.chmod(0o755)
    settings = {"Subsystem": f"sftp {limited}"}
    with required_sshd(tmp_path / "sshd", settings=settings) as server, pytest.raises(StepError) as raised:
        await _copy(ssh, server, tmp_path / "script.sh")
    assert raised.value.reason is FailureReason.IO_FAILURE
    assert not (tmp_path / "script.sh").exists()


async def test_files_and_commands_share_a_connection(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    before = sshd.logins
    destination = tmp_path / "script.sh"
    await _copy(ssh, sshd, destination, b"echo it ran $1\n")
    context = RecordingContext(sshd.node(), tmp_path)
    await ssh.execute(sshd.node(), f"chmod +x {destination} && sh {destination} here; rm {destination}", context)
    assert context.stdout == b"it ran here\n"
    assert sshd.logins - before == 1


async def test_an_unreachable_node(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    node = sshd.node(hostname="127.0.0.1:1")
    with pytest.raises(StepError, match=r"127\.0\.0\.1:1") as raised:
        await ssh.copy(node, CONTENT, str(tmp_path / "x"), RecordingContext(node, tmp_path))
    assert raised.value.reason is FailureReason.CONNECTION_FAILURE
