"""A project that dispatches automatically: nodes, runners with node filters, and jobs over them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bus.nodes import load_nodes
from schemas import catalog
from schemas.api import (
    DispatchMode,
    ExecutionView,
    JobPutRequest,
    ProjectSetRequest,
    RunnerNodesRequest,
    RunRequest,
)
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import Flow, NodeDispatch, RunnerSelector, SelectorMode, Step
from schemas.nodes import NodeFormat, NodeLoadRequest
from schemas.states import FINAL
from tests.support.parts import Part
from tests.support.system import WAIT_S, System
from tests.support.waiting import eventually

ALL = "name: .*"


async def automatic(system: System, *zones: str, local: bool = True, nodes: int = 2, **settings: Any) -> Part:
    """Registry, nodesource, a dispatcher, the Local Runner, and a runner ``r-a`` with the nodes ``a1``, ``a2``, …
    for each zone ``a``; returns the dispatcher."""
    system.start_registry(**settings)
    system.start_nodesource()
    dispatcher = system.start_dispatcher()
    await system.ready()
    if local:
        system.start_runner("local", local=True)
    for zone in zones:
        system.start_runner(f"r-{zone}")
    await system.runners_ready(*(["local"] if local else []), *(f"r-{zone}" for zone in zones))
    await set_automatic(system)
    await load(system, {f"{zone}{number}": {"zone": zone} for zone in zones for number in range(1, nodes + 1)})
    for zone in zones:
        await serve(system, f"r-{zone}", f"zone: {zone}")
    return dispatcher


async def set_automatic(system: System) -> None:
    await system.client.call(
        catalog.PROJECT_SET, ProjectSetRequest(project="default", dispatch=DispatchMode.AUTOMATIC)
    )


async def load(system: System, nodes: dict[str, dict[str, str]]) -> None:
    """Nodes that every runner reaches as itself."""
    document = {name: {"node-executor": "local", "file-copier": "local", **own} for name, own in nodes.items()}
    request = NodeLoadRequest(format=NodeFormat("resourcejson"), text=json.dumps(document))

    async def loaded() -> bool:
        try:
            await load_nodes(system.bus, system.subjects, request)
        except RunbusError as error:
            assert error.code is ErrorCode.UNAVAILABLE, error.message
            return False
        return True

    await eventually(loaded, within_s=20.0, what="the nodes are loaded")


async def serve(system: System, runner: str, node_filter: str) -> None:
    request = RunnerNodesRequest(runner=runner, project="default", filter=node_filter)
    await system.client.call(catalog.RUNNER_NODES, request)


def on_nodes(*commands: str | Step, flow: Flow | None = None, **fields: Any) -> RunRequest:
    """Steps over all nodes; ``nodes`` are further fields of the dispatch."""
    dispatch = NodeDispatch(filter=fields.pop("filter", ALL), **fields.pop("nodes", {}))
    return RunRequest(steps=[exec_step(each) for each in commands], nodes=dispatch, flow=flow or Flow(), **fields)


def exec_step(command: str | Step, **fields: Any) -> Step:
    return command if isinstance(command, Step) else Step(plugin="exec", config={"command": command}, **fields)


def line(command: str, **fields: Any) -> Step:
    """A line for the shell, nothing of it quoted."""
    return Step(plugin="command", config={"command": command}, **fields)


async def run(system: System, request: RunRequest) -> ExecutionView:
    """Run it to its end."""
    import msgspec  # noqa: PLC0415

    return await system.client.run(msgspec.structs.replace(request, wait_s=WAIT_S))


async def put(system: System, text: str) -> None:
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=text))


def tags(text: str) -> RunnerSelector:
    return RunnerSelector(mode=SelectorMode.FILTER, filter=text)


def diary_of(path: Path) -> list[str]:
    """What steps wrote, in order."""
    return path.read_text().split() if path.exists() else []


async def end_of(system: System, execution: str, *, within_s: float = 15.0) -> ExecutionView:
    """The end of an execution that may not be there yet."""

    async def ended() -> ExecutionView | None:
        try:
            view = await system.end_of(execution)
        except RunbusError as error:
            assert error.code is ErrorCode.UNKNOWN_EXECUTION, error.message
            return None
        return view if view.state in FINAL else None

    view = await eventually(ended, within_s=within_s, what=f"{execution} is there, and ends")
    assert view is not None
    return view
