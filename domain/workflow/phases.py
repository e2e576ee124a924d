"""What an execution of several assignments goes on with, told from its view. Pure; the dispatchers' side of the engine.

Between runners there is a barrier behind each section of the workflow: all nodes of all runners have to be through one
before the next begins. Within a section each runner has its own nodes, and its own engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from domain.workflow.engine import NodeEnd
from domain.workflow.shape import Section, sections_of, shape_of
from schemas.api import ExecutionView, PartView
from schemas.errors import ErrorInfo
from schemas.events import Part
from schemas.jobs import Strategy
from schemas.states import FINAL, ExecutionState

_WORST_FIRST = (
    ExecutionState.ABORTED,
    ExecutionState.TIMEDOUT,
    ExecutionState.OTHER,
    ExecutionState.LOST,
    ExecutionState.FAILED,
)


class Wait(msgspec.Struct, frozen=True):
    """Assignments are still under way."""


class Go(msgspec.Struct, frozen=True):
    """These assignments are next."""

    parts: list[Part]


class End(msgspec.Struct, frozen=True):
    """Nothing is left to do."""

    state: ExecutionState
    nodes: dict[str, list[str]]
    error: ErrorInfo | None


Decision: TypeAlias = Wait | Go | End


def decide(view: ExecutionView, division: Mapping[str, Sequence[str]], *, node_keepgoing: bool) -> Decision:
    """The next step. ``division`` says which set serves which nodes; steps that are for none go to the view's set.

    A lost runner is a failure of its nodes. A section that failed ends the execution, unless the workflow keeps going.
    """
    if any(part.state not in FINAL for part in view.parts):
        return Wait()
    stopped = view.abort_requested_by is not None or any(
        part.state in (ExecutionState.ABORTED, ExecutionState.TIMEDOUT, ExecutionState.OTHER) for part in view.parts
    )
    failed = any(part.state is not ExecutionState.SUCCEEDED for part in view.parts)
    if stopped or (failed and not view.flow.keepgoing):
        return _end(view, division)
    sections = sections_of([shape_of(step) for step in view.steps], view.flow.strategy)
    first = max((part.section for part in view.parts), default=-1) + 1
    out = _failed_nodes(view) if node_keepgoing and view.flow.strategy is Strategy.NODE_FIRST else frozenset()
    while first < len(sections):
        last = len(sections) if view.flow.strategy is Strategy.PARALLEL else first + 1
        parts = _parts(view, sections, range(first, last), division, out)
        if parts:
            return Go(parts)
        first = last  # no node is left for this section
    return _end(view, division)


def _parts(
    view: ExecutionView,
    sections: Sequence[Section],
    wanted: Iterable[int],
    division: Mapping[str, Sequence[str]],
    out: frozenset[str],
) -> list[Part]:
    number = len(view.parts)
    parts: list[Part] = []
    for index in wanted:
        section = sections[index]
        steps = (section.steps[0] + 1, section.steps[-1] + 1)
        shares = division.items() if section.for_nodes else [(view.set, [])]
        for token, names in shares:
            left = [name for name in names if name not in out]
            if left or not section.for_nodes:
                number += 1
                parts.append(Part(assignment=str(number), set=token, section=index, steps=steps, nodes=left))
    return parts


def _end(view: ExecutionView, division: Mapping[str, Sequence[str]]) -> End:
    failed = _failed_nodes(view)
    touched = {name for part in view.parts for name in _touched(part)}
    nodes: dict[str, list[str]] = {}
    for names in division.values():
        for name in names:
            end = NodeEnd.FAILED if name in failed else NodeEnd.SUCCEEDED if name in touched else NodeEnd.NOT_RUN
            nodes.setdefault(end, []).append(name)
    bad = [part for part in view.parts if part.state is not ExecutionState.SUCCEEDED]
    state = min((part.state for part in bad), key=_badness, default=ExecutionState.SUCCEEDED)
    if view.abort_requested_by is not None and (bad or not view.parts):
        state = ExecutionState.ABORTED
    if state is ExecutionState.LOST:
        state = ExecutionState.FAILED
    return End(state, nodes, next((part.error for part in bad if part.error), None))


def _failed_nodes(view: ExecutionView) -> frozenset[str]:
    failed: set[str] = set()
    for part in view.parts:
        if part.state is ExecutionState.SUCCEEDED:
            continue
        told = part.ended.get(NodeEnd.FAILED)
        failed.update(part.nodes if told is None and not part.ended else told or ())
    return frozenset(failed)


def _touched(part: PartView) -> Iterable[str]:
    if part.ended:
        return part.ended.get(NodeEnd.SUCCEEDED, [])
    return part.nodes if part.state is ExecutionState.SUCCEEDED else []


def _badness(state: ExecutionState) -> int:
    return _WORST_FIRST.index(state) if state in _WORST_FIRST else len(_WORST_FIRST)
