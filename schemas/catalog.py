"""The one list of subject families and endpoints: services serve from it, documents are generated from it.

Placeholders stand in braces, one subject token each: ``rb.{project}.request``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

from schemas import api
from schemas.errors import ErrorReply
from schemas.events import (
    AbortRequested,
    Assignment,
    AssignmentFinished,
    AssignmentStarted,
    ExecutionQueued,
    LogChunk,
)
from schemas.jobs import JobDefinition
from schemas.runners import FleetChanged, RunnerBeat, RunnerRecord
from schemas.subjects import Subjects
from schemas.tokens import TagSet

Message: TypeAlias = type[msgspec.Struct]
RequestT = TypeVar("RequestT", bound=msgspec.Struct)
ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)

DISPATCHER: Final = "dispatcher"
REGISTRY: Final = "registry"
RUNNER: Final = "runner"

API_QUEUE_GROUP: Final = "q"
"""What the NATS micro API takes by default: the copies of a service share the requests out in it."""

ERROR_CODE_HEADER: Final = "Nats-Service-Error-Code"
ERROR_TEXT_HEADER: Final = "Nats-Service-Error"


class Endpoint(msgspec.Struct, Generic[RequestT, ReplyT], frozen=True):
    """A request that a service answers with ``reply`` or with ``ErrorReply``.

    The service ``runner`` is the control of one runner, on the subjects of its id.
    """

    service: str
    verb: str
    request: type[RequestT]
    reply: type[ReplyT]
    summary: str

    @property
    def name(self) -> str:
        """``dispatcher.run``."""
        return f"{self.service}.{self.verb}"

    def subject(self, subjects: Subjects, runner: str = "") -> str:
        """Where it is served; ``runner`` is the runner's id, and only for endpoints of runners."""
        if self.service == RUNNER:
            return subjects.runner(runner, self.verb)
        return subjects.api(self.service, self.verb)


RUN: Final = Endpoint(DISPATCHER, "run", api.RunRequest, api.ExecutionView, "Run a job, or ad hoc steps.")
RESULT: Final = Endpoint(
    DISPATCHER, "result", api.ResultRequest, api.ExecutionView, "Wait for the end of an execution."
)
EXECUTION_LIST: Final = Endpoint(
    DISPATCHER, "execution-list", api.ExecutionListRequest, api.ExecutionPage, "Search executions, newest first."
)
EXECUTION_SHOW: Final = Endpoint(
    DISPATCHER, "execution-show", api.ResultRequest, api.ExecutionView, "Show one execution."
)
ABORT: Final = Endpoint(
    DISPATCHER, "abort", api.AbortRequest, api.ExecutionView, "End an execution, queued or running."
)
JOB_PUT: Final = Endpoint(DISPATCHER, "job-put", api.JobPutRequest, api.JobPutReply, "Store the jobs of a job file.")
JOB_LIST: Final = Endpoint(DISPATCHER, "job-list", api.JobListRequest, api.JobList, "List the jobs of a project.")
JOB_SHOW: Final = Endpoint(DISPATCHER, "job-show", api.JobShowRequest, JobDefinition, "Show one job.")
JOB_REMOVE: Final = Endpoint(DISPATCHER, "job-remove", api.JobRemoveRequest, api.Done, "Remove one job.")

REGISTER: Final = Endpoint(REGISTRY, "register", api.RegisterRequest, api.Registered, "A runner reports for work.")
RUNNER_LIST: Final = Endpoint(REGISTRY, "runner-list", api.RunnerListRequest, api.RunnerList, "List runners.")
RUNNER_SHOW: Final = Endpoint(REGISTRY, "runner-show", api.RunnerShowRequest, api.RunnerReply, "Show one runner.")
RUNNER_TAGS: Final = Endpoint(
    REGISTRY, "runner-tags", api.RunnerTagsRequest, api.RunnerReply, "Change the tags of a runner."
)
RUNNER_CREATE: Final = Endpoint(
    REGISTRY, "runner-create", api.RunnerCreateRequest, api.RunnerReply, "Make a runner known beforehand."
)
RUNNER_REMOVE: Final = Endpoint(REGISTRY, "runner-remove", api.RunnerRemoveRequest, api.Done, "Forget a runner.")
MATCH: Final = Endpoint(REGISTRY, "match", api.MatchRequest, api.MatchReply, "Which runners a selector reaches now.")
PROJECT_CREATE: Final = Endpoint(
    REGISTRY, "project-create", api.ProjectRequest, api.ProjectRecord, "Create a project."
)
PROJECT_LIST: Final = Endpoint(REGISTRY, "project-list", api.ProjectListRequest, api.ProjectList, "List projects.")

PING: Final = Endpoint(RUNNER, "ping", api.PingRequest, api.Pong, "Ask a runner whether it answers, and its load.")
RUNNER_ABORT: Final = Endpoint(RUNNER, "abort", api.RunnerAbortRequest, api.Done, "End one assignment of a runner.")
CONFIGURE: Final = Endpoint(RUNNER, "configure", api.ConfigureRequest, api.Done, "Give a runner the tags in force.")
DRAIN: Final = Endpoint(RUNNER, "drain", api.DrainRequest, api.Done, "Let a runner finish its work and leave.")

AnyEndpoint: TypeAlias = Endpoint[Any, Any]

DISPATCHER_ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = (
    RUN,
    RESULT,
    EXECUTION_LIST,
    EXECUTION_SHOW,
    ABORT,
    JOB_PUT,
    JOB_LIST,
    JOB_SHOW,
    JOB_REMOVE,
)
REGISTRY_ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = (
    REGISTER,
    RUNNER_LIST,
    RUNNER_SHOW,
    RUNNER_TAGS,
    RUNNER_CREATE,
    RUNNER_REMOVE,
    MATCH,
    PROJECT_CREATE,
    PROJECT_LIST,
)
RUNNER_ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = (PING, RUNNER_ABORT, CONFIGURE, DRAIN)


class Kind(StrEnum):
    """How a subject family is carried."""

    REQUEST = "request/reply"
    """Core NATS: answered at once, or "no responders"."""
    STREAM = "JetStream stream"
    """Stored; read through consumers."""
    PUBLISH = "publish"
    """Core NATS: heard by whoever listens at that moment."""
    BUCKET = "key-value bucket"
    """The last value of each key; on the bus as ``$KV.<bucket>.<key>``."""


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """Subjects of one form, and what goes over them."""

    name: str
    kind: Kind
    subject: str
    """With placeholders in braces."""
    sender: str
    receiver: str
    messages: tuple[Message, ...]
    replies: tuple[Message, ...] = ()
    summary: str
    queue_group: str = ""
    store: str = ""
    """The stream or bucket."""


class _AnyTagSet(TagSet):
    """Stands where a tag set would, so that the builders of subjects make a family's form."""

    __slots__ = ()

    @property
    def token(self) -> str:
        return "{set}"

    @property
    def key(self) -> str:
        return "{set}"


_SET: Final = _AnyTagSet(())
_NAMES: Final = Subjects()

_CALLERS: Final = {
    REGISTER.name: "runner",
    RUNNER_ABORT.name: "dispatcher",
    CONFIGURE.name: "registry",
    MATCH.name: "dispatcher, anyone",
}


def _request(endpoint: AnyEndpoint) -> Family:
    of_runner = endpoint.service == RUNNER
    return Family(
        name=endpoint.name,
        kind=Kind.REQUEST,
        subject=endpoint.subject(_NAMES, "{runner}"),
        sender=_CALLERS.get(endpoint.name, "anyone"),
        receiver="the runner" if of_runner else endpoint.service,
        messages=(endpoint.request,),
        replies=(endpoint.reply, ErrorReply),
        summary=endpoint.summary,
        queue_group="" if of_runner else API_QUEUE_GROUP,
    )


_STREAMS: Final = (
    Family(
        name="requests",
        kind=Kind.STREAM,
        subject=_NAMES.request("{project}"),
        store=_NAMES.requests_stream,
        sender="anyone",
        receiver="one dispatcher",
        messages=(api.RunRequest,),
        summary="Job requests that survive a dispatcher outage; a repeated `Nats-Msg-Id` is dropped.",
    ),
    Family(
        name="jobs",
        kind=Kind.STREAM,
        subject=_NAMES.job("{project}", _SET, "{execution}", "{assignment}"),
        store=_NAMES.jobs_stream,
        sender="dispatcher",
        receiver="one runner of the set",
        messages=(Assignment,),
        summary="Assignments, a work queue: one consumer a set, from which its runners pull.",
    ),
    Family(
        name="events",
        kind=Kind.STREAM,
        subject=_NAMES.event("{project}", "{execution}", "{assignment}", "{author}"),
        store=_NAMES.events_stream,
        sender="dispatcher, runners",
        receiver="dispatcher, anyone",
        messages=(ExecutionQueued, AssignmentStarted, AssignmentFinished, AbortRequested),
        summary="The life of each execution. The history: all else that is known of executions is read from it.",
    ),
    Family(
        name="logs",
        kind=Kind.STREAM,
        subject=_NAMES.log("{project}", "{execution}", "{assignment}", "{runner}"),
        store=_NAMES.logs_stream,
        sender="runners",
        receiver="anyone",
        messages=(LogChunk,),
        summary="The output of each execution, in order.",
    ),
)

_PUBLISHED: Final = (
    Family(
        name="beat",
        kind=Kind.PUBLISH,
        subject=_NAMES.beat("{runner}"),
        sender="the runner",
        receiver="registry",
        messages=(RunnerBeat,),
        summary="Heartbeats: load and plugins.",
    ),
    Family(
        name="fleet-changed",
        kind=Kind.PUBLISH,
        subject=_NAMES.fleet_changed(),
        sender="registry",
        receiver="dispatcher, anyone",
        messages=(FleetChanged,),
        summary="A runner's status, tags or plugins have changed: a hint to ask again.",
    ),
    Family(
        name="roll-call",
        kind=Kind.PUBLISH,
        subject=_NAMES.roll_call(),
        sender="registry",
        receiver="runners",
        messages=(api.RollCall,),
        summary="A registry that has just started asks every runner to beat.",
    ),
)


def _bucket(bucket: str, key: str, message: Message, parties: tuple[str, str], summary: str) -> Family:
    return Family(
        name=f"bucket.{bucket.removeprefix(f'{_NAMES.prefix}_')}",
        kind=Kind.BUCKET,
        subject=f"$KV.{bucket}.{key}",
        store=bucket,
        sender=parties[0],
        receiver=parties[1],
        messages=(message,),
        summary=summary,
    )


_BUCKETS: Final = (
    _bucket(
        _NAMES.sets_bucket,
        _NAMES.set_key("{project}", _SET),
        api.SetRecord,
        ("dispatcher", "runners"),
        "The tag sets in use; in keys a set's tags are joined by `.` (`dev.linux`).",
    ),
    _bucket(_NAMES.runners_bucket, "{runner}", RunnerRecord, ("registry", "registry"), "Every runner ever known."),
    _bucket(_NAMES.projects_bucket, "{project}", api.ProjectRecord, ("registry", "registry"), "Projects."),
    _bucket(_NAMES.jobs_bucket, "{project}.{uuid}", JobDefinition, ("dispatcher", "dispatcher"), "Job definitions."),
)

FAMILIES: Final[tuple[Family, ...]] = (
    *map(_request, (*DISPATCHER_ENDPOINTS, *REGISTRY_ENDPOINTS, *RUNNER_ENDPOINTS)),
    *_STREAMS,
    *_PUBLISHED,
    *_BUCKETS,
)
"""Everything that goes over the bus."""

PARAMETERS: Final[dict[str, str]] = {
    "project": "A project's name.",
    "set": "Tags, sorted and joined by `+` (`dev+linux`); `local` is the Local Runner.",
    "execution": "An execution's id.",
    "assignment": "An assignment's number, from 1; 0 is the execution as a whole.",
    "author": "Who says it: a runner's id, or `dispatcher`.",
    "runner": "A runner's id.",
    "uuid": "A job's uuid.",
}
"""What the placeholders of subjects mean."""

MESSAGES: Final[tuple[Message, ...]] = tuple(
    dict.fromkeys(message for family in FAMILIES for message in (*family.messages, *family.replies))
)
"""Every message type, once."""


def type_of(message: Message) -> str:
    """The ``type`` that a message bears: ``runbus.run.v1``."""
    return str(message.__struct_config__.tag)
