from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import reduce
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.execution import MAX_OUTCOMES, apply, begin
from schemas.api import ExecutionView
from schemas.errors import ErrorCode, ErrorInfo
from schemas.events import (
    AbortRequested,
    AssignmentFinished,
    AssignmentStarted,
    Event,
    ExecutionFinished,
    ExecutionPhase,
    ExecutionQueued,
    Part,
    RetryOf,
    StepOutcome,
)
from schemas.jobs import Step
from schemas.states import FINAL, ExecutionState, may_follow

PROPERTY = settings(deadline=None, max_examples=80)
AT = datetime(2025, 1, 31, 12, 0, tzinfo=UTC)


def at(second: int) -> datetime:
    return AT + timedelta(seconds=second)


def queued() -> ExecutionQueued:
    steps = [Step(plugin="command")]
    return ExecutionQueued(execution="e", project="p", at=at(0), title="t", steps=steps, set="dev", user="ada")


def started(attempt: int = 1, second: int = 1) -> AssignmentStarted:
    return AssignmentStarted(
        execution="e",
        assignment="1",
        project="p",
        attempt=attempt,
        at=at(second),
        runner=f"r{attempt}",
        instance=f"i{attempt}",
    )


def finished(state: ExecutionState, attempt: int = 1, second: int = 5, runner: str = "r1") -> AssignmentFinished:
    return AssignmentFinished(
        execution="e",
        assignment="1",
        project="p",
        attempt=attempt,
        at=at(second),
        state=state,
        runner=runner,
        exit_code=0,
        duration_s=4.0,
        last_log_seq=3,
    )


def aborted(user: str = "bob", second: int = 3) -> AbortRequested:
    return AbortRequested(execution="e", project="p", at=at(second), user=user)


seconds = st.integers(0, 9)
attempts = st.integers(1, 3)
any_event: st.SearchStrategy[Event] = st.one_of(
    st.just(queued()),
    st.builds(started, attempts, seconds),
    st.builds(finished, st.sampled_from(ExecutionState), attempts, seconds, st.sampled_from(["", "r1"])),
    st.builds(aborted, st.sampled_from(["", "bob"]), seconds),
)
histories = st.lists(any_event, min_size=1, max_size=8)


def folded(events: Iterable[Event]) -> ExecutionView:
    known = list(events)
    return reduce(apply, known, begin(known[0]))


def test_an_execution_that_succeeds() -> None:
    view = folded([queued(), started(), finished(ExecutionState.SUCCEEDED)])
    assert view.state is ExecutionState.SUCCEEDED
    assert (view.title, view.set, view.user, view.runner, view.instance) == ("t", "dev", "ada", "r1", "i1")
    assert (view.queued_at, view.started_at, view.finished_at) == (at(0), at(1), at(5))
    assert (view.attempt, view.exit_code, view.duration_s, view.last_log_seq) == (1, 0, 4.0, 3)


def test_what_nobody_could_run_ends_with_its_error() -> None:
    error = ErrorInfo(code=ErrorCode.NO_RUNNER, message="nobody")
    end = msgspec.structs.replace(finished(ExecutionState.TIMEDOUT, runner=""), error=error)
    view = folded([queued(), end])
    assert (view.state, view.runner, view.started_at, view.error) == (ExecutionState.TIMEDOUT, "", None, error)


def test_a_wish_to_abort_is_no_end() -> None:
    view = folded([queued(), started(), aborted()])
    assert (view.state, view.abort_requested_by) == (ExecutionState.RUNNING, "bob")


def test_an_older_attempt_does_not_take_over() -> None:
    view = folded([queued(), started(2), started(1)])
    assert (view.runner, view.instance, view.attempt) == ("r2", "i2", 2)


def test_a_later_attempt_does() -> None:
    view = folded([queued(), started(1), started(2, second=4)])
    assert (view.runner, view.attempt, view.started_at) == ("r2", 2, at(4))


@pytest.mark.parametrize("state", sorted(set(ExecutionState) - FINAL))
def test_an_end_that_is_none_is_passed_over(state: ExecutionState) -> None:
    before = folded([queued(), started()])
    assert apply(before, finished(state)) == before


def test_a_start_that_is_heard_after_the_end_tells_where_it_ran() -> None:
    view = folded([queued(), finished(ExecutionState.LOST, runner=""), started(1), started(2)])
    assert (view.state, view.runner, view.instance, view.started_at) == (ExecutionState.LOST, "r1", "i1", at(1))


@PROPERTY
@given(histories, any_event)
def test_a_final_state_is_never_left(events: list[Event], late: Event) -> None:
    before = folded([queued(), *events, finished(ExecutionState.FAILED)])
    after = apply(before, late)
    assert before.state in FINAL
    ended = ("state", "finished_at", "exit_code", "signal", "outcomes", "error", "duration_s", "last_log_seq")
    assert all(getattr(after, name) == getattr(before, name) for name in ended)


@PROPERTY
@given(histories)
def test_states_change_only_as_the_table_says(events: list[Event]) -> None:
    view = begin(events[0])
    for event in events:
        after = apply(view, event)
        unheard_start = view.state is ExecutionState.QUEUED and after.state in FINAL
        assert after.state is view.state or may_follow(view.state, after.state) or unheard_start
        view = after


@PROPERTY
@given(histories, st.data())
def test_an_event_that_comes_twice_changes_nothing(events: list[Event], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(events) - 1))
    once = folded(events[: place + 1])
    assert apply(once, events[place]) == once


lives = st.sampled_from(
    [
        [queued(), started(), finished(ExecutionState.SUCCEEDED)],
        [queued(), started(), aborted(), finished(ExecutionState.ABORTED)],
        [queued(), started(1), started(2, second=4), finished(ExecutionState.SUCCEEDED, 2, runner="r2")],
        [queued(), aborted(), finished(ExecutionState.ABORTED, runner="")],
        [queued(), started(), finished(ExecutionState.LOST, runner="")],
    ]
)


@PROPERTY
@given(lives, st.data())
def test_a_replay_from_any_earlier_place_changes_nothing(life: list[Event], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(life)))
    assert folded([*life, *life[place:]]) == folded(life)


@PROPERTY
@given(lives, st.randoms(use_true_random=False))
def test_in_any_order_the_outcome_is_the_same(life: list[Event], chance: Random) -> None:
    shuffled = list(life)
    chance.shuffle(shuffled)
    assert folded(shuffled) == folded(life)


# Retries


@pytest.mark.parametrize(
    ("retry", "state", "wanted"),
    [
        (RetryOf(most=1), ExecutionState.FAILED, ExecutionState.FAILED_WITH_RETRY),
        (RetryOf(most=1), ExecutionState.TIMEDOUT, ExecutionState.FAILED_WITH_RETRY),
        (RetryOf(most=1), ExecutionState.ABORTED, ExecutionState.ABORTED),
        (RetryOf(most=1), ExecutionState.LOST, ExecutionState.LOST),
        (RetryOf(most=1), ExecutionState.OTHER, ExecutionState.OTHER),
        (RetryOf(most=1), ExecutionState.SUCCEEDED, ExecutionState.SUCCEEDED),
        (RetryOf(most=1, attempt=1), ExecutionState.FAILED, ExecutionState.FAILED),
        (RetryOf(most=2, attempt=1), ExecutionState.FAILED, ExecutionState.FAILED_WITH_RETRY),
        (None, ExecutionState.FAILED, ExecutionState.FAILED),
    ],
)
@pytest.mark.parametrize("orchestrated", [False, True])
def test_what_failed_or_timed_out_says_whether_it_is_tried_again(
    retry: RetryOf | None, state: ExecutionState, wanted: ExecutionState, orchestrated: bool
) -> None:
    begun = msgspec.structs.replace(queued(), retry=retry, orchestrated=orchestrated)
    end: Event = finished(state)
    if orchestrated:
        end = ExecutionFinished(execution="e", project="p", at=at(5), state=state)
    assert folded([begun, end]).state is wanted


def test_nothing_is_tried_again_behind_its_deadline() -> None:
    begun = msgspec.structs.replace(queued(), retry=RetryOf(most=1, delay_s=10.0), deadline_at=at(16))
    assert folded([begun, finished(ExecutionState.FAILED)]).state is ExecutionState.FAILED_WITH_RETRY
    close = msgspec.structs.replace(begun, deadline_at=at(15))
    assert folded([close, finished(ExecutionState.FAILED)]).state is ExecutionState.FAILED
    late = ErrorInfo(code=ErrorCode.DEADLINE_EXCEEDED, message="late")
    passed = msgspec.structs.replace(finished(ExecutionState.TIMEDOUT), error=late)
    assert folded([begun, passed]).state is ExecutionState.TIMEDOUT


# Several assignments


def part_ended(state: ExecutionState, assignment: str = "1", **fields: Any) -> AssignmentFinished:
    return msgspec.structs.replace(finished(state), assignment=assignment, **fields)


def divided() -> list[Event]:
    parts = [Part(assignment=each, set=f"=40r{each}", section=0, steps=(1, 1), node_count=2) for each in "12"]
    return [
        msgspec.structs.replace(queued(), orchestrated=True, retry=RetryOf(most=1)),
        ExecutionPhase(execution="e", project="p", at=at(1), phase=1, parts=parts),
        started(),
    ]


def test_an_execution_of_several_assignments_runs_until_it_is_said_to_have_ended() -> None:
    events = [*divided(), part_ended(ExecutionState.SUCCEEDED), part_ended(ExecutionState.FAILED, "2", exit_code=7)]
    view = folded(events)
    assert (view.state, view.runner, view.exit_code) == (ExecutionState.RUNNING, "r1", 7)
    assert [part.state for part in view.parts] == [ExecutionState.SUCCEEDED, ExecutionState.FAILED]
    ended = apply(view, ExecutionFinished(execution="e", project="p", at=at(9), state=ExecutionState.FAILED))
    assert (ended.state, ended.last_log_seq) == (ExecutionState.FAILED_WITH_RETRY, 3)
    assert apply(ended, part_ended(ExecutionState.SUCCEEDED, "2")).state is ExecutionState.FAILED_WITH_RETRY


def test_what_lost_a_runner_is_not_tried_again_and_its_log_is_read_to_the_last_line() -> None:
    view = folded([*divided(), part_ended(ExecutionState.SUCCEEDED), part_ended(ExecutionState.LOST, "2")])
    ended = apply(view, ExecutionFinished(execution="e", project="p", at=at(9), state=ExecutionState.FAILED))
    assert (ended.state, ended.last_log_seq) == (ExecutionState.FAILED, 0)


def test_what_failed_without_an_exit_code_has_not_that_of_a_part_that_succeeded() -> None:
    good, bad = part_ended(ExecutionState.SUCCEEDED, exit_code=0), part_ended(ExecutionState.FAILED, "2")
    view = folded([*divided(), good, bad])
    ended = apply(view, ExecutionFinished(execution="e", project="p", at=at(9), state=ExecutionState.FAILED))
    assert ended.exit_code is None


def test_of_the_nodes_of_an_assignment_those_that_did_not_end_well_are_told() -> None:
    nodes = {"succeeded": ["n1"], "failed": ["n2"]}
    view = folded([*divided(), part_ended(ExecutionState.FAILED, nodes=nodes), part_ended(ExecutionState.LOST, "2")])
    assert [part.ended for part in view.parts] == [{"failed": ["n2"], "not_run": []}, {}]


def test_failures_are_kept_before_successes_where_there_are_thousands_of_outcomes() -> None:
    good = StepOutcome(step=1, plugin="command", state=ExecutionState.SUCCEEDED)
    bad = msgspec.structs.replace(good, state=ExecutionState.FAILED)
    view = folded([*divided(), part_ended(ExecutionState.FAILED, steps=[good] * (MAX_OUTCOMES - 1))])
    view = apply(view, part_ended(ExecutionState.FAILED, "2", steps=[bad, good, bad]))
    assert len(view.outcomes) == MAX_OUTCOMES
    assert view.outcomes[-2:] == [bad, bad], "the latest successes go"
