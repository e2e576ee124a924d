"""An execution, folded from its events. Pure; tolerant of events that arrive in another order or twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final

import msgspec

from schemas.api import ExecutionView, PartView
from schemas.errors import ErrorCode
from schemas.events import (
    AbortRequested,
    AssignmentFinished,
    AssignmentStarted,
    Event,
    ExecutionFinished,
    ExecutionPhase,
    ExecutionQueued,
    StepOutcome,
)
from schemas.states import FINAL, ExecutionState

_RETRIED: Final = frozenset({ExecutionState.FAILED, ExecutionState.TIMEDOUT})
"""An abort is not ("Retry"), nor what is lost: what was done by then is not known."""
_CUT_OFF: Final = frozenset({ExecutionState.ABORTED, ExecutionState.TIMEDOUT, ExecutionState.LOST})
"""Assignments that somebody else may have ended, who does not know where their log does."""
MAX_OUTCOMES: Final = 1000
"""Outcomes of an execution of several assignments are told up to here."""


def begin(event: Event) -> ExecutionView:
    """The view of an execution of which nothing is known but its names."""
    return ExecutionView(id=event.execution, project=event.project, state=ExecutionState.QUEUED)


def apply(view: ExecutionView, event: Event) -> ExecutionView:
    """The view after one more event. A final state is never left, whatever comes late."""
    match event:
        case ExecutionQueued():
            return _queued(view, event)
        case AssignmentStarted():
            return _started_part(view, event) if view.orchestrated else _started(view, event)
        case AssignmentFinished():
            return _finished_part(view, event) if view.orchestrated else _finished(view, event)
        case ExecutionPhase():
            return _phase(view, event)
        case ExecutionFinished():
            return _ended(view, event)
        case AbortRequested():
            return msgspec.structs.replace(view, abort_requested_by=event.user or "")


def _queued(view: ExecutionView, event: ExecutionQueued) -> ExecutionView:
    return msgspec.structs.replace(
        view,
        title=event.title,
        job=event.job,
        set=event.set,
        user=event.user,
        steps=event.steps,
        queued_at=event.at,
        timeout_s=event.timeout_s,
        deadline_at=event.deadline_at,
        flow=event.flow,
        options=event.context.get("option", {}),
        node_filter=event.node_filter,
        node_count=event.node_count,
        retry=event.retry,
        warnings=event.warnings,
        orchestrated=event.orchestrated,
        division=event.division,
    )


def _started(view: ExecutionView, event: AssignmentStarted) -> ExecutionView:
    ended = view.state in FINAL
    if event.attempt < view.attempt or (ended and event.attempt != view.attempt):
        return view
    return msgspec.structs.replace(
        view,
        state=view.state if ended else ExecutionState.RUNNING,
        runner=(view.runner or event.runner) if ended else event.runner,
        instance=event.instance,
        attempt=event.attempt,
        started_at=event.at,
    )


def _finished(view: ExecutionView, event: AssignmentFinished) -> ExecutionView:
    if view.state in FINAL or event.state not in FINAL:
        return view
    return msgspec.structs.replace(
        view,
        state=_with_retry(view, event),
        runner=event.runner or view.runner,
        attempt=max(event.attempt, view.attempt),
        finished_at=event.at,
        duration_s=event.duration_s,
        exit_code=event.exit_code,
        signal=event.signal,
        outcomes=event.steps,
        error=event.error,
        last_log_seq=event.last_log_seq,
        nodes=event.nodes,
        status=event.status,
    )


def _with_retry(view: ExecutionView, event: AssignmentFinished | ExecutionFinished) -> ExecutionState:
    """A run that failed or timed out, and is run again, says so ("Retry": ``failed-with-retry``).

    None is that could only begin behind its deadline.
    """
    retry, state = view.retry, event.state
    if retry is None or retry.attempt >= retry.most or state not in _RETRIED:
        return state
    if event.error is not None and event.error.code is ErrorCode.DEADLINE_EXCEEDED:
        return state
    if view.deadline_at is not None and event.at + timedelta(seconds=retry.delay_s) >= view.deadline_at:
        return state
    if any(part.state is ExecutionState.LOST for part in view.parts):
        return state
    return ExecutionState.FAILED_WITH_RETRY


def _phase(view: ExecutionView, event: ExecutionPhase) -> ExecutionView:
    known = {part.assignment for part in view.parts}
    fresh = [
        PartView(
            assignment=part.assignment,
            set=part.set,
            section=part.section,
            steps=part.steps,
            node_count=part.node_count,
            left_out=part.left_out,
        )
        for part in event.parts
        if part.assignment not in known
    ]
    return msgspec.structs.replace(view, parts=[*view.parts, *fresh])


def _started_part(view: ExecutionView, event: AssignmentStarted) -> ExecutionView:
    def started(part: PartView) -> PartView:
        if part.state in FINAL or event.attempt < part.attempt:
            return part
        return msgspec.structs.replace(
            part,
            state=ExecutionState.RUNNING,
            runner=event.runner,
            instance=event.instance,
            attempt=event.attempt,
            started_at=event.at,
        )

    changed = _with_part(view, event.assignment, started)
    if changed.state in FINAL:
        return changed
    return msgspec.structs.replace(
        changed,
        state=ExecutionState.RUNNING,
        started_at=view.started_at or event.at,
        runner=_runners(changed.parts),
        attempt=max(view.attempt, event.attempt),
    )


def _finished_part(view: ExecutionView, event: AssignmentFinished) -> ExecutionView:
    def finished(part: PartView) -> PartView:
        if part.state in FINAL or event.state not in FINAL:
            return part
        return msgspec.structs.replace(
            part,
            state=event.state,
            runner=event.runner or part.runner,
            finished_at=event.at,
            ended=_not_well(event.nodes),
            error=event.error,
            status=event.status,
        )

    changed = _with_part(view, event.assignment, finished)
    failed = event.exit_code not in (None, 0)
    return msgspec.structs.replace(
        changed,
        outcomes=_bounded([*view.outcomes, *event.steps]),
        runner=_runners(changed.parts),
        exit_code=event.exit_code if failed or view.exit_code is None else view.exit_code,
        last_log_seq=max(view.last_log_seq, event.last_log_seq),
    )


def _bounded(outcomes: list[StepOutcome]) -> list[StepOutcome]:
    """At most ``MAX_OUTCOMES``: failures are kept before successes."""
    surplus = len(outcomes) - MAX_OUTCOMES
    if surplus <= 0:
        return outcomes
    good = [index for index, each in enumerate(outcomes) if each.state is ExecutionState.SUCCEEDED]
    dropped = set(good[-surplus:])
    return [each for index, each in enumerate(outcomes) if index not in dropped][:MAX_OUTCOMES]


def _not_well(nodes: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """All nodes of an assignment are known, and those that ended well are many."""
    return {end: nodes.get(end, []) for end in ("failed", "not_run")} if nodes else {}


def _with_part(view: ExecutionView, assignment: str, change: Callable[[PartView], PartView]) -> ExecutionView:
    parts = [change(part) if part.assignment == assignment else part for part in view.parts]
    return msgspec.structs.replace(view, parts=parts)


def _runners(parts: Iterable[PartView]) -> str:
    return ", ".join(dict.fromkeys(part.runner for part in parts if part.runner))


def _ended(view: ExecutionView, event: ExecutionFinished) -> ExecutionView:
    if view.state in FINAL or event.state not in FINAL:
        return view
    cut_off = any(part.state in _CUT_OFF for part in view.parts)
    return msgspec.structs.replace(
        view,
        state=_with_retry(view, event),
        finished_at=event.at,
        duration_s=event.duration_s,
        exit_code=0 if event.state is ExecutionState.SUCCEEDED else view.exit_code or None,
        error=event.error,
        last_log_seq=0 if cut_off else max(view.last_log_seq, event.last_log_seq),
        nodes=event.nodes,
        status=event.status,
    )
