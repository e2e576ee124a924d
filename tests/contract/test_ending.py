"""Ends from the centre, over the fake event log: who decides, and what happens where something else came first."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from schemas import catalog
from schemas.api import AbortRequest, Done, MatchReply
from schemas.errors import ErrorCode, RunbusError
from schemas.events import Part
from schemas.states import ExecutionState, RunnerStatus
from services.dispatcher import ending as module
from services.dispatcher.assignments import pieces_of
from tests.support.centre import SUBJECTS, Centre, runner_view
from tests.support.waiting import eventually

ABORT = AbortRequest(execution="e1", project="p", user="alice", reason="no more")
LOST = RunbusError(ErrorCode.RUNNER_LOST, "gone").info("dispatcher")


@pytest.fixture
def centre(monkeypatch: pytest.MonkeyPatch) -> Centre:
    monkeypatch.setattr(module, "_ASK_AGAIN_S", 0.0)
    monkeypatch.setattr(module, "_LATER_S", 0.01)
    return Centre()


async def test_an_abort_of_what_is_queued_ends_it_here_and_clears_the_queue(centre: Centre) -> None:
    await centre.queued()
    await centre.ending().abort(ABORT)
    view = centre.view()
    assert (view.state, view.abort_requested_by, view.runner) == (ExecutionState.ABORTED, "alice", "")
    assert view.error is not None
    assert view.error.message == "aborted by alice: no more."
    assert centre.assignments() == 0
    assert centre.ends() == ["dispatcher"]


async def test_an_abort_of_what_runs_is_its_runners_to_carry_out(centre: Centre) -> None:
    await centre.queued()
    await centre.claimed()
    centre.runner_obeys("a1")
    await centre.ending().abort(ABORT)
    (asked,) = centre.asked(catalog.RUNNER_ABORT, runner="a1")
    assert (asked.state, asked.user, asked.reason) == (ExecutionState.ABORTED, "alice", "aborted by alice: no more.")
    assert centre.view().state is ExecutionState.RUNNING, "the runner reports the end"
    assert centre.ends() == []


async def test_an_abort_whose_runner_is_silent_ends_the_execution_all_the_same(centre: Centre) -> None:
    await centre.queued()
    await centre.claimed()
    await centre.ending().abort(ABORT)
    view = centre.view()
    assert (view.state, view.runner) == (ExecutionState.ABORTED, "a1")
    assert view.error is not None
    assert "did not answer" in view.error.message


async def test_a_claim_between_the_look_and_the_abort_makes_it_the_runners(centre: Centre) -> None:
    await centre.queued()
    live = centre.live()
    live.lag()
    centre.runner_obeys("a1")

    async def abort_then_claim() -> None:
        centre.log.meanwhile = centre.claimed

    centre.log.meanwhile = abort_then_claim
    await centre.ending(live).abort(ABORT)
    assert len(centre.asked(catalog.RUNNER_ABORT, runner="a1")) == 1
    assert centre.ends() == []


async def test_a_claim_that_was_not_heard_of_and_a_silent_runner_end_it_too(centre: Centre) -> None:
    """What is heard lags; what is stored decides."""
    await centre.queued()
    live = centre.live()
    live.lag()
    await centre.claimed()
    await centre.ending(live).abort(ABORT)
    assert centre.view().state is ExecutionState.ABORTED
    assert centre.ends() == ["dispatcher"]


async def test_an_end_that_its_runner_reports_first_holds(centre: Centre) -> None:
    await centre.queued()
    (running,) = pieces_of(await centre.claimed())
    centre.log.meanwhile = centre.ended
    assert not await centre.ending().lose(running, LOST)
    assert centre.view().state is ExecutionState.SUCCEEDED
    assert centre.ends() == ["a1"]
    assert not await centre.ending().lose(running, LOST), "and later, too"


async def test_a_runner_that_has_just_claimed_is_asked_again(centre: Centre) -> None:
    await centre.queued()
    await centre.claimed()
    known = iter((False, False, True))
    centre.log.answer(catalog.RUNNER_ABORT, lambda _request: Done(found=next(known)), runner="a1")
    await centre.ending().abort(ABORT)
    assert len(centre.asked(catalog.RUNNER_ABORT, runner="a1")) == 3
    assert centre.ends() == []


async def test_a_restarted_runner_that_does_not_know_it_leaves_the_end_to_the_centre(centre: Centre) -> None:
    await centre.queued()
    await centre.claimed()
    centre.runner_obeys("a1", found=False)
    await centre.ending().abort(ABORT)
    view = centre.view()
    assert view.state is ExecutionState.ABORTED
    assert view.error is not None
    assert "does not know it any more" in view.error.message


async def test_a_runner_that_ends_it_while_it_is_asked_again_has_the_last_word(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ASK_AGAIN_S", 0.05)
    await centre.queued()
    await centre.claimed()
    centre.runner_obeys("a1", found=False)

    async def report() -> None:
        await eventually(lambda: centre.asked(catalog.RUNNER_ABORT, runner="a1"), what="it was asked once")
        await centre.ended()

    await asyncio.gather(report(), centre.ending().abort(ABORT))
    assert len(centre.asked(catalog.RUNNER_ABORT, runner="a1")) == 1
    assert centre.ends() == ["a1"]


async def test_what_has_ended_or_is_not_there_is_not_aborted(centre: Centre) -> None:
    with pytest.raises(RunbusError) as caught:
        await centre.ending().abort(ABORT)
    assert caught.value.code is ErrorCode.UNKNOWN_EXECUTION
    await centre.queued()
    await centre.claimed()
    await centre.ended()
    stored = len(centre.log.messages)
    with pytest.raises(RunbusError) as caught:
        await centre.ending().abort(ABORT)
    assert caught.value.code is ErrorCode.ALREADY_ENDED
    assert len(centre.log.messages) == stored


async def test_a_lost_execution_bears_its_claim(centre: Centre) -> None:
    await centre.queued()
    (running,) = pieces_of(await centre.claimed())
    assert await centre.ending().lose(running, LOST)
    view = centre.view()
    assert (view.state, view.runner, view.attempt, view.error) == (ExecutionState.LOST, "a1", 1, LOST)
    assert centre.assignments() == 0


async def test_a_loss_of_another_claimant_than_the_one_heard_of_changes_nothing(centre: Centre) -> None:
    await centre.queued()
    (running,) = pieces_of(await centre.claimed(instance="i1"))
    other = msgspec.structs.replace(running, instance="i0")
    assert not await centre.ending().lose(other, LOST)
    assert centre.ends() == []


async def test_two_dispatchers_that_decide_the_same_make_one_end(centre: Centre) -> None:
    await centre.queued()
    (running,) = pieces_of(await centre.claimed())
    one, other = centre.ending(), centre.ending()
    won: list[bool] = []

    async def decide() -> None:
        won.append(await other.lose(running, LOST))

    centre.log.meanwhile = decide
    won.append(await one.lose(running, LOST))
    assert won == [True, False]
    assert centre.ends() == ["dispatcher"]


async def past_deadline(centre: Centre) -> None:
    view = await centre.queued(deadline_at=datetime.now(UTC) - timedelta(seconds=1))
    centre.ending().watch_deadline(view)


async def test_a_deadline_that_passes_while_queued_says_why_nobody_took_it(centre: Centre) -> None:
    await past_deadline(centre)
    await eventually(lambda: centre.ends() == ["dispatcher"], what="it ends")
    view = centre.view()
    assert view.state is ExecutionState.TIMEDOUT
    assert view.error is not None
    assert view.error.code is ErrorCode.DEADLINE_EXCEEDED
    assert "while queued. No connected runner of project p bears linux" in view.error.message
    assert centre.assignments() == 0


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (RunnerStatus.HEALTHY, "has not taken it"),
        (RunnerStatus.UNHEALTHY, "was full"),
        (RunnerStatus.DOWN, "is Down"),
    ],
)
async def test_a_deadline_tells_of_the_runners(centre: Centre, status: RunnerStatus, text: str) -> None:
    reply = MatchReply(runners=[runner_view(status)], borne_by_none=[])
    centre.log.answer(catalog.MATCH, lambda _request: reply)
    await past_deadline(centre)
    await eventually(centre.ends, what="it ends")
    assert text in str(centre.view().error)


async def test_a_deadline_holds_without_a_registry(centre: Centre) -> None:
    del centre.log.answers[catalog.MATCH.subject(SUBJECTS)]
    await past_deadline(centre)
    await eventually(lambda: centre.ends() == ["dispatcher"], what="it ends")
    assert "Who could have taken it is not known" in str(centre.view().error)


async def test_a_deadline_is_insisted_on_while_the_bus_is_away(centre: Centre) -> None:
    view = await centre.queued(deadline_at=datetime.now(UTC) - timedelta(seconds=1))
    centre.log.refuse = 2
    centre.ending().watch_deadline(view)
    await eventually(lambda: centre.ends() == ["dispatcher"], what="it ends")
    assert centre.log.refuse == 0


async def test_a_deadline_that_passes_while_it_runs_is_its_runners_to_carry_out(centre: Centre) -> None:
    await centre.queued(deadline_at=datetime.now(UTC) - timedelta(seconds=1))
    view = await centre.claimed()
    centre.runner_obeys("a1")
    centre.ending().watch_deadline(view)
    (asked,) = await eventually(lambda: centre.asked(catalog.RUNNER_ABORT, runner="a1"), what="the runner is asked")
    assert asked.state is ExecutionState.TIMEDOUT
    assert "while it ran" in asked.reason


async def test_a_deadline_of_what_has_ended_by_then_changes_nothing(centre: Centre) -> None:
    view = await centre.queued(deadline_at=datetime.now(UTC) + timedelta(seconds=0.05))
    end = centre.ending()
    end.watch_deadline(view)
    await centre.claimed()
    await centre.ended()
    await eventually(lambda: not end._timers, what="the clock has run out")
    assert centre.ends() == ["a1"]


async def test_an_abort_that_nobody_carried_out_is_carried_out(centre: Centre) -> None:
    await centre.queued()
    running = await centre.claimed()
    centre.runner_obeys("a1")
    await centre.ending().end_aborted(msgspec.structs.replace(running, abort_requested_by="bob"))
    (asked,) = centre.asked(catalog.RUNNER_ABORT, runner="a1")
    assert (asked.user, asked.reason) == ("bob", "aborted by bob.")


async def divided(centre: Centre, **fields: Any) -> None:
    """An execution that two runners serve: one has claimed its assignment, the other has not."""
    await centre.queued(assigned=False, orchestrated=True, **fields)
    await centre.phase(Part(assignment="1", set="=40a1", section=0, steps=(1, 1), node_count=1))
    await centre.claimed(assignment="1")


async def test_an_abort_ends_every_assignment_also_one_that_was_handed_out_meanwhile(centre: Centre) -> None:
    await divided(centre)
    centre.runner_obeys("a1")

    async def another_dispatcher_goes_on() -> None:
        await centre.phase(Part(assignment="2", set="=40b1", section=0, steps=(1, 1), node_count=1))

    centre.log.meanwhile = another_dispatcher_goes_on
    await centre.ending().abort(ABORT)
    (asked,) = centre.asked(catalog.RUNNER_ABORT, runner="a1")
    assert asked.assignment == "1"
    assert [(part.assignment, part.state) for part in centre.view().parts] == [
        ("1", ExecutionState.RUNNING), ("2", ExecutionState.ABORTED)
    ]  # fmt: skip
    assert centre.view().state is ExecutionState.RUNNING, "it ends when its last assignment has"


async def test_a_running_time_that_is_over_ends_what_waits_for_a_runner(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RUNNERS_FIRST_S", 0.05)
    await divided(centre, timeout_s=0.05)
    await centre.phase(Part(assignment="2", set="=40b1", section=0, steps=(1, 1), node_count=1))
    centre.runner_obeys("a1")
    end = centre.ending()
    end.watch_deadline(centre.view())
    await eventually(lambda: centre.view().parts[1].state is ExecutionState.TIMEDOUT, what="it ends")
    error = centre.view().parts[1].error
    assert error is not None
    assert (error.code, "limit of 0.05 s" in error.message) == (ErrorCode.TIMEOUT, True)


async def test_the_earlier_of_deadline_and_running_time_counts(centre: Centre) -> None:
    now = datetime.now(UTC)
    await centre.queued(assigned=False, orchestrated=True, deadline_at=now + timedelta(hours=1), timeout_s=60.0)
    end = centre.ending()
    end.watch_deadline(centre.view())
    await centre.phase(Part(assignment="1", set="=40a1", section=0, steps=(1, 1), node_count=1))
    await centre.claimed(assignment="1")
    end.watch_deadline(centre.view())
    ((at, timer),) = end._timers.values()
    timer.cancel()
    assert now + timedelta(seconds=60) < at < now + timedelta(seconds=90)
