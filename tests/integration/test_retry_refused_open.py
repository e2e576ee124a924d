"""A retry that has no secure values is a durable request: refused, it is told of as any other retry is."""

from __future__ import annotations

import pytest

from schemas import catalog
from schemas.api import JobPutRequest, JobRemoveRequest, RunRequest
from schemas.codec import encode
from schemas.errors import ErrorCode
from schemas.events import RetryOf
from schemas.states import ExecutionState
from services.dispatcher.retries import retry_id
from tests.integration.test_requests import ended
from tests.integration.test_retry_refused import of_job, refused_retry
from tests.support.system import WAIT_S, System

pytestmark = pytest.mark.slow

JOB = """\
- name: login
  uuid: login
  group: web
  retry: {retry: 2, delay: 2s}
  sequence: {commands: [{exec: exit 3}]}
"""


async def test_it_bears_the_job_the_title_and_its_number(system: System) -> None:
    await system.up("local")
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=JOB))
    first = await system.client.run(RunRequest(job="login", user="ada", wait_s=WAIT_S))
    assert first.state is ExecutionState.FAILED_WITH_RETRY
    await system.client.call(catalog.JOB_REMOVE, JobRemoveRequest(job="login"))
    view = await refused_retry(system, first)
    assert (view.state, view.title, view.user) == (ExecutionState.FAILED, first.title, "ada")
    assert view.job == first.job
    assert view.error is not None
    assert view.error.code is ErrorCode.UNKNOWN_JOB
    assert view.retry is not None
    assert (view.retry.attempt, view.retry.initial, view.retry.previous) == (1, first.id, first.id)
    assert {each.id for each in await of_job(system)} == {first.id, view.id}, "another attempt could not be either"
    assert await system.events(view.id) == [
        ("dispatcher", "runbus.execution_queued.v1"), ("dispatcher", "runbus.assignment_finished.v1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "retry"),
    [
        ("none-r1", RetryOf(attempt=1, initial="none", previous="none")),
        ("none-r2", RetryOf(attempt=2, initial="none", previous="*")),
        ("mine", RetryOf(attempt=1, initial="none", previous="none")),
    ],
)
async def test_one_of_a_run_that_nobody_knows_is_refused_all_the_same(
    system: System, name: str, retry: RetryOf
) -> None:
    await system.up("local")
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=JOB.replace("retry:", "# retry:")))
    await system.client.run(RunRequest(job="login", wait_s=WAIT_S))
    request = RunRequest(id=name, job="login", retry=retry, options={"no": "1"})
    assert (name == "mine") is (retry_id(retry.initial, retry.attempt) != name)
    await system.bus.append(system.subjects.request("default"), encode(request))
    assert await ended(system, name) is ExecutionState.FAILED
    view = await system.show(name)
    assert view.error is not None
    assert view.error.code is ErrorCode.UNKNOWN_OPTION
    assert view.job is None
