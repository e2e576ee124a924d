from __future__ import annotations

import pytest

from schemas.states import FINAL, TRANSITIONS, ExecutionState, may_follow


def test_the_table_has_every_state_and_only_states() -> None:
    assert set(TRANSITIONS) == set(ExecutionState)
    assert frozenset().union(*TRANSITIONS.values()) <= set(ExecutionState)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_state_is_never_left(state: ExecutionState) -> None:
    assert not TRANSITIONS[state]


@pytest.mark.parametrize("state", sorted(set(ExecutionState) - FINAL))
def test_from_any_other_state_the_end_can_be_reached(state: ExecutionState) -> None:
    assert TRANSITIONS[state] & FINAL
    assert not may_follow(state, state)


def test_nothing_succeeds_that_did_not_run() -> None:
    assert not may_follow(ExecutionState.QUEUED, ExecutionState.SUCCEEDED)
    assert may_follow(ExecutionState.QUEUED, ExecutionState.RUNNING)
    assert may_follow(ExecutionState.RUNNING, ExecutionState.SUCCEEDED)


def test_every_state_but_the_first_can_be_reached() -> None:
    reached = frozenset().union(*TRANSITIONS.values())
    assert set(ExecutionState) - reached == {ExecutionState.QUEUED}
