"""What a job is: steps, how they flow, where and when they run, and the definition that holds all of it.

The words are the original's ("Job definition"), in snake case. What the original knows and Runbus has no use for
stands in ``extras``, as it was given: a job that is loaded and exported again has lost nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec

from schemas.options import Option

MAX_JOB_FILE_BYTES: Final = 1 << 20
"""How long a job file may be."""


class SelectorMode(StrEnum):
    """How a job or a run chooses runners (the original's ``runnerFilterMode``)."""

    LOCAL = "LOCAL"
    """The Local Runner beside the dispatcher."""
    TAGS = "TAGS"
    """Tags chosen from a list, ANDed."""
    FILTER = "FILTER"
    """A tag filter typed by hand: tags joined by ``,`` or ``+``, ANDed."""


class RunnerSelector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runners may carry a job out. ``filter`` is empty for LOCAL, and the tags otherwise.

    In a job the filter may hold ``${option.NAME}``, which each run fills in.
    """

    mode: SelectorMode = SelectorMode.LOCAL
    filter: str = ""


class LogFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One log filter of a workflow or a step, such as ``key-value-data`` and ``mask-passwords``."""

    type: str
    config: dict[str, Any] = {}


class NodeDispatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which nodes a job, or a call of one, is dispatched to, and how ("Dispatch to nodes").

    Everything that may hold ``${option.NAME}`` is text.
    """

    filter: str = ""
    filter_exclude: str = ""
    exclude_precedence: bool = True
    threadcount: str = "1"
    keepgoing: bool = False
    rank_attribute: str = ""
    rank_order: str = "ascending"
    success_on_empty_node_filter: bool = False
    intersect: bool = False
    """Of a call: only nodes that the calling job has, too (``nodeIntersect``)."""


class JobCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A reference to another job (``jobref``), by uuid or by group and name."""

    name: str = ""
    group: str = ""
    uuid: str = ""
    project: str = ""
    args: str = ""
    """``-name value`` pairs, split by the original's rules; values may hold references."""
    use_name: bool = False
    """Look the job up by its name although a uuid is given."""
    nodes: NodeDispatch | None = None
    """Replaces the called job's own node filter."""
    import_options: bool = False
    """Give the called job the caller's values for the options of its own names."""
    child_nodes: bool = False
    """The called job's own nodes, not the caller's (``childNodes``)."""
    fail_on_disable: bool = False
    ignore_notifications: bool = False
    extras: dict[str, Any] = {}


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One step: the plugin that carries it out and what it is given.

    ``exec``, ``script`` and ``jobref`` are the original's own kinds; ``command`` is a line for the shell, as it is.
    """

    plugin: str
    config: dict[str, Any] = {}
    description: str = ""
    node_step: bool = True
    """Once for each node; a workflow step runs once for the whole job."""
    call: JobCall | None = None
    """What a ``jobref`` calls."""
    error_handler: Step | None = None
    """What runs where this step fails. A handler has none itself."""
    keepgoing_on_success: bool = False
    """Of a handler: the failure is cleared where it succeeds, and the workflow goes on."""
    log_filters: list[LogFilter] = []
    enabled: bool = True
    extras: dict[str, Any] = {}


class Strategy(StrEnum):
    """In which order steps and nodes take turns."""

    NODE_FIRST = "node-first"
    """Each node carries out all steps; the workflow is split around steps that are not for nodes."""
    SEQUENTIAL = "sequential"
    """Each step is carried out on all nodes before the next (also ``step-first``)."""
    PARALLEL = "parallel"
    """All steps at once."""


class Flow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the steps of a workflow follow one another."""

    strategy: Strategy = Strategy.NODE_FIRST
    keepgoing: bool = False
    """Go on with the remaining steps after one that failed; the workflow fails all the same."""
    log_filters: list[LogFilter] = []
    extras: dict[str, Any] = {}


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When a job runs by itself: a crontab in Quartz' form (6 or 7 fields) in a time zone."""

    crontab: str
    time_zone: str = ""
    """An IANA name; empty: that of the dispatcher."""
    parts: dict[str, Any] = {}
    """The original's ``time``, ``weekday``, ``month``, …, where the file said it so; for export."""


class Trigger(StrEnum):
    """When a notification is sent."""

    START = "onstart"
    SUCCESS = "onsuccess"
    FAILURE = "onfailure"
    RETRYABLE_FAILURE = "onretryablefailure"
    AVERAGE_DURATION = "onavgduration"


class Notification(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One notification of a job: ``type`` is ``email``, ``urls``, or a plugin's name, ``config`` as in the file."""

    trigger: Trigger
    type: str
    config: dict[str, Any] = {}


class Retry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often a run that failed or timed out is run again, and after how long; both may be ``${option.NAME}``."""

    count: str
    delay: str = ""


class LogLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much a run may log: ``100`` lines, ``100/node``, ``5MB``."""

    limit: str
    action: str = "halt"
    """``halt`` ends the run, ``truncate`` drops the rest of the log."""
    status: str = "failed"
    """The status of a run that was halted: ``failed``, ``aborted``, or any other word."""


class JobRef(msgspec.Struct, frozen=True, kw_only=True):
    """How an execution remembers its job, also when the definition has gone."""

    uuid: str
    name: str
    group: str = ""

    @property
    def path(self) -> str:
        """``group/name``."""
        return f"{self.group}/{self.name}" if self.group else self.name


class JobDefinition(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.job_definition.v1"):
    """A job as it is stored, one value a job, in the bucket of job definitions."""

    uuid: str
    name: str
    project: str
    group: str = ""
    description: str = ""
    steps: list[Step]
    flow: Flow = Flow()
    options: list[Option] = []
    runner: RunnerSelector | None = None
    """None is what most jobs of the original say: no selection, hence the Local Runner."""
    runner_editable: bool = False
    """"Runnerset can be changed at runtime": the run may name another target."""
    nodes: NodeDispatch | None = None
    """None: the runner's own node."""
    node_filter_editable: bool = False
    nodes_selected_by_default: bool = True
    timeout: str = ""
    """Limit on the running time: seconds, ``1d 2h 3m 4s``, or ``${option.NAME}``."""
    retry: Retry | None = None
    log_limit: LogLimit | None = None
    log_level: str = "INFO"
    multiple_executions: bool = False
    max_multiple_executions: int | None = None
    schedule: Schedule | None = None
    schedule_enabled: bool = True
    execution_enabled: bool = True
    notifications: list[Notification] = []
    average_duration_threshold: str = ""
    """``notifyAvgDurationThreshold``: how much longer than its average a run may take."""
    has_uuid: bool = True
    """Whether the file gave the uuid; one that was made is not exported."""
    extras: dict[str, Any] = {}

    @property
    def ref(self) -> JobRef:
        """Its short form in events."""
        return JobRef(uuid=self.uuid, name=self.name, group=self.group)
