"""The life of an execution, as events on ``rb.<project>.exec.<execution>.<assignment>.<author>``.

Assignment ``0`` is the execution as a whole; work is in assignments ``1``, ``2``, …. Each event of an assignment
after its first is published on the condition that nothing else was (``Nats-Expected-Last-Subject-Sequence``).
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from schemas.errors import ErrorInfo
from schemas.jobs import JobRef, Step
from schemas.states import ExecutionState, Instant


class StepOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one step ended. ``exit_code`` is None where a signal ended the process or none was started."""

    step: int
    """Counted from 1."""
    plugin: str
    state: ExecutionState
    exit_code: int | None = None
    signal: str | None = None
    duration_s: float = 0.0
    error: ErrorInfo | None = None


class ExecutionQueued(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.execution_queued.v1"):
    """The request was accepted; it is durable from here on. Assignment 0, author: the dispatcher."""

    execution: str
    project: str
    at: Instant
    title: str
    """The job's path, or the first line of what an ad hoc run runs."""
    steps: list[Step]
    set: str
    """The tag set as it stands in subjects: ``dev+linux``, ``local``."""
    job: JobRef | None = None
    user: str = ""
    timeout_s: float | None = None
    deadline_at: Instant | None = None
    assignments: list[str] = msgspec.field(default_factory=lambda: ["1"])


class AssignmentStarted(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.assignment_started.v1"
):
    """A runner claimed the assignment. Of any number of claimants exactly one succeeds."""

    execution: str
    assignment: str
    project: str
    attempt: int
    at: Instant
    runner: str
    instance: str
    """The run of the runner's process: a restarted runner has the same id and another instance."""


class AssignmentFinished(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.assignment_finished.v1"
):
    """The assignment ended. Author: the runner, or a dispatcher where no runner can (deadline, abort, loss)."""

    execution: str
    assignment: str
    project: str
    attempt: int
    at: Instant
    state: ExecutionState
    runner: str = ""
    exit_code: int | None = None
    signal: str | None = None
    duration_s: float = 0.0
    steps: list[StepOutcome] = []
    error: ErrorInfo | None = None
    last_log_seq: int = 0
    """Sequence in the LOGS stream of the last log chunk; 0 where there is no output."""


class AbortRequested(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.abort_requested.v1"):
    """Someone asked for the execution to be ended. Assignment 0."""

    execution: str
    project: str
    at: Instant
    user: str = ""
    reason: str = ""


Event: TypeAlias = ExecutionQueued | AssignmentStarted | AssignmentFinished | AbortRequested


class Assignment(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.assignment.v1"):
    """What one runner carries out, on ``rb.<project>.tag.<set>.job.<execution>.<assignment>``."""

    execution: str
    assignment: str
    project: str
    attempt: int
    steps: list[Step]
    title: str
    claim_after_seq: int = 0
    """The claim holds only if the last event of this assignment has this sequence (0: there is none)."""
    job: JobRef | None = None
    user: str = ""
    timeout_s: float | None = None


class LogEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of one output stream, as it was read: whole lines where the child wrote whole lines.

    ``text`` holds it where it is UTF-8; ``base64`` otherwise, so that no byte is lost.
    """

    at: float
    """Seconds since the epoch, by the runner's clock."""
    stream: str
    """``stdout``, ``stderr``, or ``runner`` for a remark of the runner itself."""
    step: int
    text: str = ""
    base64: str = ""


class LogChunk(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.log_chunk.v1"):
    """Log entries in order, on ``rb.<project>.log.<execution>.<assignment>.<runner>``."""

    chunk: int
    """Counted from 1 within the attempt, without gaps."""
    attempt: int
    entries: list[LogEntry]
