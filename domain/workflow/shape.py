"""A workflow as the engine sees it: which steps there are, on which nodes, and what follows a failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.jobs import Flow, Step, Strategy


class StepShape(NamedTuple):
    """What matters of a step for what comes after it."""

    node_step: bool = True
    handler: bool = False
    handler_keepgoing: bool = False
    """``keepgoingOnSuccess``: a handler that succeeds clears the failure."""
    handler_for_nodes: bool = True
    """The handler is a node step; else it runs once, whatever the step is."""
    enabled: bool = True


class Unit(NamedTuple):
    """One thing to carry out: a step (an index, from 0), or its handler, on a node or (None) once for all."""

    step: int
    node: str | None
    handler: bool = False


class Section(NamedTuple):
    """Steps that run between two barriers: all of them for nodes, or a single one that is not."""

    steps: tuple[int, ...]
    for_nodes: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """A workflow and the nodes it is dispatched to, in order.

    ``threads`` nodes are taken at a time. ``keepgoing`` is the workflow's, ``node_keepgoing`` that of the dispatch.
    """

    steps: Sequence[StepShape]
    nodes: Sequence[str]
    strategy: Strategy = Strategy.NODE_FIRST
    keepgoing: bool = False
    threads: int = 1
    node_keepgoing: bool = False

    @classmethod
    def of(
        cls,
        steps: Sequence[Step],
        flow: Flow,
        nodes: Sequence[str],
        *,
        threads: int = 1,
        node_keepgoing: bool = False,
    ) -> Shape:
        """The shape of a job's workflow."""
        shapes = [shape_of(step) for step in steps]
        return cls(shapes, nodes, flow.strategy, flow.keepgoing, threads, node_keepgoing)


def shape_of(step: Step) -> StepShape:
    """What matters of one step; a handler that is not enabled is none."""
    handler = step.error_handler
    if handler is None or not handler.enabled:
        return StepShape(step.node_step, enabled=step.enabled)
    return StepShape(
        step.node_step, handler=True, handler_keepgoing=handler.keepgoing_on_success,
        handler_for_nodes=handler.node_step, enabled=step.enabled,
    )  # fmt: skip


def sections_of(steps: Sequence[StepShape], strategy: Strategy) -> list[Section]:
    """The sections of a workflow, in order; a step that is not enabled is in none.

    Node-first: the workflow is split around steps that are not for nodes ("Dispatch to nodes", strategies). All other
    strategies: each step is a section of its own.
    """
    sections: list[Section] = []
    for index, step in enumerate(steps):
        if not step.enabled:
            continue
        joins = strategy is Strategy.NODE_FIRST and step.node_step and sections and sections[-1].for_nodes
        if joins:
            sections[-1] = Section((*sections[-1].steps, index), for_nodes=True)
        else:
            sections.append(Section((index,), step.node_step))
    return sections
