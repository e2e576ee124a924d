from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.workflow import Engine, Section, Shape, StepShape, Unit, sections_of
from domain.workflow.engine import NodeEnd
from schemas.jobs import Strategy

N, S, P = Strategy.NODE_FIRST, Strategy.SEQUENTIAL, Strategy.PARALLEL
PLAIN = StepShape()
ONCE = StepShape(node_step=False)
HANDLED = StepShape(handler=True)
CLEARED = StepShape(handler=True, handler_keepgoing=True)


def name(unit: Unit) -> str:
    """``1a`` is step 1 on node a, ``2`` a step that is for none, ``1a!`` its handler."""
    return f"{unit.step + 1}{unit.node or ''}{'!' if unit.handler else ''}"


def played(shape: Shape, failing: Iterable[str] = (), *, pick: Callable[[list[Unit]], int] = lambda _: 0) -> Engine:
    engine, running, fails = Engine(shape), list[Unit](), set(failing)
    order: list[str] = []
    while True:
        fresh = engine.ready()
        order += [name(unit) for unit in fresh]
        running += fresh
        if not running:
            break
        unit = running.pop(pick(running))
        engine.finish(unit, succeeded=name(unit) not in fails)
    assert engine.over
    engine.order = order  # type: ignore[attr-defined]
    return engine


def played_out(engine: Engine) -> bool:
    return engine.over


def order_of(engine: Engine) -> str:
    return " ".join(engine.order)  # type: ignore[attr-defined]


def test_sections_are_split_around_steps_that_are_not_for_nodes() -> None:
    steps = [PLAIN, PLAIN, ONCE, ONCE, PLAIN]
    assert sections_of(steps, N) == [
        Section((0, 1), for_nodes=True),
        Section((2,), for_nodes=False),
        Section((3,), for_nodes=False),
        Section((4,), for_nodes=True),
    ]
    assert sections_of(steps[:2], S) == [Section((0,), for_nodes=True), Section((1,), for_nodes=True)]


@pytest.mark.parametrize(
    ("shape", "failing", "order", "succeeded"),
    [
        pytest.param(Shape([PLAIN, PLAIN], "ab"), "", "1a 2a 1b 2b", True, id="node-first"),
        pytest.param(Shape([PLAIN, PLAIN], "ab", S), "", "1a 1b 2a 2b", True, id="sequential"),
        pytest.param(Shape([PLAIN, PLAIN], "ab", P), "", "1a 2a 1b 2b", True, id="parallel, a node at a time each"),
        pytest.param(Shape([PLAIN, ONCE, PLAIN], "ab"), "", "1a 1b 2 3a 3b", True, id="node-first around a step"),
        pytest.param(Shape([ONCE, ONCE], "ab", P), "1", "1 2", False, id="parallel goes on with what has begun"),
        pytest.param(Shape([PLAIN, PLAIN], "ab"), "1a", "1a", False, id="the first failed node stops the rest"),
        pytest.param(Shape([PLAIN, PLAIN], "ab", node_keepgoing=True), "1a", "1a 1b 2b", False, id="node keepgoing"),
        pytest.param(Shape([PLAIN, PLAIN], "ab", keepgoing=True), "1a", "1a 2a", False, id="keepgoing on the node"),
        pytest.param(
            Shape([PLAIN, ONCE, PLAIN], "ab", keepgoing=True, node_keepgoing=True), "1a", "1a 1b 2 3b", False,
            id="a failed node is left out of later sections",
        ),
        pytest.param(
            Shape([PLAIN, ONCE, PLAIN], "ab", node_keepgoing=True), "1a", "1a 1b", False,
            id="a failed section ends the workflow",
        ),
        pytest.param(Shape([PLAIN, PLAIN], "ab", S), "1a", "1a", False, id="sequential stops at the first node"),
        pytest.param(
            Shape([PLAIN, PLAIN], "abc", S, threads=2), "1a", "1a 1b 1c", False,
            id="several at a time: all carry the step out, then it fails",
        ),
        pytest.param(
            Shape([PLAIN, PLAIN], "abcd", N, threads=2), "1a", "1a 1b 2b", False,
            id="node-first with threads: no new node after a failure, running ones go on",
        ),
        pytest.param(
            Shape([PLAIN, PLAIN], "ab", S, node_keepgoing=True, keepgoing=True), "1a", "1a 1b 2a 2b", False,
            id="sequential leaves no node out",
        ),
        pytest.param(Shape([HANDLED, PLAIN], "a"), "1a", "1a 1a!", False, id="handled, and the rest is skipped"),
        pytest.param(Shape([CLEARED, PLAIN], "a"), "1a", "1a 1a! 2a", True, id="keepgoingOnSuccess clears"),
        pytest.param(Shape([CLEARED, PLAIN], "a"), "1a 1a!", "1a 1a!", False, id="unless the handler fails"),
        pytest.param(Shape([HANDLED, PLAIN], "a", keepgoing=True), "1a", "1a 1a! 2a", True, id="keepgoing clears"),
        pytest.param(
            Shape([HANDLED, PLAIN], "a", keepgoing=True), "1a 1a!", "1a 1a! 2a", False,
            id="keepgoing goes on behind a failed handler",
        ),
        pytest.param(
            Shape([CLEARED, PLAIN], "ab"), "1a", "1a 1a! 2a 1b 2b", True, id="node-first: handled at once",
        ),
        pytest.param(
            Shape([CLEARED, PLAIN], "abc", S, threads=2), "1a 1b", "1a 1b 1c 1a! 1b! 2a 2b 2c", True,
            id="sequential: handled once the step is over on all nodes",
        ),
        pytest.param(
            Shape([CLEARED, PLAIN], "ab", S), "1a", "1a 1a! 2a 2b", True,
            id="sequential, one at a time: stopped, handled, and on with the next step",
        ),
        pytest.param(Shape([HANDLED, PLAIN], "a", P), "1a", "1a 2a 1a!", False, id="parallel with a handler"),
        pytest.param(Shape([PLAIN], ""), "", "", True, id="no nodes, nothing to do"),
    ],
)  # fmt: skip
def test_order_and_result(shape: Shape, failing: str, order: str, succeeded: bool) -> None:
    engine = played(shape, failing.split())
    assert order_of(engine) == order
    assert engine.succeeded is succeeded


def test_what_became_of_each_node() -> None:
    engine = played(Shape([PLAIN], "abc", S), ["1b"])
    assert [engine.node_end(node) for node in "abc"] == [NodeEnd.SUCCEEDED, NodeEnd.FAILED, NodeEnd.NOT_RUN]


def test_a_cleared_failure_is_no_failure_of_its_node() -> None:
    engine = played(Shape([CLEARED], "a"), ["1a"])
    assert engine.node_end("a") is NodeEnd.SUCCEEDED


def test_halting_starts_nothing_more_and_is_no_success() -> None:
    engine = Engine(Shape([HANDLED, PLAIN], "abc", threads=2))
    first, second = engine.ready()
    engine.finish(first, succeeded=True)
    engine.halt()
    assert engine.ready() == []
    assert not engine.over
    engine.finish(second, succeeded=False)
    assert engine.ready() == []
    assert played_out(engine)
    assert not engine.succeeded


def test_a_unit_that_does_not_run_cannot_end() -> None:
    with pytest.raises(KeyError):
        Engine(Shape([PLAIN], "a")).finish(Unit(0, "a"), succeeded=True)


steps = st.lists(st.sampled_from([PLAIN, ONCE, HANDLED, CLEARED]), min_size=1, max_size=4)
shapes = st.builds(
    Shape, steps, st.sampled_from(["", "a", "ab", "abcd"]), st.sampled_from(Strategy), st.booleans(),
    st.integers(1, 3), st.booleans(),
)  # fmt: skip


@given(shapes, st.sets(st.integers(0, 40)), st.randoms(use_true_random=False))
def test_whatever_ends_in_whatever_order(shape: Shape, failures: set[int], random: object) -> None:
    engine, running, given_out, ended = Engine(shape), list[Unit](), list[Unit](), 0
    failed = False
    while True:
        running += (fresh := engine.ready())
        given_out += fresh
        at_once = {unit.node for unit in running if unit.node is not None}
        if shape.strategy is not P:
            assert len(at_once) <= shape.threads
        if not running:
            break
        unit = running.pop(random.randrange(len(running)))  # type: ignore[attr-defined]
        good = ended not in failures
        ended += 1
        failed |= not good
        engine.finish(unit, succeeded=good)
    assert engine.over
    assert len(given_out) == len(set(given_out))
    assert failed or engine.succeeded
    if engine.succeeded:
        assert all(any(unit.step == index for unit in given_out) for index, step in enumerate(shape.steps) if
                   not step.node_step or shape.nodes)  # fmt: skip
    for unit in given_out:
        assert shape.steps[unit.step].node_step == (unit.node is not None)
        assert not unit.handler or Unit(unit.step, unit.node) in given_out


def test_ten_thousand_nodes_are_no_matter() -> None:
    nodes = [f"n{number}" for number in range(10_000)]
    engine = played(Shape([PLAIN, PLAIN], nodes, threads=50), pick=lambda running: len(running) - 1)
    assert len(engine.order) == 20_000  # type: ignore[attr-defined]
    assert engine.succeeded
