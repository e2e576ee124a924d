"""A line with a secret goes to a node by standard input, where the process list does not show it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from runbus.plugin import ProcessExit
from services.runner.nodes.shell import hidden_input
from services.runner.nodes.ssh.service import SshService
from tests.support.nodecontext import RecordingContext
from tests.support.sshd import Sshd

pytestmark = [pytest.mark.sshd, pytest.mark.slow]

PLAIN = "pl4in-s3cr3t"


class KnowingContext(RecordingContext):
    """One that knows a secret."""

    def process_env(self) -> Mapping[str, str]:
        return self.env

    def holds_secret(self, text: str) -> bool:
        return PLAIN in text


@pytest.fixture
async def ssh() -> AsyncIterator[SshService]:
    service = SshService(grace_s=1.0, linger_s=0.5)
    yield service
    await service.close()


async def test_the_line_goes_by_standard_input(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    context = KnowingContext(sshd.node(), tmp_path, env={"RD_X": "sent"})
    command = f"echo {PLAIN} $RD_X $# ${{RUNBUS_LINE-none}}; cat; tr '\\0' ' ' < /proc/$$/cmdline; exit 3"
    ended = await ssh.execute(sshd.node(), command, context)
    assert ended == ProcessExit(exit_code=3)
    first, shell = context.stdout.decode().split("\n", 1)
    assert first == f"{PLAIN} sent 0 none"
    assert "eval" in shell
    assert PLAIN not in shell


async def test_what_holds_no_secret_is_sent_as_it_is(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    context = KnowingContext(sshd.node(), tmp_path)
    await ssh.execute(sshd.node(), "tr '\\0' ' ' < /proc/$$/cmdline; exit 3", context)
    assert "eval" not in context.stdout.decode()


@pytest.mark.parametrize(
    "attributes", [{"ssh_secrets_by_stdin": "false"}, {"always_set_pty": "true"}, {"osFamily": "windows"}]
)
async def test_nor_where_that_is_not_wanted_or_not_possible(
    sshd: Sshd, ssh: SshService, tmp_path: Path, attributes: dict[str, str]
) -> None:
    node = sshd.node(**attributes)
    context = KnowingContext(node, tmp_path)
    await ssh.execute(node, f"tr '\\0' ' ' < /proc/$$/cmdline; : {PLAIN}", context)
    assert "eval" not in context.stdout.decode()


async def test_a_long_line(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    context = KnowingContext(sshd.node(), tmp_path)
    await ssh.execute(sshd.node(), f"echo {PLAIN} {'x' * 100_000} | wc -c", context)
    assert int(context.stdout) == len(PLAIN) + 100_002


async def test_half_a_line_is_not_run(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    """Where the connection breaks, the node's shell sees the end of its input."""
    sent, whole = hidden_input(f"touch {tmp_path}/done; : {PLAIN}")
    (tmp_path / "half").write_bytes(whole[:-1])
    (tmp_path / "whole").write_bytes(whole)
    context = RecordingContext(sshd.node(), tmp_path)
    assert (await ssh.execute(sshd.node(), f"({sent}) < {tmp_path}/half", context)).exit_code == 255
    assert not (tmp_path / "done").exists()
    assert (await ssh.execute(sshd.node(), f"({sent}) < {tmp_path}/whole", context)).exit_code == 0
    assert (tmp_path / "done").exists()
