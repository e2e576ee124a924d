"""An execution, folded from its events. Pure; tolerant of events that arrive in another order or twice."""

from __future__ import annotations

import msgspec

from schemas.api import ExecutionView
from schemas.events import AbortRequested, AssignmentFinished, AssignmentStarted, Event, ExecutionQueued
from schemas.states import FINAL, ExecutionState


def begin(event: Event) -> ExecutionView:
    """The view of an execution of which nothing is known but its names."""
    return ExecutionView(id=event.execution, project=event.project, state=ExecutionState.QUEUED)


def apply(view: ExecutionView, event: Event) -> ExecutionView:
    """The view after one more event. A final state is never left, whatever comes late."""
    match event:
        case ExecutionQueued():
            return _queued(view, event)
        case AssignmentStarted():
            return _started(view, event)
        case AssignmentFinished():
            return _finished(view, event)
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
        state=event.state,
        runner=event.runner or view.runner,
        attempt=max(event.attempt, view.attempt),
        finished_at=event.at,
        duration_s=event.duration_s,
        exit_code=event.exit_code,
        signal=event.signal,
        outcomes=event.steps,
        error=event.error,
        last_log_seq=event.last_log_seq,
    )
