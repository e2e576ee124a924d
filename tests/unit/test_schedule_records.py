"""Records of fires that were not run: written once, never over a run, and finished by whoever comes next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from bus.connection import Bus
from domain import execution as fold
from domain.schedule import fire_id
from schemas.api import ExecutionView
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import Event, ExecutionQueued
from schemas.jobs import JobDefinition, RunnerSelector, SelectorMode, Step
from schemas.states import ExecutionState
from schemas.subjects import Subjects
from services.dispatcher.schedule_records import FireRecords
from tests.support.eventlog import FakeEventLog

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
SUBJECTS = Subjects()
JOB = JobDefinition(
    uuid="7c1f", name="n", group="g", project="p", steps=[Step(plugin="command")],
    runner=RunnerSelector(mode=SelectorMode.TAGS, filter="linux,dev"),
)  # fmt: skip
EXECUTION = fire_id(JOB.uuid, NOON)


def records(log: FakeEventLog) -> FireRecords:
    return FireRecords(cast("Bus", log), SUBJECTS)


def view_of(log: FakeEventLog) -> ExecutionView:
    view: ExecutionView | None = None
    for message in log.messages:
        event: Event = decode(message.data, Event)  # type: ignore[arg-type]
        view = fold.apply(view or fold.begin(event), event)
    assert view is not None
    return view


async def test_a_missed_fire_is_an_execution_that_says_why() -> None:
    log = FakeEventLog()
    await records(log).missed(JOB, NOON, grace_s=60.0)
    view = view_of(log)
    assert (view.id, view.state, view.title, view.set, view.job) == (
        EXECUTION, ExecutionState.MISSED, "g/n", "dev+linux", JOB.ref,
    )  # fmt: skip
    assert view.error is not None
    assert view.error.code is ErrorCode.MISSED
    assert "2024-05-01 12:00:00 UTC" in view.error.message
    assert "60 s" in view.error.message
    assert "more that" not in view.error.message


async def test_one_record_can_stand_for_many() -> None:
    log = FakeEventLog()
    await records(log).missed(JOB, NOON, grace_s=60.0, more=41)
    error = view_of(log).error
    assert error is not None
    assert "41 more" in error.message
    assert error.details["more"] == 41


async def test_nobody_is_told_to_run_it() -> None:
    log = FakeEventLog()
    await records(log).missed(JOB, NOON, grace_s=60.0)
    queued = decode(log.messages[0].data, ExecutionQueued)
    assert queued.assignments == []
    assert [message.subject.split(".")[2] for message in log.messages] == ["exec", "exec"]


async def test_a_second_record_changes_nothing() -> None:
    log = FakeEventLog()
    for _ in range(2):
        await records(log).missed(JOB, NOON, grace_s=60.0)
    await records(log).refused(JOB, NOON, RunbusError(ErrorCode.NO_RUNNER, "nobody."))
    assert len(log.messages) == 2
    assert view_of(log).state is ExecutionState.MISSED


async def test_a_record_never_ends_a_run() -> None:
    log = FakeEventLog()
    queued = ExecutionQueued(
        execution=EXECUTION, project="p", at=NOON, title="g/n", steps=JOB.steps, set="dev+linux", job=JOB.ref
    )
    await log.append(SUBJECTS.event("p", EXECUTION, "0", "dispatcher"), encode(queued))
    await records(log).missed(JOB, NOON, grace_s=60.0)
    assert view_of(log).state is ExecutionState.QUEUED


async def test_one_that_was_begun_is_finished_by_the_next() -> None:
    log = FakeEventLog()
    log.lose_acks = 1
    try:
        await records(log).missed(JOB, NOON, grace_s=60.0)
    except RunbusError as error:
        assert error.code is ErrorCode.UNAVAILABLE
    assert view_of(log).state is ExecutionState.QUEUED
    await records(log).missed(JOB, NOON, grace_s=60.0)
    assert view_of(log).state is ExecutionState.MISSED


async def test_a_refused_run_is_an_execution_that_failed() -> None:
    log = FakeEventLog()
    await records(log).refused(JOB, NOON, RunbusError(ErrorCode.NO_RUNNER, "nobody bears them."))
    view = view_of(log)
    assert view.state is ExecutionState.FAILED
    assert view.error is not None
    assert view.error.message == "nobody bears them."
