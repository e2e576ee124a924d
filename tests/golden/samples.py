"""One message of every type, with every field set: what the golden bytes were written from.

A field that is added to a type later stays out of its sample: the old bytes must go on meaning what they meant.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import msgspec

from schemas import api
from schemas.errors import ErrorReply
from schemas.events import AbortRequested, AssignmentFinished, AssignmentStarted, LogChunk, LogEntry
from schemas.jobs import Trigger
from schemas.notices import Notice, NotificationsOpen, NotificationTask
from schemas.runners import FleetChanged, PluginInfo, RunnerBeat, RunnerRecord, RunnerView
from schemas.schedules import Fire
from schemas.states import ExecutionState, RunnerStatus
from tests.golden.job_samples import (
    AT,
    ATTEMPT,
    DATA,
    DIVISION,
    ERROR,
    EXECUTION,
    FLOW,
    JOB,
    JOB_SAMPLES,
    NAMES,
    NODES,
    NOTIFICATION,
    OUTCOME,
    REF,
    RETRY,
    SELECTOR,
    STEP,
)
from tests.golden.key_samples import KEY_SAMPLES
from tests.golden.node_samples import NODE_SAMPLES
from tests.golden.source_samples import SOURCE_SAMPLES

LATER: Final = AT + timedelta(seconds=2.5)

_capacity: dict[str, Any] = {"running": 3, "max_running": 20, "uptime_s": 86400.5}

_plugin = PluginInfo(name="command", version="1.0", kind="step", problem="ImportError: x")
_view = api.ExecutionView(
    id=EXECUTION,
    project="web",
    state=ExecutionState.FAILED,
    title="web/front/deploy",
    job=REF,
    set="dev+web=201",
    user="ada",
    runner="web-1",
    instance="i1",
    attempt=2,
    queued_at=AT,
    started_at=AT,
    finished_at=LATER,
    duration_s=2.5,
    timeout_s=60.0,
    deadline_at=LATER,
    exit_code=3,
    signal="SIGTERM",
    steps=[STEP],
    outcomes=[OUTCOME],
    error=ERROR,
    abort_requested_by="bob",
    last_log_seq=9,
    status="full",
    flow=FLOW,
    options={"where": "here"},
    node_filter="tags: web",
    node_count=3,
    nodes={"succeeded": ["n1"], "failed": ["n2"]},
    retry=RETRY,
    parts=[
        api.PartView(
            assignment="1",
            set="=40web-1",
            section=1,
            steps=(2, 3),
            node_count=1,
            left_out=["n2"],
            state=ExecutionState.OTHER,
            runner="web-1",
            instance="i1",
            attempt=1,
            started_at=AT,
            finished_at=LATER,
            ended={"failed": ["n1"], "not_run": []},
            error=ERROR,
            status="full",
        )
    ],
    division=DIVISION,
    warnings=["its orchestrator is passed over"],
    orchestrated=True,
)
_runner = RunnerView(
    id="web-1",
    status=RunnerStatus.HEALTHY,
    tags=["dev", "web 1"],
    projects=["web"],
    local=True,
    description="in the cellar",
    version="0.1.0",
    instance="i1",
    plugins=[_plugin],
    created_at=AT,
    last_seen_at=LATER,
    **_capacity,
)

_DISPATCHER: list[msgspec.Struct] = [
    api.RunRequest(
        project="web",
        id=EXECUTION,
        job="web/front/deploy",
        steps=[STEP],
        runner=SELECTOR,
        nodes=NODES,
        options={"where": "here", "who": ["a", "b"]},
        flow=FLOW,
        retry=RETRY,
        execution_type="scheduled",
        user="ada",
        timeout_s=60.0,
        deadline_s=120.0,
        when_no_runner=api.WhenNoRunner.WAIT,
        wait_s=1.5,
    ),
    _view,
    api.ResultRequest(**NAMES, wait_s=1.5),
    api.ExecutionListRequest(
        project="web",
        job="7c1f",
        states=[ExecutionState.LOST, ExecutionState.TIMEDOUT],
        runner="web-1",
        since=AT,
        until=LATER,
        text="echo",
        limit=5,
        cursor="c1",
    ),
    api.ExecutionPage(executions=[_view], next_cursor="c2", events_behind=4),
    api.AbortRequest(**NAMES, user="ada", reason="enough", wait_s=3.0),
    api.JobPutRequest(text="- name: deploy\n", project="web", file="jobs.yaml"),
    api.JobPutReply(created=[JOB], updated=[JOB], warnings=["line 3: passed over"]),
    api.JobListRequest(project="web"),
    api.JobList(jobs=[JOB]),
    api.JobShowRequest(job="7c1f", project="web"),
    api.JobRemoveRequest(job="7c1f", project="web"),
    api.Done(found=False),
    ErrorReply(error=ERROR),
]
_REGISTRY: list[msgspec.Struct] = [
    api.RegisterRequest(
        runner="web-1",
        instance="i1",
        tags=["dev"],
        projects=["web"],
        version="0.1.0",
        max_running=20,
        plugins=[_plugin],
        local=True,
    ),
    api.Registered(tags=["dev"], tags_revision=3, projects=["web"], beat_interval_s=5.0),
    api.RunnerListRequest(project="web", tags=["dev"], status=RunnerStatus.DOWN),
    api.RunnerList(runners=[_runner]),
    api.RunnerShowRequest(runner="web-1"),
    api.RunnerReply(runner=_runner, rebound=True),
    api.RunnerTagsRequest(runner="web-1", set=["dev"], add=["linux"], remove=["web 1"]),
    api.RunnerCreateRequest(runner="web-1", tags=["dev"], projects=["web"], description="in the cellar"),
    api.RunnerRemoveRequest(runner="web-1"),
    api.MatchRequest(project="web", tags=["dev"]),
    api.MatchReply(runners=[_runner], borne_by_none=["linux"]),
    api.ProjectRequest(project="web", description="Pages"),
    api.ProjectListRequest(),
    api.ProjectRecord(
        name="web",
        description="Pages",
        created_at=AT,
        settings={"ssh-keypath": "keys/web"},
        globals={"base": "https://x"},
        dispatch=api.DispatchMode.AUTOMATIC,
    ),
    api.ProjectList(projects=[api.ProjectRecord(name="web", description="Pages", created_at=AT)]),
    api.RollCall(),
    FleetChanged(runner="web-1", instance="i1", status=RunnerStatus.UNKNOWN),
    RunnerRecord(
        id="web-1",
        tags=["dev", "web 1"],
        operator_tags=True,
        tags_revision=3,
        projects=["web"],
        local=True,
        description="in the cellar",
        version="0.1.0",
        instance="i1",
        plugins=[_plugin],
        max_running=20,
        created_at=AT,
        registered_at=AT,
        left_at=LATER,
    ),
]
_RUNNER: list[msgspec.Struct] = [
    api.PingRequest(),
    api.Pong(runner="web-1", instance="i1", version="0.1.0", bound_sets=["web/dev"], **_capacity),
    api.RunnerAbortRequest(
        **NAMES, assignment="1", state=ExecutionState.TIMEDOUT, user="dispatcher", reason="deadline"
    ),
    api.ConfigureRequest(instance="i1", tags=["dev"], tags_revision=3, projects=["web"]),
    api.DrainRequest(reason="upgrade"),
    RunnerBeat(runner="web-1", instance="i1", at=AT, tags_revision=3, leaving=True, plugins=[_plugin], **_capacity),
]
_STREAMS: list[msgspec.Struct] = [
    AssignmentStarted(**ATTEMPT, at=AT, runner="web-1", instance="i1"),
    AssignmentFinished(
        **ATTEMPT,
        at=LATER,
        state=ExecutionState.FAILED,
        runner="web-1",
        exit_code=3,
        signal="SIGTERM",
        duration_s=2.5,
        steps=[OUTCOME],
        error=ERROR,
        last_log_seq=9,
        nodes={"succeeded": ["n1"], "failed": ["n2"]},
        status="full",
        data=DATA,
    ),
    AbortRequested(**NAMES, at=AT, user="ada", reason="enough"),
    LogChunk(
        chunk=1,
        attempt=2,
        entries=[
            LogEntry(at=1738324800.5, stream="stdout", step=1, text="é\n"),
            LogEntry(at=1738324801.0, stream="stderr", step=2, base64="/w=="),
            LogEntry(
                at=1738324801.5,
                stream="stdout",
                step=2,
                text="x",
                node="n1",
                context="2/1",
                level="WARN",
                meta={"content-type": "text/html"},
            ),
        ],
    ),
    api.SetRecord(project="web", tags=["dev", "web 1"]),
    Fire(project="web", job="7c1f", at=LATER, digest="00ff00ff00ff00ff"),
    NotificationsOpen(**NAMES),
    NotificationTask(
        notification=NOTIFICATION,
        target="https://x/",
        notice=Notice(
            **NAMES,
            trigger=Trigger.FAILURE,
            state=ExecutionState.FAILED,
            at=LATER,
            user="ada",
            started_at=AT,
            ended_at=LATER,
            duration_s=2.5,
            summary="echo «é»",
            job=REF,
            options={"to": "x"},
            failed_nodes=["n1"],
            error="step 1 ended with exit code 3.",
            error_code="step_failed",
        ),
    ),
]

SAMPLES: Final[tuple[msgspec.Struct, ...]] = (
    *_DISPATCHER,
    *_REGISTRY,
    *_RUNNER,
    *_STREAMS,
    *JOB_SAMPLES,
    *NODE_SAMPLES,
    *SOURCE_SAMPLES,
    *KEY_SAMPLES,
)
