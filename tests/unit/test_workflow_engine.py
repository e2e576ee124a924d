"""The engine where handlers are of another kind than their steps, steps are not enabled, or it is halted."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.workflow import Engine, Section, Shape, StepShape, Unit, sections_of
from domain.workflow.engine import NodeEnd
from domain.workflow.plugins import plugins_of
from domain.workflow.shape import shape_of
from schemas.jobs import Step, Strategy

N, S, P = Strategy.NODE_FIRST, Strategy.SEQUENTIAL, Strategy.PARALLEL
PLAIN, OFF = StepShape(), StepShape(enabled=False)
ONCE = StepShape(node_step=False)
ONCE_HANDLED_ON_NODES = StepShape(node_step=False, handler=True)
ONCE_HANDLED_ONCE = StepShape(node_step=False, handler=True, handler_for_nodes=False)
HANDLED_ONCE = StepShape(handler=True, handler_keepgoing=True, handler_for_nodes=False)
SHAPES = [PLAIN, OFF, ONCE, ONCE_HANDLED_ON_NODES, ONCE_HANDLED_ONCE, HANDLED_ONCE, StepShape(handler=True)]


def played(shape: Shape, *failing: Unit) -> tuple[Engine, list[Unit]]:
    engine, order, running = Engine(shape), list[Unit](), list[Unit]()
    while running := running + engine.ready():
        unit = running.pop(0)
        order.append(unit)
        engine.finish(unit, succeeded=unit not in failing)
    assert engine.over
    return engine, order


def test_steps_that_are_not_enabled_are_in_no_section() -> None:
    assert sections_of([OFF, PLAIN, OFF, PLAIN, ONCE, OFF], N) == [
        Section((1, 3), for_nodes=True),
        Section((4,), for_nodes=False),
    ]
    assert sections_of([OFF], S) == []
    assert played(Shape([OFF], "ab"))[0].succeeded


def test_the_shape_of_a_step() -> None:
    off = Step(plugin="b", enabled=False)
    assert shape_of(Step(plugin="a", error_handler=off)) == PLAIN
    assert shape_of(Step(plugin="a", enabled=False)) == OFF
    assert plugins_of([Step(plugin="a", error_handler=off), off]) == {"a"}
    handler = Step(plugin="jobref", node_step=False, keepgoing_on_success=True)
    assert shape_of(Step(plugin="a", error_handler=handler)) == HANDLED_ONCE


@pytest.mark.parametrize(("node_keepgoing", "order"), [(True, "ab"), (False, "a")])
def test_a_node_step_that_handles_a_step_that_is_for_none(node_keepgoing: bool, order: str) -> None:
    shape = Shape([ONCE_HANDLED_ON_NODES], "ab", node_keepgoing=node_keepgoing, keepgoing=True)
    engine, played_units = played(shape, Unit(0, None), Unit(0, "a", handler=True))
    assert [unit.node for unit in played_units if unit.handler] == list(order)
    assert not engine.succeeded
    assert played(shape, Unit(0, None))[0].succeeded
    assert not played(Shape([ONCE_HANDLED_ON_NODES], "", keepgoing=True), Unit(0, None))[0].succeeded


def test_once_for_all_nodes_that_failed_or_for_each_in_node_first() -> None:
    fails = Unit(0, "a"), Unit(0, "c")
    engine, order = played(Shape([HANDLED_ONCE, PLAIN], "abc", S, node_keepgoing=True), *fails)
    assert [unit for unit in order if unit.handler] == [Unit(0, None, handler=True)]
    assert engine.succeeded
    assert not engine.failures
    engine, order = played(Shape([HANDLED_ONCE, PLAIN], "abc", N, node_keepgoing=True), *fails)
    assert [unit.node for unit in order if unit.handler] == ["a", "c"]


def test_failures_are_those_that_no_handler_has_cleared_in_their_order() -> None:
    shape = Shape([PLAIN, HANDLED_ONCE, PLAIN], "a", keepgoing=True)
    engine, _ = played(shape, Unit(0, "a"), Unit(1, "a"), Unit(2, "a"))
    assert list(engine.failures) == [Unit(0, "a"), Unit(2, "a")]


@pytest.mark.parametrize("strategy", [N, S])
def test_what_a_halt_leaves_undone_has_not_succeeded(strategy: Strategy) -> None:
    engine = Engine(Shape([StepShape(handler=True), PLAIN], "abc", strategy, threads=2))
    first, second = engine.ready()
    engine.finish(first, succeeded=False)
    engine.halt()
    assert engine.ready() == []
    engine.finish(second, succeeded=True)
    assert engine.ready() == []
    assert engine.over
    ends = [engine.node_end(node) for node in "abc"]
    assert ends[0] is NodeEnd.FAILED
    assert ends[2] is NodeEnd.NOT_RUN
    assert list(engine.failures) == [Unit(0, "a")]


shapes = st.builds(
    Shape, st.lists(st.sampled_from(SHAPES), min_size=1, max_size=4), st.sampled_from(["", "a", "abcd"]),
    st.sampled_from(Strategy), st.booleans(), st.integers(1, 3), st.booleans(),
)  # fmt: skip


@given(shapes, st.randoms(use_true_random=False), st.none() | st.integers(0, 12))
def test_it_always_ends_and_nothing_runs_twice(shape: Shape, dice: random.Random, halt_after: int | None) -> None:
    engine, running, given_out, failed = Engine(shape), list[Unit](), list[Unit](), False
    while True:
        fresh = engine.ready()
        given_out += fresh
        running += fresh
        if not running:
            break
        unit = running.pop(dice.randrange(len(running)))
        good = dice.random() < 0.7
        failed |= not good
        engine.finish(unit, succeeded=good)
        if halt_after == len(given_out):
            engine.halt()
    assert engine.over
    assert len(given_out) == len(set(given_out))
    assert all(shape.steps[unit.step].enabled for unit in given_out)
    assert failed or halt_after is not None or engine.succeeded
    if engine.succeeded:
        assert not engine.failures
        assert not any(engine.node_end(node) is NodeEnd.FAILED for node in shape.nodes)


@pytest.mark.slow
def test_hundreds_of_sections_at_once_are_no_matter() -> None:
    """Each end is looked at in its own section only: all of them would be 25 million looks."""
    nodes = [f"n{number}" for number in range(100)]
    engine, order = played(Shape([PLAIN] * 500, nodes, P, threads=5))
    assert engine.succeeded
    assert len(order) == 50_000
