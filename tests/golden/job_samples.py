"""What the samples of jobs, executions and assignments are made of: every field set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from schemas import api
from schemas.errors import ErrorCode, ErrorInfo
from schemas.events import (
    Assignment,
    CalledJob,
    Dispatch,
    ExecutionFinished,
    ExecutionPhase,
    ExecutionQueued,
    Part,
    RetryOf,
    StepOutcome,
    StoredKey,
)
from schemas.jobs import (
    Flow,
    JobCall,
    JobDefinition,
    JobRef,
    LogFilter,
    LogLimit,
    NodeDispatch,
    Notification,
    Retry,
    RunnerSelector,
    Schedule,
    SelectorMode,
    Step,
    Strategy,
    Trigger,
)
from schemas.nodes import Node
from schemas.options import Option
from schemas.states import ExecutionState

AT: Final = datetime(2025, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
EXECUTION: Final = "01jjzxs8m3f6q2v9w4k7t5n0ab"

NAMES: Final[dict[str, Any]] = {"execution": EXECUTION, "project": "web"}
ATTEMPT: Final[dict[str, Any]] = {**NAMES, "assignment": "1", "attempt": 2}
SELECTOR: Final = RunnerSelector(mode=SelectorMode.FILTER, filter="dev+web 1")
REF: Final = JobRef(uuid="7c1f", name="deploy", group="web/front")
NODES: Final = NodeDispatch(
    filter="tags: web",
    filter_exclude="os-family: windows",
    exclude_precedence=False,
    threadcount="${option.threads}",
    keepgoing=True,
    rank_attribute="rank",
    rank_order="descending",
    success_on_empty_node_filter=True,
    intersect=True,
)
_FILTER: Final = LogFilter(type="key-value-data", config={"regex": "^(.+?)=(.+)$"})
FLOW: Final = Flow(strategy=Strategy.SEQUENTIAL, keepgoing=True, log_filters=[_FILTER], extras={"x": 1})
CALL: Final = JobCall(
    name="restart",
    group="web",
    uuid="9a0b",
    project="web",
    args="-where ${option.where}",
    use_name=True,
    nodes=NODES,
    import_options=True,
    child_nodes=True,
    fail_on_disable=True,
    ignore_notifications=True,
    extras={"x": 1},
)
STEP: Final = Step(
    plugin="command",
    config={"command": "echo «é»", "n": 1, "deep": [None, True, 0.5]},
    description="say",
    node_step=False,
    error_handler=Step(plugin="jobref", call=CALL, keepgoing_on_success=True),
    log_filters=[_FILTER],
    enabled=False,
    extras={"x": 1},
)
OPTION: Final = Option(name="where", value="here", values=("here", "there"), enforced=True, sort_index=0)
LIMIT: Final = LogLimit(limit="5MB", action="truncate", status="full")
NOTIFICATION: Final = Notification(
    trigger=Trigger.FAILURE, type="urls", config={"urls": "https://x/", "format": "json"}
)
JOB: Final = JobDefinition(
    uuid="7c1f",
    name="deploy",
    project="web",
    group="web/front",
    description="Brings the page out",
    steps=[STEP],
    flow=FLOW,
    options=[OPTION],
    runner=SELECTOR,
    runner_editable=True,
    nodes=NODES,
    node_filter_editable=True,
    nodes_selected_by_default=False,
    timeout="1h",
    retry=Retry(count="3", delay="1m"),
    log_limit=LIMIT,
    log_level="DEBUG",
    multiple_executions=True,
    max_multiple_executions=2,
    schedule=Schedule(crontab="0 0 3 ? * * *", time_zone="Europe/Berlin", parts={"time": {"hour": "3"}}),
    schedule_enabled=False,
    execution_enabled=False,
    notifications=[NOTIFICATION],
    average_duration_threshold="20%",
    has_uuid=False,
    extras={"defaultTab": "nodes"},
)
ERROR: Final = ErrorInfo(
    code=ErrorCode.STEP_FAILED,
    message="step 1 ended with exit code 3.",
    error_id="00ff00ff00ff",
    origin="runner web-1",
    details={"step": 1, "exit_code": 3},
)
OUTCOME: Final = StepOutcome(
    step=1,
    plugin="command",
    state=ExecutionState.FAILED,
    exit_code=3,
    signal="SIGTERM",
    duration_s=0.25,
    error=ERROR,
    node="web-1",
    context="2/1",
    reason="NonZeroResultCode",
    handler=True,
)
RETRY: Final = RetryOf(attempt=1, most=3, delay_s=60.0, initial="e1", previous="e1")
_CONTEXT: Final = {"option": {"where": "here"}, "globals": {"base": "https://x"}}
_STORED: Final = {"token": StoredKey(path="keys/web/token", exposed=True, required=True)}
_DISPATCH: Final = Dispatch(
    nodes=[Node(name="web-1", attributes={"hostname": "10.0.0.1"}, tags=["web"])],
    threads=2,
    keepgoing=True,
    filter="tags: web",
    success_on_empty=True,
)
DIVISION: Final = {"=40web-1": ["n1", "n2"], "local": ["n3"]}
DATA: Final = {"1@n1": {"data": {"x": "y"}}}
RUN_FIELDS: Final[dict[str, Any]] = {
    "steps": [STEP],
    "title": "web/front/deploy",
    "job": REF,
    "user": "ada",
    "timeout_s": 60.0,
    "flow": FLOW,
    "context": _CONTEXT,
    "stored": _STORED,
    "secrets_at": "01jjzxs8m3f6q2v9w4k7t5n0ac",
    "log_level": "DEBUG",
    "log_limit": LIMIT,
    "retry": RETRY,
    "execution_type": "scheduled",
}
"""What an accepted run and its assignment both say."""

JOB_SAMPLES: Final[tuple[msgspec.Struct, ...]] = (
    JOB,
    Assignment(
        **ATTEMPT,
        **RUN_FIELDS,
        claim_after_seq=8,
        dispatch=_DISPATCH,
        data=DATA,
        calls={
            "1e": CalledJob(
                ref=REF, steps=[STEP], flow=FLOW, options=[OPTION], dispatch=_DISPATCH, enabled=False, timeout="5m"
            )
        },
        first_step=2,
        settings={"ssh-keypath": "keys/web"},
        division=DIVISION,
        only_nodes=["n1"],
        only_steps=(2, 3),
        part=True,
        parcel="679cb9c0-00ff00ff00ff00ff-0123456789abcdef0123456789abcdef",
    ),
    ExecutionQueued(
        **NAMES,
        **RUN_FIELDS,
        at=AT,
        set="dev+web=201",
        deadline_at=AT,
        assignments=["1", "2"],
        plan="679cb9c0-00ff00ff00ff00ff-0123456789abcdef0123456789abcdef",
        runner=SELECTOR,
        nodes=NODES,
        node_filter="tags: web",
        node_count=3,
        orchestrated=True,
        division=DIVISION,
        wait_for_runner=True,
        notifications=[NOTIFICATION],
        warnings=["its orchestrator is passed over"],
    ),
    ExecutionPhase(
        **NAMES,
        at=AT,
        phase=1,
        parts=[Part(assignment="1", set="=40web-1", section=0, steps=(1, 2), node_count=1, left_out=["n2"])],
    ),
    ExecutionFinished(
        **NAMES,
        at=AT,
        state=ExecutionState.OTHER,
        duration_s=2.5,
        status="full",
        nodes={"succeeded": ["n1"], "failed": ["n2"]},
        error=ERROR,
        last_log_seq=9,
    ),
    api.RunningRecord(runs=[api.RunningRun(execution=EXECUTION, at=AT)]),
    api.SecretsRequest(**NAMES, assignment="1", runner="web-1", instance="i1"),
    api.SealedOptions(id=EXECUTION, project="web", job="deploy", options={"token": "t0", "hosts": ["a", "b"]}),
    api.SecretValues(exposed={"token": "t0"}, private={"password": "p0"}),
)
