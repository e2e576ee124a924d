"""What an execution of several assignments goes on with, told from its view. Pure: the engine between runners.

There is a barrier behind each section of the workflow: all nodes of all runners have to be through one before the
next begins. Within a section each runner has its own nodes, and its own engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from domain.workflow.engine import NodeEnd
from domain.workflow.shape import Section, sections_of, shape_of
from schemas.api import ExecutionView, PartView
from schemas.errors import ErrorInfo
from schemas.events import Part
from schemas.jobs import Strategy
from schemas.states import FINAL, ExecutionState

Division: TypeAlias = Mapping[str, Sequence[str]]
"""Names of nodes by the token of the set that serves them."""

_LOST: Final = ExecutionState.LOST
_Named: TypeAlias = tuple[PartView, list[str]]
_STOPS: Final = (ExecutionState.ABORTED, ExecutionState.TIMEDOUT, ExecutionState.OTHER)
_WORST_FIRST: Final = (*_STOPS, ExecutionState.LOST, ExecutionState.FAILED)


class Wait(msgspec.Struct, frozen=True):
    """Assignments are still under way."""


class Go(msgspec.Struct, frozen=True):
    """These assignments are next."""

    parts: list[Part]


class End(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is left to do."""

    state: ExecutionState
    nodes: dict[str, list[str]] = {}
    error: ErrorInfo | None = None
    status: str = ""


Decision: TypeAlias = Wait | Go | End


def decide(view: ExecutionView, division: Division, *, node_keepgoing: bool) -> Decision:
    """The next step. Steps that are for no nodes go to the view's own set.

    A lost runner is a failure of its nodes, and nothing more is asked of them: nobody may be there to serve them. A
    section that failed ends the execution, unless the workflow keeps going. One that is stopped between two sections
    is aborted, though everything that was begun has ended well.
    """
    if any(part.state not in FINAL for part in view.parts):
        return Wait()
    following = _following(view, division, node_keepgoing=node_keepgoing)
    stopped = any(part.state in _STOPS for part in view.parts)
    failed = any(part.state is not ExecutionState.SUCCEEDED for part in view.parts)
    if stopped or (failed and not view.flow.keepgoing) or not following:
        return _end(view, division, _worst(view.parts))
    if view.abort_requested_by is not None:
        return _end(view, division, ExecutionState.ABORTED)
    return Go(following)


def _following(view: ExecutionView, division: Division, *, node_keepgoing: bool) -> list[Part]:
    """The assignments of the next section that has any; in parallel, of all sections."""
    sections = sections_of([shape_of(step) for step in view.steps], view.flow.strategy)
    leave_out = node_keepgoing and view.flow.strategy is Strategy.NODE_FIRST
    out = failed_nodes(part for part in _with_names(view, division) if leave_out or part[0].state is _LOST)
    first = max((part.section for part in view.parts), default=-1) + 1
    while first < len(sections):
        last = len(sections) if view.flow.strategy is Strategy.PARALLEL else first + 1
        if parts := _parts(view, sections, range(first, last), division, out):
            return parts
        first = last  # no node is left for this section
    return []


def _parts(
    view: ExecutionView,
    sections: Sequence[Section],
    wanted: Iterable[int],
    division: Division,
    out: frozenset[str],
) -> list[Part]:
    parts: list[Part] = []

    def add(section: int, token: str, count: int, left_out: list[str]) -> None:
        steps = sections[section].steps
        parts.append(
            Part(
                assignment=str(len(view.parts) + len(parts) + 1),
                set=token,
                section=section,
                steps=(steps[0] + 1, steps[-1] + 1),
                node_count=count,
                left_out=left_out,
            )
        )

    for index in wanted:
        if not sections[index].for_nodes:
            add(index, view.set, 0, [])
            continue
        for token, names in division.items():
            left_out = [name for name in names if name in out] if out else []
            if len(left_out) < len(names):
                add(index, token, len(names) - len(left_out), left_out)
    return parts


def names_of(part: Part | PartView, division: Division) -> list[str]:
    """The nodes of one assignment."""
    if not part.node_count:
        return []
    out = frozenset(part.left_out)
    return [name for name in division.get(part.set, ()) if name not in out]


def _with_names(view: ExecutionView, division: Division) -> list[_Named]:
    return [(part, names_of(part, division)) for part in view.parts]


def failed_nodes(parts: Iterable[_Named]) -> frozenset[str]:
    """The nodes that failed; where an assignment did not end well and told nothing of its nodes, all of them."""
    failed: set[str] = set()
    for part, names in parts:
        if part.state is not ExecutionState.SUCCEEDED:
            failed.update(part.ended.get(NodeEnd.FAILED, ()) if part.ended else names)
    return frozenset(failed)


def _end(view: ExecutionView, division: Division, state: ExecutionState) -> End:
    named = _with_names(view, division)
    failed, succeeded = failed_nodes(named), set[str]()
    for part, names in named:
        if part.ended or part.state is ExecutionState.SUCCEEDED:
            bad = {name for those in part.ended.values() for name in those}
            succeeded.update(name for name in names if name not in bad)
    nodes: dict[str, list[str]] = {}
    for served in division.values():
        for name in served:
            end = NodeEnd.FAILED if name in failed else NodeEnd.SUCCEEDED if name in succeeded else NodeEnd.NOT_RUN
            nodes.setdefault(end, []).append(name)
    worst = [part for part in view.parts if part.state is state] or [
        part for part in view.parts if part.state is not ExecutionState.SUCCEEDED
    ]
    return End(
        state=ExecutionState.FAILED if state is _LOST else state,
        nodes=nodes,
        error=next((part.error for part in worst if part.error), None),
        status=next((part.status for part in worst if part.status), ""),
    )


def _worst(parts: Iterable[PartView]) -> ExecutionState:
    states = {part.state for part in parts} - {ExecutionState.SUCCEEDED}
    if not states:
        return ExecutionState.SUCCEEDED
    return next((state for state in _WORST_FIRST if state in states), ExecutionState.FAILED)
