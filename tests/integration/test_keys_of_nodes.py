"""Nodes whose attributes name keys: read when the connection is opened, and masked from there on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.nodes import load_nodes
from domain.nodes.formats import write_nodes
from schemas.errors import RunbusError
from schemas.jobs import NodeDispatch
from schemas.nodes import Node, NodeFormat, NodeLoadRequest
from schemas.states import ExecutionState
from tests.support.keydirs import put_key
from tests.support.sshd import Sshd
from tests.support.system import WAIT_S, System
from tests.support.waiting import eventually

pytestmark = [pytest.mark.sshd, pytest.mark.slow]


async def load(system: System, *nodes: Node) -> None:
    request = NodeLoadRequest(format=NodeFormat.RESOURCEYAML, text=write_nodes("resourceyaml", list(nodes)))

    async def loaded() -> bool:
        try:
            await load_nodes(system.bus, system.subjects, request)
        except RunbusError:
            return False
        return True

    await eventually(loaded, within_s=20.0, what="the nodes are loaded")


async def test_login_keys_of_the_centre_and_of_the_runner(system: System, sshd: Sshd, tmp_path: Path) -> None:
    system.start_keyproxy()
    system.start_nodesource()
    await system.up("local")
    own = tmp_path / "own"
    (own / "deploy").mkdir(parents=True)
    key = sshd.key.read_text()
    (own / "deploy" / "id").write_text(key)
    (own / "deploy" / "id").chmod(0o600)
    system.start_runner("web", "linux", keys_dir=str(own))
    await system.runners_ready("web")
    await put_key(system.client, "keys/deploy/id", key)
    plain = {name: value for name, value in sshd.node().attributes.items() if name != "ssh-keypath"}
    await load(
        system,
        Node(name="by-centre", attributes=plain | {"ssh-key-storage-path": "keys/deploy/id"}),
        Node(name="by-runner", attributes=plain | {"ssh-key-storage-path": "runner/deploy/id"}),
        Node(name="by-none", attributes=plain | {"ssh-key-storage-path": "runner/deploy/none"}),
    )
    print_key = f"sed -n 2p {sshd.key}; echo seen"
    view = await system.run(
        print_key, "linux", nodes=NodeDispatch(filter="name: by-.*", keepgoing=True), wait_s=WAIT_S
    )
    assert view.state is ExecutionState.FAILED
    assert {end: sorted(names) for end, names in view.nodes.items()} == {
        "succeeded": ["by-centre", "by-runner"],
        "failed": ["by-none"],
    }
    output = await system.output(view.id)
    assert output.count(b"seen") == 2
    assert output.count(b"[SECURE]") == 2
    assert key.splitlines()[1].encode() not in output
    remarks = await system.output(view.id, "runner")
    assert b"Node by-none: ssh-key-storage-path: key 'runner/deploy/none' cannot be read on runner web" in remarks
