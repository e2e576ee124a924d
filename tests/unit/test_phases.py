"""What several runners go on with: a table of strategies, failures, losses and aborts, and any history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import execution as fold
from domain.workflow.phases import End, Go, Wait, decide, names_of
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
)
from schemas.jobs import Flow, Step, Strategy
from schemas.states import FINAL, ExecutionState

AT = datetime(2026, 1, 1, tzinfo=UTC)
DIVISION = {"=40a": ["a1", "a2"], "=40b": ["b1", "b2"], "local": ["c1"]}
NODES = ["a1", "a2", "b1", "b2", "c1"]
GOOD, BAD, LOST = ExecutionState.SUCCEEDED, ExecutionState.FAILED, ExecutionState.LOST


class History:
    """One execution, carried on by what is decided and by what the runners report."""

    def __init__(self, *node_steps: bool, node_keepgoing: bool = False, **flow: Any) -> None:
        steps = [Step(plugin="command", node_step=each) for each in node_steps]
        self.node_keepgoing = node_keepgoing
        self.phases: list[list[Part]] = []
        queued = ExecutionQueued(
            execution="e", project="p", at=AT, title="t", steps=steps, set="dev", orchestrated=True,
            division=DIVISION, assignments=[], flow=Flow(**flow),
        )  # fmt: skip
        self.view: ExecutionView = fold.apply(fold.begin(queued), queued)

    def hear(self, event: Event) -> None:
        self.view = fold.apply(self.view, event)

    def decide(self) -> Wait | Go | End:
        return decide(self.view, DIVISION, node_keepgoing=self.node_keepgoing)

    def go(self) -> list[Part]:
        decision = self.decide()
        assert isinstance(decision, Go), decision
        self.phases.append(decision.parts)
        self.hear(ExecutionPhase(execution="e", project="p", at=AT, phase=len(self.phases), parts=decision.parts))
        return decision.parts

    def end(self, part: Part, state: ExecutionState = GOOD, **nodes: list[str]) -> None:
        names: dict[str, Any] = {
            "execution": "e",
            "project": "p",
            "assignment": part.assignment,
            "attempt": 1,
            "at": AT,
        }
        error = None if state is GOOD else ErrorInfo(code=ErrorCode.STEP_FAILED, message=f"{part.set} {state}")
        if not nodes and state is GOOD:
            nodes = {"succeeded": names_of(part, DIVISION)} if part.node_count else {}
        self.hear(AssignmentStarted(**names, runner=part.set, instance="i"))
        self.hear(AssignmentFinished(**names, state=state, runner=part.set, nodes=nodes, error=error))

    def ended(self) -> End:
        decision = self.decide()
        assert isinstance(decision, End), decision
        return decision


def told(parts: list[Part]) -> list[tuple[str, tuple[int, int], list[str]]]:
    return [(part.set, part.steps, names_of(part, DIVISION)) for part in parts]


def test_sequential_has_a_phase_for_each_step_and_waits_for_all_runners() -> None:
    history = History(True, True, strategy=Strategy.SEQUENTIAL)
    parts = history.go()
    assert told(parts) == [
        ("=40a", (1, 1), ["a1", "a2"]), ("=40b", (1, 1), ["b1", "b2"]), ("local", (1, 1), ["c1"])
    ]  # fmt: skip
    for part in parts:
        assert isinstance(history.decide(), Wait)
        history.end(part)
    second = history.go()
    assert [part.assignment for part in second] == ["4", "5", "6"]
    assert {part.steps for part in second} == {(2, 2)}
    for part in second:
        history.end(part)
    assert history.ended() == End(state=GOOD, nodes={"succeeded": NODES})


def test_node_first_is_split_around_steps_that_are_for_no_node() -> None:
    history = History(True, True, False, True)
    for wanted in ((1, 2), (3, 3), (4, 4)):
        parts = history.go()
        assert {part.steps for part in parts} == {wanted}
        for part in parts:
            history.end(part)
    assert told(history.phases[1]) == [("dev", (3, 3), [])]
    assert history.ended().nodes == {"succeeded": NODES}


def test_parallel_begins_everything_at_once() -> None:
    history = History(True, False, True, strategy=Strategy.PARALLEL)
    parts = history.go()
    assert [part.steps for part in parts] == [(1, 1)] * 3 + [(2, 2)] + [(3, 3)] * 3
    for part in parts:
        history.end(part)
    assert history.ended().state is GOOD


@pytest.mark.parametrize("strategy", [Strategy.NODE_FIRST, Strategy.SEQUENTIAL])
@pytest.mark.parametrize("node_keepgoing", [False, True])
@pytest.mark.parametrize("keepgoing", [False, True])
def test_a_failed_section_ends_the_workflow_unless_it_keeps_going(
    strategy: Strategy, node_keepgoing: bool, keepgoing: bool
) -> None:
    history = History(True, False, True, strategy=strategy, keepgoing=keepgoing, node_keepgoing=node_keepgoing)
    first, *others = history.go()
    history.end(first, BAD, failed=["a1"], succeeded=["a2"])
    for part in others:
        history.end(part)
    if keepgoing:
        history.end(history.go()[0])
        last = history.go()
        left_out = ["a1"] if node_keepgoing and strategy is Strategy.NODE_FIRST else []
        assert last[0].left_out == left_out
        for part in last:
            history.end(part)
    end = history.ended()
    assert (end.state, end.nodes) == (BAD, {"failed": ["a1"], "succeeded": ["a2", "b1", "b2", "c1"]})
    assert end.error is not None
    assert end.error.message == "=40a failed"


@pytest.mark.parametrize("strategy", [Strategy.NODE_FIRST, Strategy.SEQUENTIAL])
def test_a_lost_runner_is_a_failure_of_its_nodes_and_is_asked_for_nothing_more(strategy: Strategy) -> None:
    history = History(True, False, True, strategy=strategy, keepgoing=True)
    first, *others = history.go()
    history.end(first, LOST)
    for part in others:
        history.end(part)
    history.end(history.go()[0])
    last = history.go()
    assert [part.set for part in last] == ["=40b", "local"]
    for part in last:
        history.end(part)
    assert history.ended().state is BAD
    assert history.ended().nodes == {"failed": ["a1", "a2"], "succeeded": ["b1", "b2", "c1"]}


def test_where_no_node_is_left_only_what_is_for_none_goes_on() -> None:
    history = History(True, False, True, False, keepgoing=True)
    for part in history.go():
        history.end(part, LOST)
    history.end(history.go()[0])
    (only,) = history.go()
    assert only.steps == (4, 4)
    history.end(only)
    assert history.ended().nodes == {"failed": NODES}


def test_a_runner_that_told_nothing_of_its_nodes_has_failed_them_all_and_one_that_did_only_those() -> None:
    history = History(True)
    first, second, third = history.go()
    history.end(first, BAD)
    history.end(second, BAD, failed=["b2"], not_run=["b1"])
    history.end(third)
    assert history.ended().nodes == {"failed": ["a1", "a2", "b2"], "not_run": ["b1"], "succeeded": ["c1"]}


def abort() -> AbortRequested:
    return AbortRequested(execution="e", project="p", at=AT, user="bob")


def test_an_abort_before_anything_began_and_between_two_sections() -> None:
    history = History(True, True, strategy=Strategy.SEQUENTIAL)
    history.hear(abort())
    assert (history.ended().state, history.ended().nodes) == (ExecutionState.ABORTED, {"not_run": NODES})
    history = History(True, True, strategy=Strategy.SEQUENTIAL)
    for part in history.go():
        history.end(part)
    history.hear(abort())
    assert history.ended().state is ExecutionState.ABORTED, "its second step never ran"
    history = History(True)
    for part in history.go():
        history.end(part)
    history.hear(abort())
    assert history.ended().state is GOOD, "it came too late"


@pytest.mark.parametrize(
    ("states", "wanted"),
    [
        ((BAD, LOST, GOOD), BAD),
        ((ExecutionState.ABORTED, BAD, GOOD), ExecutionState.ABORTED),
        ((ExecutionState.TIMEDOUT, BAD, LOST), ExecutionState.TIMEDOUT),
        ((ExecutionState.OTHER, BAD, GOOD), ExecutionState.OTHER),
    ],
)
@pytest.mark.parametrize("keepgoing", [False, True])
def test_the_worst_state_of_a_section_is_that_of_the_whole(
    states: tuple[ExecutionState, ...], wanted: ExecutionState, keepgoing: bool
) -> None:
    history = History(True, strategy=Strategy.SEQUENTIAL, keepgoing=keepgoing)
    for part, state in zip(history.go(), states, strict=True):
        history.end(part, state)
    end = history.ended()
    assert end.state is wanted
    assert end.error is not None
    assert str(LOST if wanted is BAD else wanted) in end.error.message


def test_a_status_of_the_jobs_own_is_told() -> None:
    history = History(True)
    first, *others = history.go()
    for part in others:
        history.end(part)
    names: dict[str, Any] = {"execution": "e", "project": "p", "assignment": first.assignment, "attempt": 1, "at": AT}
    history.hear(AssignmentFinished(**names, state=ExecutionState.OTHER, status="full", runner="a"))
    assert (history.ended().state, history.ended().status) == (ExecutionState.OTHER, "full")


@settings(deadline=None, max_examples=100)
@given(
    node_steps=st.lists(st.booleans(), min_size=1, max_size=5),
    strategy=st.sampled_from(Strategy),
    keepgoing=st.booleans(),
    node_keepgoing=st.booleans(),
    data=st.data(),
)
def test_any_history_ends_and_no_step_is_carried_out_twice_on_a_node(
    node_steps: list[bool], strategy: Strategy, keepgoing: bool, node_keepgoing: bool, data: st.DataObject
) -> None:
    history = History(*node_steps, strategy=strategy, keepgoing=keepgoing, node_keepgoing=node_keepgoing)
    carried_out: list[tuple[int, str]] = []
    while isinstance(history.decide(), Go):
        for part in history.go():
            first, last = part.steps
            carried_out += [
                (step, name) for step in range(first, last + 1) for name in names_of(part, DIVISION) or [""]
            ]
            history.end(part, data.draw(st.sampled_from(sorted(FINAL))))
    assert len(carried_out) == len(set(carried_out))
    end = history.ended()
    assert sorted(name for names in end.nodes.values() for name in names) == NODES
    states = [part.state for part in history.view.parts]
    assert (end.state is GOOD) == all(state is GOOD for state in states)
    if end.state is GOOD:
        assert len(carried_out) == sum(len(NODES) if each else 1 for each in node_steps)
    finished = ExecutionFinished(execution="e", project="p", at=AT, state=end.state, nodes=end.nodes)
    history.hear(finished)
    assert history.view.state is end.state


@pytest.mark.slow
def test_deciding_for_thousands_of_nodes_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"=40r{runner}": [f"n{runner}-{number}" for number in range(1000)] for runner in range(10)}
    monkeypatch.setitem(globals(), "DIVISION", many)
    history = History(*[True] * 50, strategy=Strategy.SEQUENTIAL)
    while isinstance(history.decide(), Go):
        for part in history.go():
            history.end(part)
    assert len(history.view.parts) == 500
    assert len(msgspec.json.encode(msgspec.structs.replace(history.view, division={}))) < 200_000, "no names in parts"
