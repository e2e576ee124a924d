"""The page docs/any-language.md: every command in it is sent, every JSON in it is what comes back.

``RUNBUS_TEST_REWRITE=1`` writes what came back into the page.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from schemas import catalog
from schemas.states import ExecutionState
from tests.support.example_system import example_system
from tests.support.page import Command, exchanges, laid_out, steady
from tests.support.processes import ROOT
from tests.support.system import System
from tests.support.waiting import eventually

PAGE: Final = ROOT / "docs" / "any-language.md"
REWRITE: Final = bool(os.environ.get("RUNBUS_TEST_REWRITE"))


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    async with example_system(tmp_path) as started:
        started.start_dispatcher()
        await started.ready()
        started.start_runner("web-1", "LINUX,DEV")
        await started.runners_ready("web-1")
        yield started


async def test_the_page_says_what_happens(system: System) -> None:
    page = written = PAGE.read_text()
    for exchange in exchanges(page):
        came: list[Any] = []
        for command in exchange.commands:
            came = await send(system, command, len(exchange.answers))
        for answer, real in zip(exchange.answers, came, strict=False):
            if REWRITE:
                written = written.replace(answer[0], f"```json\n{laid_out(steady(real))}\n```")
            else:
                assert json.loads(answer[2]) == steady(real)
        assert len(came) >= len(exchange.answers)
    if REWRITE:
        PAGE.write_text(written)
    assert (await system.show("my-2")).state is ExecutionState.ABORTED
    assert (await system.end_of("my-3")).state is ExecutionState.SUCCEEDED


async def test_another_request_under_a_taken_id(system: System) -> None:
    """Refused; published durably, dropped: the execution keeps its own end, and no process was started."""
    body = json.dumps(
        {
            "id": "mine",
            "steps": [{"plugin": "command", "config": {"command": "true"}}],
            "runner": {"mode": "TAGS", "filter": "dev"},
        }
    )
    await send(system, Command("req", "rb.api.dispatcher.run", body, {}), 1)
    assert (await system.end_of("mine")).state is ExecutionState.SUCCEEDED
    other = body.replace('"true"', '"false"')
    [refused] = await send(system, Command("req", "rb.api.dispatcher.run", other, {}), 1)
    assert refused["error"]["code"] == "already_exists"
    await send(system, Command("pub", "rb.default.request", other, {}), 1)

    async def taken() -> bool:
        return await system.count(system.subjects.requests_stream) == 0

    await eventually(taken, what="the durable request is taken")
    assert [kind for _, kind in await system.events("mine")] == [
        "runbus.execution_queued.v1",
        "runbus.assignment_started.v1",
        "runbus.assignment_finished.v1",
    ]


async def send(system: System, command: Command, wanted: int) -> list[Any]:
    """What `nats` shows for the command: a reply, or what is in the stream once as much as is wanted is there."""
    if command.verb == "sub":
        return await read(system, command.subject, wanted)
    reply = await system.bus.client.request(
        command.subject, command.body.encode(), timeout=20, headers=command.headers or None
    )
    body = json.loads(reply.data)
    code = (reply.headers or {}).get(catalog.ERROR_CODE_HEADER)
    assert code == body.get("error", {}).get("code") if body.get("type") == "runbus.error.v1" else code is None
    return [body]


async def read(system: System, subject: str, wanted: int) -> list[Any]:
    streams = {"exec": system.subjects.events_stream, "log": system.subjects.logs_stream}
    stream = streams[subject.split(".")[2]]

    async def there() -> bool:
        return await system.count(stream, subject) >= wanted

    await eventually(there, what=f"{wanted} messages on {subject}")
    return [json.loads(data) for _, data in await system.stored(stream, subject)]
