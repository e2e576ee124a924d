"""What node executors make of settings and addresses, and what runs on the runner's own node."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.plugin import FailureReason, Node, NodeContext, NodeExecutor, ProcessExit, StepError
from services.runner.nodes.docker import DockerNodes
from services.runner.nodes.docker.place import place_of
from services.runner.nodes.local import LocalNodes
from services.runner.nodes.marks import environment_of, new_mark, signal_script
from services.runner.nodes.settings import NodeSettings
from services.runner.nodes.ssh import SshNodes
from services.runner.nodes.ssh.failures import ConnectError
from services.runner.nodes.ssh.opening import Opener
from services.runner.nodes.ssh.resolve import route_of
from services.runner.nodes.ssh.route import Address, parse_address
from tests.support.nodecontext import RecordingContext

HOSTS = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,30}", fullmatch=True) | st.ip_addresses().map(str)


@given(HOSTS, st.integers(1, 65535), st.none() | st.from_regex(r"[a-z][a-z0-9@.-]{0,10}", fullmatch=True))
def test_an_address_is_read_as_it_is_written(host: str, port: int, user: str | None) -> None:
    address = Address(host, port)
    text = str(address) if user is None else f"{user}@{address}"
    assert parse_address(text) == (user, address)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_reason(text: str) -> None:
    try:
        _, address = parse_address(text)
    except ValueError as reason:
        assert str(reason)
    else:
        assert address.host
        assert 0 < address.port < 65536


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("web1", (None, Address("web1", 22))),
        ("web1:2222", (None, Address("web1", 2222))),
        ("::1", (None, Address("::1", 22))),
        ("[::1]", (None, Address("::1", 22))),
        ("[::1]:2222", (None, Address("::1", 2222))),
        ("deploy@web1:2222", ("deploy", Address("web1", 2222))),
        ("deploy@corp@web1", ("deploy@corp", Address("web1", 22))),
    ],
)
def test_forms_of_addresses(text: str, found: tuple[str | None, Address]) -> None:
    assert parse_address(text) == found


@pytest.mark.parametrize("text", ["", "web1:", "web1:x", "web1:0", "web1:65536", "@web1", "[::1", "[]:22", "a b"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_address(text)


def _context(tmp_path: Path, attributes: dict[str, str], **settings: str) -> tuple[Node, RecordingContext]:
    node = Node(name="web1", attributes=attributes)
    return node, RecordingContext(node, tmp_path, settings=settings)


async def test_the_original_s_names_and_units(tmp_path: Path) -> None:
    attributes = {"hostname": "web1:2200", "username": "deploy", "ssh-keypath": "~/k", "ssh-connect-timeout": "1500"}
    node, context = _context(tmp_path, attributes)
    route = await route_of(node, context)
    assert (route.address, route.login.user, route.connect_timeout_s) == (Address("web1", 2200), "deploy", 1.5)
    assert route.login.key is not None
    assert route.login.key.path == str(Path("~/k").expanduser())
    assert route.keepalive_s == 15.0


async def test_no_timeout_is_the_default_one(tmp_path: Path) -> None:
    node, context = _context(tmp_path, {"hostname": "web1", "username": "u", "ssh-connect-timeout": "0"})
    assert (await route_of(node, context)).connect_timeout_s == 30.0


async def test_a_port_in_the_hostname_comes_before_ssh_port(tmp_path: Path) -> None:
    for hostname, port in (("web1", 2222), ("web1:22", 22)):
        node, context = _context(tmp_path, {"hostname": hostname, "ssh-port": "2222"})
        assert (await route_of(node, context)).address.port == port


async def test_a_user_in_the_hostname_comes_before_username(tmp_path: Path) -> None:
    node, context = _context(tmp_path, {"hostname": "root@web1", "username": "deploy"})
    assert (await route_of(node, context)).login.user == "root"


async def test_jump_hosts_stand_in_their_order(tmp_path: Path) -> None:
    attributes = {"hostname": "db", "username": "deploy", "ssh-proxy-jump": "outer, admin@inner:2222"}
    node, context = _context(tmp_path, attributes)
    route = await route_of(node, context)
    assert route.via is not None
    assert route.via.via is not None
    hops = [route.via.via, route.via, route]
    assert [str(hop) for hop in hops] == ["outer:22 as deploy", "inner:2222 as admin", "db:22 as deploy"]


async def test_secrets_do_not_show_in_a_route(tmp_path: Path) -> None:
    node = Node(name="web1", attributes={"hostname": "web1", "ssh-key-storage-path": "keys/k"})
    secrets = {"keys/k": "KEYTEXT", "option.sshKeyPassphrase": "PHRASE"}
    route = await route_of(node, RecordingContext(node, tmp_path, secrets=secrets))
    assert route.login.key is not None
    assert (route.login.key.text, route.login.key.passphrase) == ("KEYTEXT", "PHRASE")
    assert "KEYTEXT" not in repr(route)
    assert "PHRASE" not in repr(route)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("ssh-key-storage-path", {}),
        ("ssh-password-storage-path", {"ssh-authentication": "password"}),
        ("ssh-key-passphrase-storage-path", {"ssh-keypath": "/k"}),
    ],
)
async def test_an_attribute_that_is_no_name_of_a_key_is_named(
    tmp_path: Path, name: str, more: dict[str, str]
) -> None:
    node, context = _context(tmp_path, {"hostname": "web1", name: "deploy/id", **more})
    with pytest.raises(StepError, match=f"Node web1: {name} is no name of a key .*: write runner/") as caught:
        await route_of(node, context)
    assert caught.value.reason is FailureReason.CONFIGURATION
    assert "deploy" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "value", "more"),
    [
        ("ssh-key-storage-path", "keys/none", {}),
        ("ssh_key_storage_path", "runner/../x", {}),
        ("ssh-password-storage-path", "runner/none", {"ssh-authentication": "password"}),
        ("ssh-password-option", "option.none", {"ssh-authentication": "password"}),
        ("ssh-key-passphrase-storage-path", "runner/none", {"ssh-keypath": "/k"}),
        ("ssh_key_passphrase_option", "option.none", {"ssh-keypath": "/k"}),
    ],
)
async def test_a_secret_that_is_not_there_is_told_with_node_and_attribute(
    tmp_path: Path, name: str, value: str, more: dict[str, str]
) -> None:
    node, context = _context(tmp_path, {"hostname": "web1", name: value, **more})
    with pytest.raises(StepError) as caught:
        await route_of(node, context)
    assert caught.value.message == f"Node web1: {name}: there is no key {value}."
    assert caught.value.reason is FailureReason.NOT_FOUND


async def test_a_stored_key_that_is_none_is_told_with_its_attribute(tmp_path: Path) -> None:
    attributes = {"hostname": "127.0.0.1", "ssh-key-storage-path": "keys/k", "ssh-host-key-policy": "off"}
    node = Node(name="web1", attributes=attributes)
    route = await route_of(node, RecordingContext(node, tmp_path, secrets={"keys/k": "no key"}))
    with pytest.raises(ConnectError, match="the private key that ssh-key-storage-path names is none that can be"):
        await Opener().open(route, None)


def test_a_container_is_named_by_its_attribute_else_by_the_node(tmp_path: Path) -> None:
    for attributes, container in (
        ({"docker-container": "a", "docker:Id": "b", "hostname": "c"}, "a"),
        ({"docker:Id": "b", "hostname": "c"}, "b"),
        ({"hostname": "c"}, "c"),
        ({}, "web1"),
    ):
        node, context = _context(tmp_path, attributes)
        assert place_of(node, NodeSettings(node, context)).container == container


def test_an_engine_of_another_kind_is_refused(tmp_path: Path) -> None:
    node, context = _context(tmp_path, {"docker-host": "ssh://host"})
    with pytest.raises(StepError, match="docker-host"):
        place_of(node, NodeSettings(node, context))


@pytest.mark.parametrize("module", ["ssh", "docker"])
def test_nothing_is_imported_before_the_first_use(module: str) -> None:
    code = (
        f"import sys, services.runner.nodes.{module} as m; "
        f"sys.exit(any(name in sys.modules for name in ('asyncssh', 'aiodocker')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("kind", [LocalNodes, SshNodes, DockerNodes])
async def test_closing_before_the_first_use_does_nothing(kind: type[LocalNodes | SshNodes | DockerNodes]) -> None:
    nodes: NodeExecutor = kind()
    await nodes.close()
    assert kind.requires == {LocalNodes: (), SshNodes: ("asyncssh",), DockerNodes: ("aiodocker",)}[kind]


async def test_the_runner_s_own_node_runs_by_the_shell(tmp_path: Path) -> None:
    node, context = _context(tmp_path, {})
    hosted: NodeContext = context
    ended = await LocalNodes().execute(node, ["echo", "'two words'", "&&", "exit", "4"], hosted)
    assert ended == ProcessExit(exit_code=4)
    assert context.stdout == b"two words\n"


async def test_a_local_file_is_new_and_its_user_s_only(tmp_path: Path) -> None:
    node, context = _context(tmp_path, {})
    victim, destination = tmp_path / "victim", tmp_path / "script.sh"
    victim.write_text("mine")
    destination.symlink_to(victim)
    await LocalNodes().copy(node, b"\0text", str(destination), context)
    assert victim.read_text() == "mine"
    assert destination.read_bytes() == b"\0text"
    assert stat.S_IMODE(destination.lstat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["nowhere/script.sh", "nul\0byte", "."])
async def test_a_local_file_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    node, context = _context(tmp_path, {})
    with pytest.raises(StepError, match="web1") as raised:
        await LocalNodes().copy(node, b"x", f"{tmp_path}/{name}", context)
    assert raised.value.reason is FailureReason.IO_FAILURE


def test_a_mark_finds_what_bears_it_and_nothing_else() -> None:
    mark = new_mark()
    marked = subprocess.Popen(["sleep", "60"], env={**os.environ, **environment_of(mark)})
    other = subprocess.Popen(["sleep", "60"], env={**os.environ, **environment_of(new_mark())})
    try:
        subprocess.run(["/bin/sh", "-c", signal_script(mark, "TERM", siblings=False)], check=False)
        assert marked.wait(10) == -15
        assert other.poll() is None
    finally:
        for process in (marked, other):
            process.kill()
            process.wait()
