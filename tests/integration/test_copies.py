"""Dispatchers: several copies, their read model, discovery, and how they stop."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from bus.connection import Bus
from runbus.client import Client
from schemas import catalog
from schemas.api import ExecutionListRequest, ExecutionView
from schemas.states import ExecutionState
from tests.support.gate import Gate
from tests.support.parts import ProgramPart
from tests.support.system import System, request
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


async def asked_all(bus: Bus, subject: str) -> list[dict[str, Any]]:
    """Every answer to a request that several may answer, until none has come for a while."""
    inbox = bus.client.new_inbox()
    sub = await bus.client.subscribe(inbox)
    await bus.client.publish(subject, reply=inbox)
    found: list[dict[str, Any]] = []
    try:
        while True:
            found.append(json.loads((await sub.next_msg(timeout=0.3)).data))
    except TimeoutError:
        return found
    finally:
        await sub.unsubscribe()


async def listed(client: Client) -> list[ExecutionView]:
    page = await client.call(catalog.EXECUTION_LIST, ExecutionListRequest(limit=100))
    assert page.events_behind == 0
    return page.executions


async def test_the_services_are_found_by_the_discovery_of_nats(system: System) -> None:
    await system.up()
    for name, endpoints in (
        ("runbus-registry", catalog.REGISTRY_ENDPOINTS),
        ("runbus-dispatcher", catalog.DISPATCHER_ENDPOINTS),
    ):
        wanted = {endpoint.subject(system.subjects) for endpoint in endpoints}
        pings = await asked_all(system.bus, f"$SRV.PING.{name}")
        assert {ping["name"] for ping in pings} == {name}
        infos = await asked_all(system.bus, f"$SRV.INFO.{name}")
        assert wanted in [{endpoint["subject"] for endpoint in info["endpoints"]} for info in infos]


async def test_two_dispatchers_share_the_requests_and_tell_the_same(system: System) -> None:
    await system.up("a1:linux", "local")
    system.start_dispatcher()
    run_subject = catalog.RUN.subject(system.subjects)

    async def served() -> list[int]:
        stats = await asked_all(system.bus, "$SRV.STATS.runbus-dispatcher")
        return [
            endpoint["num_requests"]
            for each in stats
            for endpoint in each["endpoints"]
            if endpoint["subject"] == run_subject
        ]

    async def both_there() -> bool:
        return len(await served()) == 2

    await eventually(both_there, what="both serve")
    for _ in range(30):
        ended = await system.run("echo x", "linux")
        shown = await asyncio.gather(*(system.show(ended.id) for _ in range(6)))
        assert all(view == ended for view in shown), "whichever answers, the answer is the same right after a run"
        pages = await asyncio.gather(*(listed(system.client) for _ in range(6)))
        assert {page[0].id for page in pages} == {ended.id}
        assert all(page == pages[0] for page in pages)
    counts = await served()
    assert sum(counts) == 30
    assert min(counts) > 0


async def test_a_deleted_ledger_is_filled_anew_from_the_stream(system: System, tmp_path: Path) -> None:
    data = tmp_path / "data"
    system.start_registry()
    first = system.start_dispatcher(data_dir=str(data))
    await system.ready()
    system.start_runner("a1", "linux")
    await system.runners_ready("a1")
    with Gate(tmp_path) as gate:
        for command in ("true", "exit 3", "echo x >&2", "kill -9 $$"):
            await system.run(command, "linux", user="alice")
        running = await system.start(gate.command, "linux")
        await eventually(lambda: gate.inside, what="one runs")
        before = await listed(system.client)
        views = [await system.show(view.id) for view in before]
        assert await system.stop(first) == 0
        files = [path for path in data.iterdir() if path.name.startswith("ledger")]
        assert files
        for path in files:
            path.unlink()
        system.start_dispatcher(data_dir=str(data))
        await system.ready()
        assert await listed(system.client) == before
        assert [await system.show(view.id) for view in before] == views
        gate.open()
        assert (await system.end_of(running.id)).state is ExecutionState.SUCCEEDED
    found = await system.client.call(
        catalog.EXECUTION_LIST, ExecutionListRequest(states=[ExecutionState.FAILED], text="alice")
    )
    assert len(found.executions) == 2


async def test_a_dispatcher_that_was_away_catches_up(system: System, tmp_path: Path) -> None:
    data = tmp_path / "data"
    system.start_registry()
    first = system.start_dispatcher(data_dir=str(data))
    await system.ready()
    system.start_runner("a1", "linux")
    await system.runners_ready("a1")
    with Gate(tmp_path) as gate:
        running = await system.start(gate.command, "linux")
        await eventually(lambda: gate.inside, what="it runs")
        await system.stop(first)
        gate.open()
        await eventually(lambda: idle(system), what="the runner is done")
    system.start_dispatcher(data_dir=str(data))
    await system.ready()
    assert (await system.show(running.id)).state is ExecutionState.SUCCEEDED


async def idle(system: System) -> bool:
    return (await system.ping("a1")).running == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_every_service_with_code_0(system: System, number: signal.Signals) -> None:
    parts = [
        system.start_registry(program=True),
        system.start_dispatcher(program=True),
        system.start_runner("a1", "linux", program=True),
    ]
    await system.ready()
    await system.runners_ready("a1")
    for part in reversed(parts):
        assert isinstance(part, ProgramPart)
        system.forget(part)
        part.program.signal(number)
        assert await part.program.ended() == 0, part.program.log
        assert "Traceback" not in part.program.log


async def test_a_stopping_dispatcher_answers_what_it_has_accepted(system: System, tmp_path: Path) -> None:
    """Whoever waits for an end gets an answer while the service stops: the end, or a refusal, never silence."""
    system.start_registry()
    dispatcher = system.start_dispatcher(program=True)
    assert isinstance(dispatcher, ProgramPart)
    await system.ready()
    system.start_runner("a1", "linux")
    await system.runners_ready("a1")
    with Gate(tmp_path) as gate:
        waiting = asyncio.ensure_future(system.client.run(request(gate.command, "linux", wait_s=20.0)))
        await eventually(lambda: gate.inside, what="it runs")
        system.forget(dispatcher)
        dispatcher.program.signal(signal.SIGTERM)
        await eventually(lambda: '"stopping"' in dispatcher.program.log, what="it stops")
        gate.open()
        assert (await waiting).state is ExecutionState.SUCCEEDED
        assert await dispatcher.program.ended() == 0


async def test_parts_may_start_in_any_order(system: System) -> None:
    system.start_runner("local", local=True)
    system.start_runner("a1", "linux")
    system.start_dispatcher()
    system.start_registry()
    await system.ready()
    await system.runners_ready("local", "a1")
    assert (await system.run("true", "linux")).state is ExecutionState.SUCCEEDED
    assert (await system.run("true")).state is ExecutionState.SUCCEEDED
