"""The life of an execution, as events on ``rb.<project>.exec.<execution>.<assignment>.<author>``.

Assignment ``0`` is the execution as a whole; work is in assignments ``1``, ``2``, …. Each event of an assignment
after its first is published on the condition that nothing else was (``Nats-Expected-Last-Subject-Sequence``).
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from schemas.errors import ErrorInfo
from schemas.jobs import Flow, JobRef, LogLimit, NodeDispatch, Notification, RunnerSelector, Step
from schemas.nodes import Node
from schemas.options import Option
from schemas.states import ExecutionState, Instant


class StepOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one step ended, on one node where it is for nodes.

    ``exit_code`` is None where a signal ended the process or none was started.
    """

    step: int
    """Counted from 1, in the workflow of the job itself."""
    plugin: str
    state: ExecutionState
    exit_code: int | None = None
    signal: str | None = None
    duration_s: float = 0.0
    error: ErrorInfo | None = None
    node: str = ""
    context: str = ""
    """Where it stands in called jobs (``2/1`` is step 1 of the job that step 2 calls); empty: ``step`` says it."""
    reason: str = ""
    """Why it failed, in the original's words (``NonZeroResultCode``)."""
    handler: bool = False
    """It is the outcome of the step's error handler."""


class StoredKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A secure option whose value is a key of a key storage."""

    path: str
    """``${node.…}`` in it is not filled in yet."""
    exposed: bool = False
    required: bool = False


class RetryOf(msgspec.Struct, frozen=True, kw_only=True):
    """What an execution knows of those before it, where it is a retry, and of those that may follow."""

    attempt: int = 0
    """0 for the first, 1 for its first retry."""
    most: int = 0
    """How many retries there may be."""
    delay_s: float = 0.0
    initial: str = ""
    """The execution that was asked for."""
    previous: str = ""


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
    flow: Flow = Flow()
    context: dict[str, dict[str, str]] = {}
    """The groups that every step sees, ``option`` and ``globals``: nothing of a secure option."""
    stored: dict[str, StoredKey] = {}
    """Secure options whose values are keys."""
    secrets_at: str = ""
    """The dispatcher that has the secure values typed for this run, in memory."""
    plan: str = ""
    """The parcel that holds the whole assignment, where it has nodes or calls jobs."""
    runner: RunnerSelector | None = None
    """The target as the run named it, where it did."""
    nodes: NodeDispatch | None = None
    """The node filter as the run named it, where it did."""
    execution_type: str = "user"
    """``user`` or ``scheduled``."""
    node_filter: str = ""
    node_count: int | None = None
    """How many nodes it is dispatched to; None: it runs on its runner."""
    orchestrated: bool = False
    """Several assignments make it up, and ``ExecutionFinished`` is its end, not the end of one of them."""
    division: dict[str, list[str]] = {}
    """Which tag set serves which nodes, where several do; of tens of thousands the plan alone tells."""
    wait_for_runner: bool = False
    """It waits for a runner, where none is connected."""
    retry: RetryOf | None = None
    notifications: list[Notification] = []
    log_limit: LogLimit | None = None
    log_level: str = "INFO"
    warnings: list[str] = []
    """What its job asks for and does not get."""


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
    nodes: dict[str, list[str]] = {}
    """Names of nodes by how they ended: ``succeeded``, ``failed``, ``not_run``. Empty where it ran on the runner."""
    status: str = ""
    """A status of the job's own (the original's custom statuses), where the state alone does not say it."""
    data: dict[str, dict[str, dict[str, str]]] = {}
    """Values that later assignments need: by view (``STEP@NODE``, either may be empty), group and key; no secrets."""


class AbortRequested(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.abort_requested.v1"):
    """Someone asked for the execution to be ended. Assignment 0."""

    execution: str
    project: str
    at: Instant
    user: str = ""
    reason: str = ""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one assignment of an execution is for."""

    assignment: str
    set: str
    section: int
    """Which section of the workflow, from 0."""
    steps: tuple[int, int]
    """The numbers of its first and last step."""
    node_count: int = 0
    """How many nodes it is for; 0: its step is for none."""
    left_out: list[str] = []
    """Of the nodes that its set serves, those that it is not for."""


class ExecutionPhase(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.execution_phase.v1"):
    """An execution of several assignments goes on with these. Assignment 0, author: a dispatcher.

    Published on the condition that nothing else was said of the execution meanwhile: of several dispatchers one
    decides.
    """

    execution: str
    project: str
    at: Instant
    phase: int
    """From 1."""
    parts: list[Part]


class ExecutionFinished(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.execution_finished.v1"
):
    """An execution of several assignments ended. Assignment 0, author: a dispatcher."""

    execution: str
    project: str
    at: Instant
    state: ExecutionState
    duration_s: float = 0.0
    status: str = ""
    nodes: dict[str, list[str]] = {}
    error: ErrorInfo | None = None
    last_log_seq: int = 0


Event: TypeAlias = (
    ExecutionQueued | AssignmentStarted | AssignmentFinished | AbortRequested | ExecutionPhase | ExecutionFinished
)


class Dispatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The nodes of a workflow, in the order in which they are to be taken."""

    nodes: list[Node] = []
    threads: int = 1
    keepgoing: bool = False
    filter: str = ""
    """As it was given, for the context and for texts."""
    success_on_empty: bool = False


class CalledJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job that a ``jobref`` step calls, as it was when the execution was accepted."""

    ref: JobRef
    steps: list[Step]
    flow: Flow = Flow()
    options: list[Option] = []
    dispatch: Dispatch | None = None
    """Its nodes; None: those of its caller."""
    enabled: bool = True
    timeout: str = ""


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
    flow: Flow = Flow()
    dispatch: Dispatch | None = None
    """None: it runs on the runner, whose own node is the only one."""
    context: dict[str, dict[str, str]] = {}
    """The groups of the data context that every step sees: ``option``, ``job``, ``globals``. Nothing secure."""
    data: dict[str, dict[str, dict[str, str]]] = {}
    """What earlier assignments have found: by view (``STEP@NODE``, either may be empty), group and key."""
    stored: dict[str, StoredKey] = {}
    """Secure options whose values are keys, by the option's name: read by the runner that claimed it."""
    secrets_at: str = ""
    """The dispatcher that has the secure values typed for this run, and hands them to the runner that claimed it."""
    calls: dict[str, CalledJob] = {}
    """The jobs that ``jobref`` steps call, by the steps' place (``2``, ``2/1``; a handler's ends with ``e``)."""
    first_step: int = 1
    """The number of the first of ``steps`` in the job's own workflow."""
    log_level: str = "INFO"
    log_limit: LogLimit | None = None
    retry: RetryOf | None = None
    execution_type: str = "user"
    """``user``, ``scheduled`` or ``user-scheduled``, as scripts see it."""
    settings: dict[str, str] = {}
    """Settings of the project for executors and copiers (``ssh-keypath``)."""
    division: dict[str, list[str]] = {}
    """Of a plan: which tag set serves which nodes, where several runners serve one execution."""
    only_nodes: list[str] | None = None
    """Of the plan's nodes, those of this assignment."""
    only_steps: tuple[int, int] | None = None
    """Of the plan's steps, those from the first number to the second."""
    part: bool = False
    """One of several assignments of its execution: what its steps find out is to be told at its end."""
    parcel: str = ""
    """Too large for a message: the whole assignment is an object of this name in the bucket of parcels."""


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
    node: str = ""
    """The node it is of; empty where the step runs on the runner itself."""
    context: str = ""
    """The step's place where it is in a called job (``2/1``), or a handler (``3e``); empty: ``step`` says it."""
    level: str = ""
    """``ERROR``, ``WARN``, ``NORMAL``, ``VERBOSE``, ``DEBUG`` where it is not what ``stream`` says."""
    meta: dict[str, str] = {}
    """What log filters add (``content-type`` and the like)."""


class LogChunk(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.log_chunk.v1"):
    """Log entries in order, on ``rb.<project>.log.<execution>.<assignment>.<runner>``."""

    chunk: int
    """Counted from 1 within the attempt, without gaps."""
    attempt: int
    entries: list[LogEntry]
