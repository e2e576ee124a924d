"""Requests and replies of the services, ``rb.api.<service>.<verb>``.

Requests refuse unknown fields: a misspelt ``runner`` would run the job somewhere else. Replies and events are open
for more fields. ``type`` may be left out of a request, and then means the version named here.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from schemas.errors import ErrorInfo
from schemas.events import RetryOf, StepOutcome
from schemas.jobs import Flow, JobDefinition, JobRef, NodeDispatch, RunnerSelector, Step
from schemas.keys import KeyStorageInfo
from schemas.nodes import Node
from schemas.runners import PluginInfo, RunnerView
from schemas.states import ExecutionState, Instant, RunnerStatus

DEFAULT_PROJECT = "default"


class WhenNoRunner(StrEnum):
    """What becomes of a run that no connected runner can take."""

    FAIL = "fail"
    """Refuse it, saying what is missing."""
    WAIT = "wait"
    """Queue it until a runner comes or the deadline passes."""


class RunRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.run.v1",
):
    """Run a job (``job``), or ad hoc steps (``steps``): exactly one of the two.

    The same message works by request/reply on ``rb.api.dispatcher.run`` and, durably, on ``rb.<project>.request``.
    """

    project: str = DEFAULT_PROJECT
    id: str = ""
    """The execution's id, if the requester chooses it (any valid name that is unique in the project). It makes the
    request idempotent: the same id is the same execution. Without it the dispatcher makes one."""
    job: str = ""
    """A stored job, by uuid or ``group/name``."""
    steps: list[Step] = []
    runner: RunnerSelector | None = None
    """Where to run. For a stored job only where it allows that; none means the job's own, or the Local Runner."""
    nodes: NodeDispatch | None = None
    """Which nodes; for a stored job only where it allows that (``nodeFilterEditable``)."""
    options: dict[str, str | list[str]] = {}
    """Values of the job's options; a list for a multivalued one."""
    sealed_options: str = ""
    """More of them: a ``runbus.sealed_options.v1``, sealed with the public key of one dispatcher, which
    ``sealing-key`` tells with its instance. Such a request goes to it alone: ``rb.dispatcher.<instance>.run``."""
    flow: Flow = Flow()
    """How ad hoc ``steps`` follow one another; a stored job has its own."""
    retry: RetryOf | None = None
    """Set by dispatchers, where the run is a retry of an earlier execution."""
    execution_type: str = "user"
    """``user``, or ``scheduled`` where nobody asked for it."""
    user: str = ""
    timeout_s: float | None = None
    """Limit on the running time; for a stored job the smaller of its own and this."""
    deadline_s: float | None = None
    """The execution must have ended this long after it was accepted; it runs while queued, too."""
    when_no_runner: WhenNoRunner = WhenNoRunner.FAIL
    wait_s: float = 0.0
    """Reply once the execution has ended, or after this time with its state by then; at most 300."""


class PartView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One assignment of an execution that several runners serve."""

    assignment: str
    set: str
    section: int = 0
    steps: tuple[int, int] = (1, 1)
    node_count: int = 0
    """How many nodes it is for; 0: its step is for none."""
    left_out: list[str] = []
    """Of the nodes that its set serves (``division`` of the execution), those that it is not for."""
    state: ExecutionState = ExecutionState.QUEUED
    runner: str = ""
    instance: str = ""
    attempt: int = 0
    started_at: Instant | None = None
    finished_at: Instant | None = None
    ended: dict[str, list[str]] = {}
    """Names of its nodes that did not end well: ``failed``, ``not_run``. Empty as long as nothing was told."""
    error: ErrorInfo | None = None
    status: str = ""


class ExecutionView(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.execution.v1"):
    """An execution as its events tell it."""

    id: str
    project: str
    state: ExecutionState
    title: str = ""
    job: JobRef | None = None
    set: str = ""
    user: str = ""
    runner: str = ""
    instance: str = ""
    attempt: int = 0
    queued_at: Instant | None = None
    started_at: Instant | None = None
    finished_at: Instant | None = None
    duration_s: float | None = None
    timeout_s: float | None = None
    deadline_at: Instant | None = None
    exit_code: int | None = None
    signal: str | None = None
    steps: list[Step] = []
    outcomes: list[StepOutcome] = []
    """How its steps ended, on each node; of thousands not all."""
    error: ErrorInfo | None = None
    abort_requested_by: str | None = None
    last_log_seq: int = 0
    status: str = ""
    """A status of the job's own, where ``state`` is ``other``."""
    flow: Flow = Flow()
    options: dict[str, str] = {}
    node_filter: str = ""
    node_count: int | None = None
    """How many nodes it was dispatched to; None: it ran on its runner."""
    nodes: dict[str, list[str]] = {}
    """Names of nodes by how they ended: ``succeeded``, ``failed``, ``not_run``."""
    retry: RetryOf | None = None
    parts: list[PartView] = []
    """Its assignments, where several runners serve it."""
    division: dict[str, list[str]] = {}
    """Which tag set serves which nodes, where several do; of tens of thousands it is not told."""
    warnings: list[str] = []
    orchestrated: bool = False


class ResultRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.result_request.v1",
):
    """The execution, once it has ended or ``wait_s`` (at most 300) have passed."""

    execution: str
    project: str = DEFAULT_PROJECT
    wait_s: float = 0.0


class ExecutionListRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.execution_list_request.v1",
):
    """Executions, newest first; every given filter must hold."""

    project: str = ""
    job: str = ""
    """A job's uuid or ``group/name``."""
    states: list[ExecutionState] = []
    runner: str = ""
    since: Instant | None = None
    until: Instant | None = None
    text: str = ""
    """Words that stand in the title, the commands, the user or the error."""
    limit: int = 20
    cursor: str = ""
    """``next_cursor`` of the page before."""


class ExecutionPage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.execution_page.v1"):
    """One page. ``events_behind`` is above 0 while a new read model is still being filled."""

    executions: list[ExecutionView]
    next_cursor: str = ""
    events_behind: int = 0


class AbortRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.abort.v1",
):
    """End an execution, queued or running. The reply comes when it has ended, or after ``wait_s``."""

    execution: str
    project: str = DEFAULT_PROJECT
    user: str = ""
    reason: str = ""
    wait_s: float = 15.0


class JobPutRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.job_put.v1",
):
    """Store the jobs of a job file in the original's YAML (JSON is YAML, too). All are stored, or none."""

    text: str
    project: str = DEFAULT_PROJECT
    file: str = ""
    """The file's name, for texts."""


class JobPutReply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.job_put_reply.v1"):
    """What was stored. ``warnings`` name what the file says and this version passes over without harm."""

    created: list[JobDefinition] = []
    updated: list[JobDefinition] = []
    warnings: list[str] = []


class JobListRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.job_list.v1",
):
    """The jobs of a project, by group and name."""

    project: str = DEFAULT_PROJECT


class JobList(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.job_list_reply.v1"):
    """Jobs."""

    jobs: list[JobDefinition]


class JobShowRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.job_show.v1",
):
    """One job, by uuid or ``group/name``."""

    job: str
    project: str = DEFAULT_PROJECT


class JobRemoveRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.job_remove.v1",
):
    """Remove one job, by uuid or ``group/name``. Its executions stay."""

    job: str
    project: str = DEFAULT_PROJECT


class RegisterRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="runbus.register.v1",
):
    """A runner reports for work."""

    runner: str
    instance: str
    tags: list[str]
    projects: list[str]
    version: str
    max_running: int
    plugins: list[PluginInfo]
    local: bool = False
    node: Node | None = None
    """The runner itself as a node, where it is to be one of its projects."""
    key_storage: list[KeyStorageInfo] = []
    sealing_key: str = ""
    """An X25519 public key (base64), made anew at each start: what is secret is sealed with it."""


class Registered(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.registered.v1"):
    """The registry's answer: what the runner is to bind to, and how often to beat."""

    tags: list[str]
    tags_revision: int
    projects: list[str]
    beat_interval_s: float


class RunnerListRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.runner_list.v1",
):
    """Runners, by id; every given filter must hold."""

    project: str = ""
    tags: list[str] = []
    status: RunnerStatus | None = None


class RunnerList(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.runner_list_reply.v1"):
    """Runners."""

    runners: list[RunnerView]


class RunnerShowRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.runner_show.v1",
):
    """One runner."""

    runner: str


class RunnerReply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.runner_reply.v1"):
    """One runner. ``rebound`` says whether a change of tags has reached it (False: it will, when it is back)."""

    runner: RunnerView
    rebound: bool = False


class RunnerTagsRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.runner_tags.v1",
):
    """Change a runner's tags: ``set`` replaces them, ``add`` and ``remove`` change them."""

    runner: str
    set: list[str] | None = None
    add: list[str] = []
    remove: list[str] = []


class RunnerNodesRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.runner_nodes.v1",
):
    """Give a runner the node filter of a project, for automatic dispatch; without ``filter``, take it away."""

    runner: str
    project: str = DEFAULT_PROJECT
    filter: str | None = None


class RunnerCreateRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.runner_create.v1",
):
    """Make a runner known before it first checks in (status New), with the tags and projects it will have."""

    runner: str
    tags: list[str]
    projects: list[str] = msgspec.field(default_factory=lambda: [DEFAULT_PROJECT])
    description: str = ""


class RunnerRemoveRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.runner_remove.v1",
):
    """Forget a runner that is not connected."""

    runner: str


class MatchRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.match.v1",
):
    """Which runners would a selector reach now? Empty tags: the Local Runner."""

    project: str
    tags: list[str] = []


class MatchReply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.match_reply.v1"):
    """The runner set, connected ones first; ``borne_by_none`` are the tags no connected runner has."""

    runners: list[RunnerView]
    borne_by_none: list[str] = []


class ProjectRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.project.v1",
):
    """A project by name, to create it."""

    project: str
    description: str = ""


class ProjectListRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.project_list.v1",
):
    """All projects."""


class DispatchMode(StrEnum):
    """Which runners serve the executions of a project that are dispatched to nodes."""

    MANUAL = "manual"
    """The job's selector says which; exactly one runner serves an execution."""
    AUTOMATIC = "automatic"
    """Every runner has a node filter; the nodes of an execution are divided among the runners."""


class ProjectRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.project_record.v1"):
    """A project as it is stored."""

    name: str
    description: str = ""
    created_at: Instant | None = None
    settings: dict[str, str] = {}
    """For node executors and file copiers, such as ``ssh-keypath``: for nodes without such an attribute."""
    globals: dict[str, str] = {}
    """What ``${globals.NAME}`` stands for in the project's jobs."""
    dispatch: DispatchMode = DispatchMode.MANUAL


class ProjectSetRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.project_set.v1",
):
    """Change a project: what is named here is set or removed, all else stays."""

    project: str
    settings: dict[str, str] = {}
    globals: dict[str, str] = {}
    unset_settings: list[str] = []
    unset_globals: list[str] = []
    dispatch: DispatchMode | None = None
    description: str | None = None


class ProjectShowRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.project_show.v1",
):
    """One project."""

    project: str


class ProjectList(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.project_list_reply.v1"):
    """Projects, by name."""

    projects: list[ProjectRecord]


class PingRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.runner_ping.v1",
):
    """Ask one runner, on ``rb.runner.<id>.ping``."""


class Pong(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.runner_pong.v1"):
    """A runner's answer."""

    runner: str
    instance: str
    version: str
    running: int
    max_running: int
    uptime_s: float
    bound_sets: list[str]
    """``<project>/<set>``."""


class ConfigureRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="runbus.runner_configure.v1",
):
    """The registry gives a runner the tags in force, on ``rb.runner.<id>.configure``."""

    instance: str
    tags: list[str]
    tags_revision: int
    projects: list[str]


class RunnerAbortRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="runbus.runner_abort.v1",
):
    """A dispatcher tells a runner to end an assignment, on ``rb.runner.<id>.abort``."""

    execution: str
    project: str
    assignment: str
    state: ExecutionState = ExecutionState.ABORTED
    """The state to end in: aborted, or timedout where the deadline passed."""
    user: str = ""
    reason: str = ""


class DrainRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.runner_drain.v1",
):
    """Tell a runner to take no new work, finish what runs and leave, on ``rb.runner.<id>.drain``."""

    reason: str = ""


class Done(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.done.v1"):
    """It was done. ``found`` is False where there was nothing to do it to."""

    found: bool = True


class RollCall(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.roll_call.v1"):
    """A registry that has just started asks every runner to beat now, on ``rb.registry.rollcall``."""


class SetRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.set_record.v1"):
    """A tag set in use in a project, one value a set: runners watch these and bind to those they match."""

    project: str
    tags: list[str]


class RunningRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job that counts against its limit."""

    execution: str
    at: Instant


class RunningRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.running_record.v1"):
    """The runs that a job had when the last one began; those that have ended since do not count."""

    runs: list[RunningRun] = []


class SealedOptions(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.sealed_options.v1"):
    """What is sealed of a run: its secure options, and which run it is, so that they can be sent with no other."""

    id: str
    """The execution's, chosen by the requester; ``project`` and ``job`` are the request's, too, letter for letter."""
    project: str = DEFAULT_PROJECT
    job: str = ""
    options: dict[str, str | list[str]]

    def __repr__(self) -> str:
        return f"SealedOptions(id={self.id!r}, …)"


class SecretsRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.secrets_request.v1"):
    """A runner that has claimed an assignment asks the dispatcher that accepted it for its secure values.

    On ``rb.dispatcher.<instance>.secrets``, core request/reply: the values are held in memory and never stored.
    """

    project: str
    execution: str
    assignment: str
    runner: str
    instance: str
    """The claimant's; values are given to nobody else."""


class SecretValues(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.secret_values.v1"):
    """Secure option values typed for one run, by option. ``exposed`` ones are seen by scripts."""

    exposed: dict[str, str] = {}
    private: dict[str, str] = {}

    def __repr__(self) -> str:
        return "SecretValues(…)"
