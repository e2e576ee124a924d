"""Who logs in, with what, to which host, and by which way."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import asyncssh
import pytest

from runbus.plugin import FailureReason, Node, StepError
from services.runner.nodes.ssh.service import SshService
from tests.support.nodecontext import RecordingContext
from tests.support.sshd import Sshd, make_key, required_sshd

pytestmark = [pytest.mark.sshd, pytest.mark.slow]


@pytest.fixture
async def ssh() -> AsyncIterator[SshService]:
    service = SshService()
    yield service
    await service.close()


async def _succeeds(ssh: SshService, node: Node, tmp_path: Path, **secrets: str) -> None:
    context = RecordingContext(node, tmp_path, secrets={f"keys/{name}": value for name, value in secrets.items()})
    assert (await ssh.execute(node, "true", context)).exit_code == 0


async def _fails(ssh: SshService, node: Node, tmp_path: Path, **secrets: str) -> StepError:
    with pytest.raises(StepError, match=node.name) as raised:
        await _succeeds(ssh, node, tmp_path, **secrets)
    return raised.value


def _without_key(node: Node) -> dict[str, str]:
    return {name: value for name, value in node.attributes.items() if name != "ssh-keypath"}


async def test_a_key_of_the_key_storage(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    node = sshd.node(ssh_key_storage_path="keys/web", ssh_keypath="/nonexistent")
    await _succeeds(ssh, node, tmp_path, web=sshd.key.read_text())


async def test_settings_may_be_the_project_s(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    node = Node(name="web1", attributes=_without_key(sshd.node()))
    context = RecordingContext(node, tmp_path, settings={"ssh-keypath": str(sshd.key)})
    assert (await ssh.execute(node, "true", context)).exit_code == 0


@pytest.mark.parametrize(("kind", "form"), [("rsa", "PEM"), ("ecdsa", "PEM"), ("ed25519", "RFC4716")])
async def test_other_kinds_of_keys_and_their_passphrase(
    kind: str, form: str, ssh: SshService, tmp_path: Path
) -> None:
    if form != "PEM" and find_spec("bcrypt") is None:
        pytest.skip("OpenSSH's own form of encrypted keys needs the package bcrypt")
    key = make_key(tmp_path / "locked", kind=kind, form=form, passphrase="open sesame")
    with required_sshd(tmp_path / "sshd", settings={"AuthorizedKeysFile": f"{key}.pub"}) as server:
        node = server.node(ssh_keypath=str(key), ssh_key_passphrase_storage_path="keys/phrase")
        await _succeeds(ssh, node, tmp_path, phrase="open sesame")
        wrong = await _fails(ssh, node, tmp_path, phrase="open barley")
        assert wrong.reason is FailureReason.AUTHENTICATION
        assert "passphrase" in wrong.message
        assert "barley" not in wrong.message
        missing = await _fails(ssh, server.node(ssh_keypath=str(key)), tmp_path)
        assert "no passphrase is set" in missing.message


async def test_a_key_that_is_refused(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    node = sshd.node(ssh_keypath=str(make_key(tmp_path / "stranger")))
    failed = await _fails(ssh, node, tmp_path)
    assert failed.reason is FailureReason.AUTHENTICATION
    assert sshd.user in failed.message
    assert "authorized_keys" in failed.message


async def test_a_key_that_is_not_there(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    failed = await _fails(ssh, sshd.node(ssh_keypath="/nonexistent/key"), tmp_path)
    assert failed.reason is FailureReason.AUTHENTICATION
    assert "/nonexistent/key" in failed.message


async def test_a_stored_key_that_is_none(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    failed = await _fails(ssh, sshd.node(ssh_key_storage_path="keys/x"), tmp_path, x="topsecret, but no key")
    assert failed.reason is FailureReason.AUTHENTICATION
    assert "topsecret" not in failed.message


@pytest.fixture
def agent(sshd: Sshd, tmp_path: Path) -> Iterator[Path]:
    """An SSH agent that holds the server's key."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
    add = ["ssh-add", "-q", str(sshd.key)]
    while subprocess.run(add, env=environment, capture_output=True, check=False).returncode:
        assert process.poll() is None
    yield socket
    process.terminate()
    process.wait()


async def test_a_key_of_the_agent(sshd: Sshd, ssh: SshService, agent: Path, tmp_path: Path) -> None:
    attributes = _without_key(sshd.node()) | {"ssh-agent": str(agent)}
    await _succeeds(ssh, Node(name="web1", attributes=attributes), tmp_path)


@asynccontextmanager
async def _password_server(directory: Path, *, methods: str) -> AsyncIterator[tuple[int, Path]]:
    """A server that takes passwords: OpenSSH's wants a user of the system for that."""

    class Server(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return methods == "password"

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("deploy", "right")

        def kbdint_auth_supported(self) -> bool:
            return methods == "keyboard-interactive"

        def get_kbdint_challenge(self, *_: str) -> tuple[str, str, str, list[tuple[str, bool]]]:
            return "", "", "", [("Password:", False)]

        def validate_kbdint_response(self, username: str, responses: list[str]) -> bool:  # type: ignore[override]
            return (username, responses) == ("deploy", ["right"])

    host_key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Server, server_host_keys=[host_key],
        process_factory=lambda process: process.exit(0),
    )  # fmt: skip
    known_hosts = directory / "known"
    known_hosts.write_text(f"[127.0.0.1]:{server.get_port()} {host_key.export_public_key().decode()}")
    try:
        yield server.get_port(), known_hosts
    finally:
        server.close()
        await server.wait_closed()


def _password_node(port: int, known_hosts: Path, **attributes: str) -> Node:
    base = {
        "hostname": f"127.0.0.1:{port}",
        "username": "deploy",
        "ssh-authentication": "password",
        "ssh-known-hosts": str(known_hosts),
    }
    return Node(name="web1", attributes=base | {key.replace("_", "-"): value for key, value in attributes.items()})


@pytest.mark.parametrize("methods", ["password", "keyboard-interactive"])
async def test_a_password(methods: str, ssh: SshService, tmp_path: Path) -> None:
    async with _password_server(tmp_path, methods=methods) as (port, known_hosts):
        node = _password_node(port, known_hosts, ssh_password_storage_path="keys/pw")
        await _succeeds(ssh, node, tmp_path, pw="right")
        failed = await _fails(ssh, node, tmp_path, pw="wrong-one")
        assert failed.reason is FailureReason.AUTHENTICATION
        assert "deploy" in failed.message
        assert "wrong-one" not in failed.message


async def test_a_password_from_a_secure_option_comes_first(ssh: SshService, tmp_path: Path) -> None:
    async with _password_server(tmp_path, methods="password") as (port, known_hosts):
        node = _password_node(port, known_hosts, ssh_password_storage_path="keys/pw")
        secrets = {"keys/pw": "wrong", "option.sshPassword": "right"}
        context = RecordingContext(node, tmp_path, secrets=secrets)
        assert (await ssh.execute(node, "true", context)).exit_code == 0


async def test_no_password_at_all(ssh: SshService, tmp_path: Path) -> None:
    failed = await _fails(ssh, _password_node(1, tmp_path / "known"), tmp_path)
    assert failed.reason is FailureReason.AUTHENTICATION
    assert "ssh-password-storage-path" in failed.message


async def test_an_unknown_host_key_says_how_to_accept_it(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    failed = await _fails(ssh, sshd.node(ssh_known_hosts=str(tmp_path / "none")), tmp_path)
    assert failed.reason is FailureReason.SSH_PROTOCOL
    assert asyncssh.read_public_key(f"{sshd.host_key}.pub").get_fingerprint() in failed.message
    assert "ssh-keyscan" in failed.message


async def test_a_changed_host_key_is_refused_whatever_the_policy(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    known_hosts, other = tmp_path / "known", make_key(tmp_path / "other")
    known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {Path(f'{other}.pub').read_text()}")
    for policy in ("strict", "accept-new"):
        node = sshd.node(ssh_known_hosts=str(known_hosts), ssh_host_key_policy=policy)
        failed = await _fails(ssh, node, tmp_path)
        assert failed.reason is FailureReason.SSH_PROTOCOL
        assert "not the known one" in failed.message
    await _succeeds(ssh, sshd.node(ssh_known_hosts=str(known_hosts), ssh_host_key_policy="off"), tmp_path)


async def test_a_new_host_key_is_kept_where_that_is_the_policy(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    known_hosts = tmp_path / "home" / "known"
    await _succeeds(ssh, sshd.node(ssh_known_hosts=str(known_hosts), ssh_host_key_policy="accept-new"), tmp_path)
    assert f"[127.0.0.1]:{sshd.port} ssh-ed25519 " in known_hosts.read_text()
    await _succeeds(ssh, sshd.node(ssh_known_hosts=str(known_hosts)), tmp_path)


async def test_a_way_over_jump_hosts(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    with required_sshd(tmp_path / "inner", settings={"AuthorizedKeysFile": f"{sshd.key}.pub"}) as inner:
        sshd_line, inner_line = sshd.known_hosts.read_text(), inner.known_hosts.read_text()
        known_hosts = tmp_path / "known"
        known_hosts.write_text(sshd_line + inner_line)
        node = inner.node(
            ssh_keypath=str(sshd.key), ssh_known_hosts=str(known_hosts),
            ssh_proxy_jump=f"{sshd.user}@127.0.0.1:{sshd.port}",
        )  # fmt: skip
        context = RecordingContext(node, tmp_path)
        before = sshd.logins
        nodes = [Node(name=f"web{number}", attributes=node.attributes) for number in range(3)]
        async with asyncio.TaskGroup() as group:
            for each in nodes:
                group.create_task(ssh.execute(each, "echo $SSH_CONNECTION", context))
        assert len(context.stdout.split()) == 4 * 3
        assert (sshd.logins - before, inner.logins) == (1, 1)


async def test_a_jump_host_that_cannot_reach_the_node(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    failed = await _fails(ssh, sshd.node(hostname="127.0.0.1:1", ssh_proxy_jump=f"127.0.0.1:{sshd.port}"), tmp_path)
    assert failed.reason is FailureReason.CONNECTION_FAILURE
    assert f"jump host 127.0.0.1:{sshd.port}" in failed.message


async def test_a_jump_host_that_is_down_is_named(sshd: Sshd, ssh: SshService, tmp_path: Path) -> None:
    failed = await _fails(ssh, sshd.node(ssh_proxy_jump="127.0.0.1:1"), tmp_path)
    assert failed.reason is FailureReason.CONNECTION_FAILURE
    assert "its jump host 127.0.0.1:1" in failed.message
