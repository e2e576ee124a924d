"""A job dispatched to nodes through a runner, by SSH: commands, scripts with arguments, results per node, abort."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bus.nodes import load_nodes
from domain.nodes.formats import write_nodes
from schemas import catalog
from schemas.api import AbortRequest, JobPutRequest
from schemas.errors import RunbusError
from schemas.jobs import NodeDispatch
from schemas.nodes import Node, NodeFormat, NodeLoadRequest
from schemas.states import ExecutionState
from tests.support.sshd import Sshd
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = [pytest.mark.sshd, pytest.mark.slow]

JOB = """\
- name: over-nodes
  options: [{name: word, value: it's $HOME}]
  nodefilters: {filter: "tags: web", dispatch: {threadcount: 2, keepgoing: true}}
  sequence:
    commands:
    - exec: echo ${option.word} on ${node.name}
    - script: |
        #!/bin/sh
        echo "script got $1"; test "$0" != "${0#/}" && exit ${2:-0}
      args: ${option.word}
"""


@pytest.fixture
async def fleet(system: System, sshd: Sshd) -> System:
    system.start_nodesource()
    await system.up("local", "web:linux")
    gone = Node(name="gone", attributes={"hostname": "127.0.0.1:9", "username": "nobody"}, tags=["web"])
    nodes = [
        Node(name=node.name, attributes=node.attributes, tags=["web"])
        for node in (sshd.node("web1"), sshd.node("web2"))
    ]
    text = write_nodes("resourceyaml", [*nodes, gone])

    async def loaded() -> bool:
        try:
            await load_nodes(system.bus, system.subjects, NodeLoadRequest(format=NodeFormat.RESOURCEYAML, text=text))
        except RunbusError:
            return False
        return True

    await eventually(loaded, within_s=20.0, what="the nodes are loaded")
    return system


async def test_each_node_has_its_result_and_its_lines(fleet: System) -> None:
    await fleet.client.call(catalog.JOB_PUT, JobPutRequest(text=JOB))
    ended = await fleet.run([], job="over-nodes", wait_s=40.0)
    assert ended.state is ExecutionState.FAILED
    assert {end: sorted(names) for end, names in ended.nodes.items()} == {
        "succeeded": ["web1", "web2"],
        "failed": ["gone"],
    }
    lines: dict[str, bytes] = {}
    for piece in await fleet.log(ended.id):
        for entry in piece.entries:
            if entry.stream == "stdout":
                lines[entry.node] = lines.get(entry.node, b"") + entry.text.encode()
    for node in ("web1", "web2"):
        assert lines[node] == f"it's $HOME on {node}\nscript got it's $HOME\n".encode()
    (failed,) = [each for each in ended.outcomes if each.node == "gone"]
    assert failed.reason == "ConnectionFailure"
    assert failed.error is not None
    assert "127.0.0.1" in failed.error.message


async def test_an_abort_ends_what_runs_on_the_nodes(fleet: System, tmp_path: Path) -> None:
    mark = tmp_path / "runs"
    begun = await fleet.start(
        f"touch {mark}; exec sleep 60.25", "linux", nodes=NodeDispatch(filter="name: web1"), wait_s=0.0
    )
    await eventually(mark.exists, within_s=20.0, what="it runs on the node")
    await fleet.client.call(catalog.ABORT, AbortRequest(execution=begun.id), timeout_s=30.0)
    ended = await fleet.end_of(begun.id, wait_s=30.0)
    assert ended.state is ExecutionState.ABORTED
    left = await asyncio.create_subprocess_exec("pgrep", "-f", "sleep 60.25", stdout=asyncio.subprocess.DEVNULL)
    assert await left.wait() == 1
