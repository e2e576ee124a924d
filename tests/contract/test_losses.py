"""Lost runners, over the fake event log: a registry's hint is looked into before anything is ended."""

from __future__ import annotations

import pytest

from schemas import catalog
from schemas.errors import ErrorCode, RunbusError
from schemas.runners import RunnerRecord, RunnerView
from schemas.states import ExecutionState, RunnerStatus
from services.dispatcher.live import LiveExecutions
from services.dispatcher.losses import LossWatch, RecordOf
from tests.support.centre import SUBJECTS, Centre, record_of, runner_view, silent

DOWN = RunnerStatus.DOWN


@pytest.fixture
async def centre() -> Centre:
    opened = Centre()
    await opened.queued()
    await opened.claimed()
    return opened


def watch(centre: Centre, record: RecordOf) -> LossWatch:
    live: LiveExecutions = centre.live()  # type: ignore[assignment]
    return LossWatch(centre.bus, SUBJECTS, live=live, ending=centre.ending(), record_of=record)


@pytest.mark.parametrize(
    "lagging",
    [
        [],
        [runner_view(instance="i0")],
        [runner_view(DOWN, instance="i0")],
    ],
)
async def test_a_copy_of_the_registry_that_lags_behind_fools_nobody(
    centre: Centre, lagging: list[RunnerView]
) -> None:
    centre.registry_says(*lagging)
    await watch(centre, record_of(a1="i1")).look()
    assert centre.view().state is ExecutionState.RUNNING
    assert not centre.asked(catalog.PING, runner="a1"), "the record says enough"


@pytest.mark.parametrize(
    ("seen", "record", "text"),
    [
        ([runner_view(instance="i2")], record_of(a1="i2"), "was restarted"),
        ([runner_view(instance="i0")], record_of(a1="i2"), "was restarted"),
        ([], record_of(), "was removed"),
        ([runner_view(DOWN)], record_of(a1="i1"), "went down"),
    ],
)
async def test_what_is_lost_is_ended(centre: Centre, seen: list[RunnerView], record: RecordOf, text: str) -> None:
    centre.registry_says(*seen)
    await watch(centre, record).look()
    view = centre.view()
    assert (view.state, view.runner) == (ExecutionState.LOST, "a1")
    assert view.error is not None
    assert view.error.code is ErrorCode.RUNNER_LOST
    assert text in view.error.message


@pytest.mark.parametrize(
    ("seen", "record"), [([runner_view(DOWN)], record_of(a1="i1")), ([], record_of()), ([], record_of(a1="i2"))]
)
async def test_an_instance_that_answers_has_lost_nothing(
    centre: Centre, seen: list[RunnerView], record: RecordOf
) -> None:
    centre.registry_says(*seen)
    centre.runner_answers("a1", "i1")
    await watch(centre, record).look()
    assert centre.view().state is ExecutionState.RUNNING


async def test_another_instance_that_answers_is_no_excuse(centre: Centre) -> None:
    centre.registry_says(runner_view(instance="i2"))
    centre.runner_answers("a1", "i2")
    await watch(centre, record_of(a1="i2")).look()
    assert centre.view().state is ExecutionState.LOST


async def test_a_runner_that_cannot_be_asked_is_asked_later(centre: Centre) -> None:
    def away(_request: object) -> RunnerView:
        raise silent("not connected to NATS at the moment")

    centre.registry_says(runner_view(DOWN))
    centre.log.answer(catalog.PING, away, runner="a1")
    looking = watch(centre, record_of(a1="i1"))
    with pytest.raises(RunbusError):
        await looking.look()
    assert centre.view().state is ExecutionState.RUNNING
    del centre.log.answers[catalog.PING.subject(SUBJECTS, "a1")]
    await looking.look()
    assert centre.view().state is ExecutionState.LOST


async def test_a_record_that_cannot_be_read_keeps_nobody_from_the_others(centre: Centre) -> None:
    await centre.queued("e2")
    await centre.claimed("e2", runner="b1")

    async def read(name: str) -> tuple[RunnerRecord, int] | None:
        if name == "a1":
            raise RunbusError(ErrorCode.INVALID_MESSAGE, "not a record, says the test")
        return None

    centre.registry_says()
    await watch(centre, read).look()
    assert centre.view("e1").state is ExecutionState.RUNNING
    assert centre.view("e2").state is ExecutionState.LOST


async def test_everything_that_a_lost_instance_ran_is_ended_after_one_ping(centre: Centre) -> None:
    for name in ("e2", "e3"):
        await centre.queued(name)
        await centre.claimed(name)
    centre.registry_says(runner_view(DOWN))
    await watch(centre, record_of(a1="i1")).look()
    assert [centre.view(name).state for name in ("e1", "e2", "e3")] == [ExecutionState.LOST] * 3
    assert len(centre.asked(catalog.PING, runner="a1")) == 1


async def test_nothing_is_asked_while_nothing_runs() -> None:
    centre = Centre()
    await centre.queued()
    await watch(centre, record_of()).look()
    assert centre.log.calls == []
