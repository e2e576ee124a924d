"""Ten thousand nodes: planned, divided, shown and ended, while the dispatcher answers others."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bus.parcels import Parcels
from bus.plans import park_plan, read_plan
from schemas.api import ExecutionListRequest
from schemas.catalog import EXECUTION_LIST
from schemas.events import Assignment, CalledJob, Dispatch
from schemas.jobs import Flow, JobRef, Strategy
from schemas.nodes import Node
from schemas.states import ExecutionState
from tests.support.automatic import end_of, load, on_nodes, serve, set_automatic
from tests.support.system import System

COUNT = 10_000
MAX_PAUSE_S = 0.05


def many(count: int = COUNT) -> dict[str, dict[str, str]]:
    facts = {"osFamily": "unix", "osName": "Linux", "username": "deploy", "description": "one of very many"}
    return {f"host-{number:05}.example.org": {"zone": "ab"[number % 2], **facts} for number in range(count)}


@asynccontextmanager
async def pauses() -> AsyncIterator[list[float]]:
    """How long this event loop was held at a time, above 20 ms."""
    found: list[float] = []

    async def watch() -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.005)
            late = time.perf_counter() - begun - 0.005
            if late > 0.02:
                found.append(round(late, 3))

    gc.collect()
    gc.freeze()  # what the tests have loaded is not the dispatcher's
    task = asyncio.ensure_future(watch())
    try:
        yield found
    finally:
        task.cancel()
        gc.unfreeze()


async def with_zones(system: System, **settings: Any) -> None:
    """The runners are programs: what they do with so many nodes is not the dispatcher's pause."""
    system.start_registry()
    system.start_nodesource(program=True)
    system.start_dispatcher()
    await system.ready()
    for zone in "ab":
        system.start_runner(f"r-{zone}", program=True, **settings)
    await system.runners_ready("r-a", "r-b")
    await load(system, many())


@pytest.mark.slow
async def test_ten_thousand_nodes_are_divided_shown_and_ended_without_a_long_pause(system: System) -> None:
    await with_zones(system)
    await set_automatic(system)
    for zone in "ab":
        await serve(system, f"r-{zone}", f"zone: {zone}")
    flow = Flow(strategy=Strategy.SEQUENTIAL, keepgoing=True)
    steps = ["${option.none}"] * 3  # each fails at once: no process is begun
    async with pauses() as found:
        view = await system.client.run(on_nodes(*steps, flow=flow, nodes={"threadcount": "50", "keepgoing": True}))
        assert {token: len(names) for token, names in view.division.items()} == {"=40r-a": 5000, "=40r-b": 5000}
        ended = await end_of(system, view.id, within_s=120.0)
    assert ended.state is ExecutionState.FAILED
    assert len(ended.nodes["failed"]) == COUNT
    assert [part.node_count for part in ended.parts] == [5000] * 6
    page = await system.client.call(EXECUTION_LIST, ExecutionListRequest())
    assert [each.id for each in page.executions] == [view.id]
    assert max(found, default=0.0) < MAX_PAUSE_S, found


async def test_a_plan_comes_back_from_its_parcel_as_it_was_in_slices(system: System) -> None:
    await system.up()
    parcels = await Parcels.open(system.bus, system.subjects.parcels_bucket)
    nodes = [Node(name=name, attributes=facts) for name, facts in many(1201).items()]
    dispatch = Dispatch(nodes=nodes, threads=3, filter="x")
    call = CalledJob(ref=JobRef(uuid="u", name="n"), steps=[], dispatch=Dispatch(nodes=nodes[:7]))
    none = CalledJob(ref=JobRef(uuid="v", name="m"), steps=[])
    plan = Assignment(
        execution="e", assignment="1", project="p", attempt=1, steps=[], title="a\nb", dispatch=dispatch,
        calls={"1": call, "2e": none}, division={"local": ["x"]},
    )  # fmt: skip
    name = await park_plan(parcels, plan)
    assert await read_plan(parcels, name) == plan
    head = await read_plan(parcels, name, with_nodes=False)
    assert (head.division, head.dispatch and head.dispatch.nodes) == (plan.division, [])
