"""A runner that is a node of its projects: listed, matched by filters, and run on where it is."""

from __future__ import annotations

from bus.nodes import find_nodes
from schemas.jobs import NodeDispatch
from schemas.nodes import NodeListRequest
from schemas.states import ExecutionState
from tests.support.system import System
from tests.support.waiting import eventually


async def names(system: System, text: str) -> list[str]:
    found = await find_nodes(system.bus, system.subjects, NodeListRequest(filter=text))
    return [node.name for node in found.nodes]


async def test_it_is_listed_and_runs_what_is_dispatched_to_it(system: System) -> None:
    system.start_nodesource()
    await system.up("local")
    system.start_runner("web-1", tags="web", runner_as_node=True)
    system.start_runner("web-2", tags="web")
    await system.runners_ready("web-1", "web-2")

    async def listed() -> bool:
        return await names(system, "tags: web") == ["web-1"]

    await eventually(listed, what="the runner is listed")
    ended = await system.run("echo $RD_NODE_NAME", "@web-1", nodes=NodeDispatch(filter="name: web-1"))
    assert ended.state is ExecutionState.SUCCEEDED
    assert ended.nodes == {"succeeded": ["web-1"]}
    assert await system.output(ended.id) == b"web-1\n"
