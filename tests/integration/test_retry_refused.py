"""Retries that cannot be made: executions of their job that failed, found and told of like any."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import nats
import pytest

from schemas import catalog
from schemas.api import ExecutionListRequest, ExecutionView, JobPutRequest, JobRemoveRequest, RunRequest
from schemas.errors import ErrorCode
from schemas.states import ExecutionState
from services.dispatcher import retries
from services.dispatcher.retries import retry_id
from tests.support.parts import Part, ProgramPart
from tests.support.receivers import WebReceiver, web_receiver
from tests.support.system import WAIT_S, System
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

SECRET = "l0st-h4ndsh4ke"


@pytest.fixture
async def web() -> AsyncIterator[WebReceiver]:
    async with web_receiver() as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "HOLDER_FIRST_S", 0.3)
    monkeypatch.setattr(retries, "ANSWER_WITHIN_S", 0.5)


async def put(system: System, web: WebReceiver, retry: str) -> None:
    text = f"""\
- name: login
  uuid: login
  group: web
  retry: {retry}
  options:
  - {{name: shut, secure: true}}
  notification:
    onfailure: {{urls: {json.dumps(web.url)}}}
  sequence:
    commands:
    - script: {json.dumps("#!/bin/sh" + chr(10) + "exit 3")}
"""
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=text))


async def first_run(system: System, web: WebReceiver, retry: str) -> tuple[ExecutionView, Part]:
    """A run that failed and is to be run again, and the dispatcher that has its secure values."""
    system.start_registry()
    holder = system.start_dispatcher(program=True)
    await system.ready()
    system.start_runner("local", local=True)
    await system.runners_ready("local")
    await put(system, web, retry)
    request = RunRequest(job="login", options={"shut": SECRET}, user="ada", wait_s=WAIT_S)
    view = await system.client.run(request)
    assert view.state is ExecutionState.FAILED_WITH_RETRY
    return view, holder


async def of_job(system: System) -> list[ExecutionView]:
    request = ExecutionListRequest(job="login", limit=100)
    return (await system.client.call(catalog.EXECUTION_LIST, request)).executions


async def refused_retry(system: System, first: ExecutionView, number: int = 1) -> ExecutionView:
    """The attempt, once it is among the executions of the job and has ended."""

    async def found() -> ExecutionView | None:
        ended = {view.id: view for view in await of_job(system) if view.finished_at is not None}
        return ended.get(retry_id(first.id, number))

    view = await eventually(found, within_s=20.0, what="the retry is an execution of the job")
    assert view is not None
    return view


async def test_its_values_went_with_their_dispatcher(system: System, web: WebReceiver) -> None:
    first, holder = await first_run(system, web, "{retry: 3, delay: 1s}")
    await system.kill(holder)
    others = [system.start_dispatcher(program=True) for _ in range(2)]
    await system.ready()
    view = await refused_retry(system, first)
    assert (view.state, view.title, view.user) == (ExecutionState.FAILED, first.title, "ada")
    assert view.job == first.job
    assert view.error is not None
    assert "run the job again" in view.error.message
    assert view.retry is not None
    assert (view.retry.attempt, view.retry.initial, view.retry.previous) == (1, first.id, first.id)
    await eventually(lambda: "failure" in web.triggers(), within_s=10.0, what="it is told of")
    assert web.triggers().count("failure") == 1
    assert f"{first.id}-r1".encode() in web.calls[-1].body
    logs = "".join(each.program.log for each in others if isinstance(each, ProgramPart))
    assert "retry.refused" in logs
    assert "execution.retried" not in logs
    assert {each.id for each in await of_job(system)} == {first.id, view.id}, "another attempt could not be either"
    assert await system.events(view.id) == [
        ("dispatcher", "runbus.execution_queued.v1"), ("dispatcher", "runbus.assignment_finished.v1"),
    ]  # fmt: skip


async def test_the_holder_itself_is_refused(system: System, web: WebReceiver) -> None:
    first, holder = await first_run(system, web, "{retry: 1, delay: 2s}")
    assert isinstance(holder, ProgramPart)
    await system.client.call(catalog.JOB_REMOVE, JobRemoveRequest(job="login"))
    view = await refused_retry(system, first)
    assert (view.state, view.title, view.job) == (ExecutionState.FAILED, first.title, first.job)
    assert view.error is not None
    assert view.error.code is ErrorCode.UNKNOWN_JOB
    assert "execution.retried" not in holder.program.log


async def test_a_holder_that_is_gone_is_noticed_where_the_server_cannot_say_so(
    own_system: System, web: WebReceiver
) -> None:
    tap = await nats.connect(own_system.url)

    async def see(_message: object) -> None:
        """Look, and say nothing."""

    await tap.subscribe(">", cb=see)
    await tap.flush()
    first, holder = await first_run(own_system, web, "{retry: 1, delay: 1s}")
    await own_system.kill(holder)
    own_system.start_dispatcher()
    await own_system.ready()
    view = await refused_retry(own_system, first)
    assert view.state is ExecutionState.FAILED
    assert view.error is not None
    assert view.error.details["dispatcher"]
    await tap.close()
