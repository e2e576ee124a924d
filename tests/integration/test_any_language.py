"""The page docs/any-language.md: every command in it is sent, every JSON in it is what comes back.

``RUNBUS_TEST_REWRITE=1`` writes what came back into the page.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from nacl.public import PublicKey, SealedBox
from nats.errors import NoRespondersError

from schemas import catalog
from schemas.api import JobPutRequest
from schemas.errors import ErrorCode
from schemas.keys import SealingKeyRequest
from schemas.states import ExecutionState
from tests.support.example_system import example_system, must
from tests.support.leaks import found_in
from tests.support.overheard import overheard
from tests.support.page import Command, exchanges, laid_out, steady
from tests.support.processes import ROOT
from tests.support.system import System
from tests.support.waiting import eventually

PAGE: Final = ROOT / "docs" / "any-language.md"
REWRITE: Final = bool(os.environ.get("RUNBUS_TEST_REWRITE"))
SECRET: Final = "swordfish"


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
    reader = Reader(system, page)
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=block(page, "yaml")))
    async with overheard(system) as heard:
        for exchange in exchanges(page):
            came: list[Any] = []
            for command in exchange.commands:
                came = await reader.send(command, len(exchange.answers))
            for answer, real in zip(exchange.answers, came, strict=False):
                if REWRITE:
                    written = written.replace(answer[0], f"```json\n{laid_out(reader.shown(real))}\n```")
                else:
                    assert json.loads(answer[2]) == reader.shown(real)
            assert len(came) >= len(exchange.answers)
    if REWRITE:
        PAGE.write_text(written)
    assert (await system.show("my-2")).state is ExecutionState.ABORTED
    assert (await system.end_of("my-3")).state is ExecutionState.SUCCEEDED
    assert (await system.end_of("my-5")).state is ExecutionState.SUCCEEDED
    assert found_in(b"".join(heard), {"password": SECRET}) == []


async def test_the_program_of_the_page_keeps_a_value_secret(system: System, tmp_path: Path) -> None:
    page = PAGE.read_text()
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=block(page, "yaml")))
    program = tmp_path / "login.py"
    program.write_text(block(page, "python").replace("nats://127.0.0.1:4222", system.url))
    async with overheard(system) as heard:
        ended = await must([sys.executable, str(program), "my-6"], cwd=tmp_path, env={"SHOP_PASSWORD": SECRET})
        assert json.loads(ended.stdout)["id"] == "my-6"
        assert (await system.end_of("my-6")).state is ExecutionState.SUCCEEDED
    assert await system.output("my-6") == b"with [SECURE], of 9 letters\n"
    assert found_in(b"".join(heard), {"password": SECRET}) == []


async def test_what_is_to_be_done_when_a_sealed_run_goes_wrong(tmp_path: Path) -> None:
    """The table of the page, row by row."""
    async with example_system(tmp_path) as system:
        first = system.start_dispatcher(program=True)
        await system.ready()
        text = block(PAGE.read_text(), "yaml")
        await system.client.call(catalog.JOB_PUT, JobPutRequest(text=text))
        key = await system.client.call(catalog.RUN_SEALING, SealingKeyRequest())
        lost, body = await sealed_run(system, "lost")
        [accepted] = await send(system, Command("req", lost, body, {}), 1)
        assert accepted["state"] == "queued"

        await system.kill(first)
        await no_responders(system, lost, body)
        system.start_dispatcher()
        await system.ready()
        [elsewhere] = await send(system, Command("req", catalog.RUN.subject(system.subjects), body, {}), 1)
        assert elsewhere["error"]["code"] == ErrorCode.INVALID_OPTION
        assert elsewhere["error"]["details"]["instance"] not in ("", key.instance)

        subject, other = await sealed_run(system, "other")
        [wrong] = await send(system, Command("req", subject, other.replace('"other"', '"another"'), {}), 1)
        assert wrong["error"]["code"] == ErrorCode.INVALID_OPTION
        assert "those of another run" in wrong["error"]["message"]

        [same] = await send(system, Command("req", *await sealed_run(system, "lost"), {}), 1)
        assert (same["id"], same["queued_at"]) == ("lost", accepted["queued_at"])
        system.start_runner("web-1", "LINUX,DEV")
        ended = await system.end_of("lost")
        assert ended.error is not None
        assert (ended.state, ended.error.code) == (ExecutionState.FAILED, ErrorCode.UNAVAILABLE)
        assert ended.error.details == {"dispatcher": key.instance}
        assert ended.outcomes == []
        await send(system, Command("req", *await sealed_run(system, "new"), {}), 1)
        assert (await system.end_of("new")).state is ExecutionState.SUCCEEDED


async def no_responders(system: System, subject: str, body: str) -> None:
    """Until the server has seen that the process is gone, a request to it is a timeout."""
    async with asyncio.timeout(60):
        while True:
            try:
                await send(system, Command("req", subject, body, {}), 1)
            except NoRespondersError:
                return
            except TimeoutError:
                continue


async def sealed_run(system: System, execution: str) -> tuple[str, str]:
    """Where it is sent, and the request."""
    key = await system.client.call(catalog.RUN_SEALING, SealingKeyRequest())
    run = {"id": execution, "project": "default", "job": "shop/login"}
    box = sealed(key.public_key, json.dumps({**run, "options": {"password": SECRET}}))
    body = json.dumps({**run, "when_no_runner": "wait", "sealed_options": box})
    return catalog.RUN_SEALED.subject(system.subjects, key.instance), body


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


def block(page: str, language: str) -> str:
    """The one block of a language that the page has."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return str(found)


def sealed(public_key: str, text: str) -> str:
    """As the page says; without the code that opens it."""
    key = base64.b64decode(public_key, validate=True)
    assert len(key) == 32
    return base64.b64encode(SealedBox(PublicKey(key)).encrypt(text.encode())).decode()


class Reader:
    """Somebody who reads the page and does what it says: with the keys that come, not those that are printed."""

    def __init__(self, system: System, page: str) -> None:
        self._system = system
        self._plain = block(page, "jsonc")
        (self._printed_key,) = re.findall(r'"public_key": "(.+?)"', page)
        self._key: dict[str, str] = {}

    async def send(self, command: Command, wanted: int) -> list[Any]:
        if "sealed_options" in command.body:
            box = sealed(self._key["public_key"], self._plain)
            subject = command.subject.replace(steady(self._key)["instance"], self._key["instance"])
            command = replace(
                command, subject=subject, body=json.dumps({**json.loads(command.body), "sealed_options": box})
            )
            [view] = await send(self._system, command, 1)
            assert view["type"] == "runbus.execution.v1", view
            return [view]
        came = await send(self._system, command, wanted)
        if command.subject == catalog.RUN_SEALING.subject(self._system.subjects):
            (self._key,) = came
        return came

    def shown(self, real: Any) -> Any:
        """As it is printed in the page."""
        known = steady(real)
        return {**known, "public_key": self._printed_key} if real is self._key else known


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
