"""Which notifications of an execution are due."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from schemas.api import ExecutionView
from schemas.events import ExecutionQueued
from schemas.jobs import Notification, Trigger
from schemas.states import FINAL, ExecutionState

_OF_END: Final = {
    ExecutionState.SUCCEEDED: Trigger.SUCCESS,
    ExecutionState.FAILED_WITH_RETRY: Trigger.RETRYABLE_FAILURE,
}


class Due(NamedTuple):
    """One notification whose trigger fired; ``number`` counts the notifications of the execution from 1."""

    number: int
    notification: Notification


def due(queued: ExecutionQueued, before: ExecutionView | None, after: ExecutionView) -> list[Due]:
    """What a change of an execution sets off, in the order of the job.

    An end that is no success is a failure, also where it was aborted, timed out or ended in a status of the job's
    own; one that is followed by a retry is a retryable failure and nothing else. What ended before it started, or
    never ran (missed), has no start to tell. Average durations are not found here: they pass without an event.
    """
    fired: list[Trigger] = []
    if _has_started(after) and not (before and _has_started(before)):
        fired.append(Trigger.START)
    if after.state in FINAL and not (before and before.state in FINAL):
        fired.append(trigger_of_end(after.state))
    return [each for trigger in fired for each in of_trigger(queued.notifications, trigger)]


def of_trigger(notifications: Iterable[Notification], trigger: Trigger) -> list[Due]:
    """The notifications of one trigger."""
    return [Due(number, each) for number, each in enumerate(notifications, start=1) if each.trigger is trigger]


def trigger_of_end(state: ExecutionState) -> Trigger:
    """What an end in this state fires."""
    return _OF_END.get(state, Trigger.FAILURE)


def _has_started(view: ExecutionView) -> bool:
    return view.started_at is not None
