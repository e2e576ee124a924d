"""States of executions and runners: closed enums, each with its meaning, and the transitions between them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, TypeAlias

import msgspec

Instant: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
"""A moment with its offset from UTC; one without is refused, for it cannot be compared with another."""


class ExecutionState(StrEnum):
    """Where an execution, or one assignment of it, stands."""

    QUEUED = "queued"
    """Accepted and durable; no runner has claimed it."""
    RUNNING = "running"
    """One runner has claimed it."""
    SUCCEEDED = "succeeded"
    """Every step ended well."""
    FAILED = "failed"
    """A step failed, or what it needs was missing."""
    ABORTED = "aborted"
    """Someone ended it."""
    TIMEDOUT = "timedout"
    """It exceeded the job's limit, or its deadline, queued or running."""
    LOST = "lost"
    """Its runner went away and did not report an end."""
    FAILED_WITH_RETRY = "failed-with-retry"
    """It failed or timed out, and is run again as another execution."""
    MISSED = "missed"
    """A schedule should have started it and did not; it never ran."""
    OTHER = "other"
    """It ended with a status of its job's own, which stands beside."""


FINAL: Final = frozenset(
    {
        ExecutionState.SUCCEEDED,
        ExecutionState.FAILED,
        ExecutionState.ABORTED,
        ExecutionState.TIMEDOUT,
        ExecutionState.LOST,
        ExecutionState.FAILED_WITH_RETRY,
        ExecutionState.MISSED,
        ExecutionState.OTHER,
    }
)

TRANSITIONS: Final[dict[ExecutionState, frozenset[ExecutionState]]] = {
    ExecutionState.QUEUED: frozenset({ExecutionState.RUNNING}) | (FINAL - {ExecutionState.SUCCEEDED}),
    ExecutionState.RUNNING: FINAL,
    **{state: frozenset[ExecutionState]() for state in FINAL},
}
"""From each state, the states that may follow. A final state is never left."""


def may_follow(before: ExecutionState, after: ExecutionState) -> bool:
    """Whether ``after`` may directly follow ``before``."""
    return after in TRANSITIONS[before]


class RunnerStatus(StrEnum):
    """Status of a runner, as the original defines it ("Runners")."""

    NEW = "New"
    """Known, but never checked in."""
    HEALTHY = "Healthy"
    """It beats, and has room for more."""
    UNHEALTHY = "Unhealthy"
    """At its maximum of running operations: others are preferred."""
    UNKNOWN = "Unknown"
    """No heartbeat for 30 s: gets no new work."""
    DOWN = "Down"
    """Stopped gracefully, or no heartbeat for 120 s."""
