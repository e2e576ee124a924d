"""Lost runners, over the fake event log: a registry's hint is looked into before anything is ended."""

from __future__ import annotations

import pytest

from schemas import catalog
from schemas.errors import ErrorCode, RunbusError
from schemas.events import Part
from schemas.runners import RunnerRecord, RunnerView
from schemas.states import ExecutionState, RunnerStatus
from services.dispatcher import unserved
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


async def divided(centre: Centre, **fields: object) -> None:
    """An execution of two assignments: of a runner that has claimed, and of one that has not."""
    await centre.queued("e9", assigned=False, orchestrated=True, **fields)
    await centre.phase(
        Part(assignment="1", set="=40a1", section=0, steps=(1, 1), node_count=1),
        Part(assignment="2", set="=40b1", section=0, steps=(1, 1), node_count=1),
        name="e9",
    )
    await centre.claimed("e9", assignment="1")


def states(centre: Centre) -> list[ExecutionState]:
    return [part.state for part in centre.view("e9").parts]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unserved, "PATIENCE_S", 0.0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("seen", [[], [runner_view(DOWN, name="b1")]])
async def test_an_assignment_whose_runner_is_gone_is_lost_though_nobody_claimed_it(seen: list[RunnerView]) -> None:
    centre = Centre()
    await divided(centre)
    centre.registry_says(runner_view(), *seen)
    await watch(centre, record_of(a1="i1")).look()
    assert states(centre) == [ExecutionState.RUNNING, ExecutionState.LOST]
    error = centre.view("e9").parts[1].error
    assert error is not None
    assert (error.code, "@b1" in error.message) == (ErrorCode.RUNNER_LOST, True)


@pytest.mark.usefixtures("impatient")
async def test_a_runner_that_answers_or_is_only_silent_for_a_while_keeps_its_assignment() -> None:
    centre = Centre()
    await divided(centre)
    centre.registry_says(runner_view(), runner_view(RunnerStatus.UNKNOWN, name="b1"))
    await watch(centre, record_of(a1="i1")).look()
    centre.registry_says(runner_view(), runner_view(DOWN, name="b1"))
    centre.runner_answers("b1", "i7")
    await watch(centre, record_of(a1="i1")).look()
    assert states(centre) == [ExecutionState.RUNNING, ExecutionState.QUEUED]


async def test_a_runner_that_is_away_for_a_moment_keeps_its_assignment() -> None:
    centre = Centre()
    await divided(centre)
    centre.registry_says(runner_view())
    looking = watch(centre, record_of(a1="i1"))
    await looking.look()
    await looking.look()
    assert states(centre) == [ExecutionState.RUNNING, ExecutionState.QUEUED]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("waits", [True, False])
async def test_a_run_that_waits_for_a_local_runner_goes_on_waiting(waits: bool) -> None:
    centre = Centre()
    await centre.queued("e9", assigned=False, orchestrated=True, wait_for_runner=waits)
    await centre.phase(Part(assignment="1", set="local", section=0, steps=(1, 1), node_count=1), name="e9")
    centre.registry_says()
    await watch(centre, record_of()).look()
    assert states(centre) == [ExecutionState.QUEUED if waits else ExecutionState.LOST]


@pytest.mark.usefixtures("impatient")
async def test_an_execution_of_one_assignment_waits_for_its_runner() -> None:
    centre = Centre()
    await centre.queued()
    await divided(centre)
    centre.registry_says(runner_view())
    await watch(centre, record_of(a1="i1")).look()
    assert centre.view("e1").state is ExecutionState.QUEUED
