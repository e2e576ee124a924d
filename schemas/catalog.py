"""The one list of subject families and endpoints: services serve from it, documents are generated from it.

Placeholders stand in braces, one subject token each: ``rb.{project}.request``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

from schemas import api, keys, sources
from schemas.errors import ErrorReply
from schemas.events import (
    AbortRequested,
    Assignment,
    AssignmentFinished,
    AssignmentStarted,
    ExecutionFinished,
    ExecutionPhase,
    ExecutionQueued,
    LogChunk,
)
from schemas.jobs import JobDefinition
from schemas.nodes import Inventory, NodeList, NodeListReply, NodeListRequest, NodeLoadReply, NodeLoadRequest
from schemas.notices import NotificationsOpen, NotificationTask
from schemas.runners import FleetChanged, RunnerBeat, RunnerRecord
from schemas.schedules import Fire
from schemas.subjects import Subjects
from schemas.tokens import TagSet

Message: TypeAlias = type[msgspec.Struct]
RequestT = TypeVar("RequestT", bound=msgspec.Struct)
ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)

DISPATCHER: Final = "dispatcher"
KEYPROXY: Final = "keyproxy"
NODESOURCE: Final = "nodesource"
REGISTRY: Final = "registry"
RUNNER: Final = "runner"
DISPATCHER_COPY: Final = "dispatcher-copy"
"""One of the dispatchers, by its instance."""

TAG_SET: Final = "tag-set"
"""The runners of a tag set: one of them answers."""
RUNNERS_QUEUE_GROUP: Final = "runners"
"""Shares the requests to a tag set out among its runners."""

API_QUEUE_GROUP: Final = "q"
"""What the NATS micro API takes by default: the copies of a service share the requests out in it."""

ERROR_CODE_HEADER: Final = "Nats-Service-Error-Code"
ERROR_TEXT_HEADER: Final = "Nats-Service-Error"


class Endpoint(msgspec.Struct, Generic[RequestT, ReplyT], frozen=True):
    """A request that a service answers with ``reply`` or with ``ErrorReply``.

    Of the service ``tag-set`` one runner of a set answers: see :meth:`Subjects.nodes_of_set` and
    :meth:`Subjects.keys_of_set`. The service ``runner``
    is the control of one runner, on the subjects of its id; ``dispatcher-copy`` is one of the
    dispatchers, on those of its instance.
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

    def subject(self, subjects: Subjects, target: str = "") -> str:
        """Where it is served; ``target`` is the runner's id, or the dispatcher's instance, where it is for one."""
        if self.service == RUNNER:
            return subjects.runner(target, self.verb)
        if self.service == DISPATCHER_COPY:
            return subjects.dispatcher(target, self.verb)
        return subjects.api(self.service, self.verb)


RUN: Final = Endpoint(DISPATCHER, "run", api.RunRequest, api.ExecutionView, "Run a job, or ad hoc steps.")
RUN_SEALING: Final = Endpoint(
    DISPATCHER,
    "sealing-key",
    keys.SealingKeyRequest,
    keys.SealingKeyReply,
    "What options of a run are sealed with.",
)
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
RUNNER_NODES: Final = Endpoint(
    REGISTRY, "runner-nodes", api.RunnerNodesRequest, api.RunnerReply, "Say which nodes a runner serves."
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
PROJECT_SHOW: Final = Endpoint(
    REGISTRY, "project-show", api.ProjectShowRequest, api.ProjectRecord, "Show a project with its settings."
)
PROJECT_SET: Final = Endpoint(
    REGISTRY, "project-set", api.ProjectSetRequest, api.ProjectRecord, "Change the settings of a project."
)

NODE_LOAD: Final = Endpoint(
    NODESOURCE, "load", NodeLoadRequest, NodeLoadReply, "Replace the nodes of a project by those of a document."
)
NODE_LIST: Final = Endpoint(
    NODESOURCE, "list", NodeListRequest, NodeListReply, "The nodes of a project that a filter selects, in order."
)

SOURCE_PUT: Final = Endpoint(
    NODESOURCE, "source-put", sources.SourcePutRequest, sources.SourceReply, "Add or change a node source."
)
SOURCE_LIST: Final = Endpoint(
    NODESOURCE, "source-list", sources.SourceListRequest, sources.SourceList, "The node sources of a project."
)
SOURCE_REMOVE: Final = Endpoint(
    NODESOURCE, "source-remove", sources.SourceRemoveRequest, api.Done, "Remove a node source and its nodes."
)
SOURCE_TEST: Final = Endpoint(
    NODESOURCE, "source-test", sources.SourceTestRequest, sources.SourceTested, "Ask a source, and store nothing."
)
SOURCE_REFRESH: Final = Endpoint(
    NODESOURCE, "source-refresh", sources.SourceRefreshRequest, sources.SourceRefreshed, "Ask a source now."
)

DISCOVER: Final = Endpoint(
    TAG_SET, "discover", sources.DiscoverRequest, sources.Discovery, "Discover nodes with a plugin of the runner."
)

KEY_LIST: Final = Endpoint(
    KEYPROXY, "list", keys.KeyListRequest, keys.KeyList, "The keys of a folder, of the centre or of a runner."
)
KEY_SHOW: Final = Endpoint(
    KEYPROXY, "show", keys.KeyShowRequest, keys.KeyShown, "One key, of the centre or of a runner, without its value."
)
KEY_PUT: Final = Endpoint(KEYPROXY, "put", keys.KeyPutRequest, keys.KeyStored, "Store a key at the centre.")
KEY_REMOVE: Final = Endpoint(KEYPROXY, "remove", keys.KeyRemoveRequest, api.Done, "Remove a key of the centre.")
KEY_SEALING: Final = Endpoint(
    KEYPROXY,
    "sealing-key",
    keys.SealingKeyRequest,
    keys.SealingKeyReply,
    "What a key's value is sealed with on its way.",
)
KEY_OPEN: Final = Endpoint(
    KEYPROXY, "open", keys.KeyOpenRequest, keys.SealedValue, "The value of a key, sealed to the runner that needs it."
)
KEY_BROWSE: Final = Endpoint(
    TAG_SET, "list", keys.KeyBrowseRequest, keys.KeyList, "The keys of a folder of the runner's key storage."
)
KEY_LOOK: Final = Endpoint(
    TAG_SET, "show", keys.KeyLookRequest, keys.KeyShown, "One key of the runner's key storage, without its value."
)

PING: Final = Endpoint(RUNNER, "ping", api.PingRequest, api.Pong, "Ask a runner whether it answers, and its load.")
RUNNER_ABORT: Final = Endpoint(RUNNER, "abort", api.RunnerAbortRequest, api.Done, "End one assignment of a runner.")
CONFIGURE: Final = Endpoint(RUNNER, "configure", api.ConfigureRequest, api.Done, "Give a runner the tags in force.")
DRAIN: Final = Endpoint(RUNNER, "drain", api.DrainRequest, api.Done, "Let a runner finish its work and leave.")

RUN_SEALED: Final = Endpoint(
    DISPATCHER_COPY, "run", api.RunRequest, api.ExecutionView, "Run a job with options that only this copy can open."
)
SECRETS: Final = Endpoint(
    DISPATCHER_COPY,
    "secrets",
    api.SecretsRequest,
    keys.SealedValue,
    "The secure values of a claimed assignment, as `runbus.secret_values.v1`, sealed to its runner.",
)

AnyEndpoint: TypeAlias = Endpoint[Any, Any]

DISPATCHER_ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = (
    RUN,
    RUN_SEALING,
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
    RUNNER_NODES,
    RUNNER_CREATE,
    RUNNER_REMOVE,
    MATCH,
    PROJECT_CREATE,
    PROJECT_LIST,
    PROJECT_SHOW,
    PROJECT_SET,
)
NODESOURCE_ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = (
    NODE_LOAD,
    NODE_LIST,
    SOURCE_PUT,
    SOURCE_LIST,
    SOURCE_REMOVE,
    SOURCE_TEST,
    SOURCE_REFRESH,
)
KEYPROXY_ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = (
    KEY_LIST,
    KEY_SHOW,
    KEY_PUT,
    KEY_REMOVE,
    KEY_SEALING,
    KEY_OPEN,
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
    SECRETS.name: "the runner that claimed it",
    KEY_OPEN.name: "the runner that needs it",
    MATCH.name: "dispatcher, anyone",
    NODE_LIST.name: "dispatcher, anyone",
}


def _request(endpoint: AnyEndpoint) -> Family:
    receivers = {RUNNER: "the runner", DISPATCHER_COPY: "the dispatcher"}
    of_one = endpoint.service in receivers
    return Family(
        name=endpoint.name,
        kind=Kind.REQUEST,
        subject=endpoint.subject(_NAMES, "{instance}" if endpoint.service == DISPATCHER_COPY else "{runner}"),
        sender=_CALLERS.get(endpoint.name, "anyone"),
        receiver=receivers.get(endpoint.service, endpoint.service),
        messages=(endpoint.request,),
        replies=(endpoint.reply, ErrorReply),
        summary=endpoint.summary,
        queue_group="" if of_one else API_QUEUE_GROUP,
    )


def _to_tag_set(endpoint: AnyEndpoint, name: str, subject: str, sender: str) -> Family:
    return Family(
        name=name,
        kind=Kind.REQUEST,
        subject=subject,
        sender=sender,
        receiver="one runner of the set",
        messages=(endpoint.request,),
        replies=(endpoint.reply, ErrorReply),
        summary=endpoint.summary,
        queue_group=RUNNERS_QUEUE_GROUP,
    )


_TO_TAG_SET: Final = (
    _to_tag_set(DISCOVER, DISCOVER.name, _NAMES.nodes_of_set("{project}", _SET, DISCOVER.verb), "nodesource"),
    *(
        _to_tag_set(each, f"{TAG_SET}.key-{each.verb}", _NAMES.keys_of_set("{project}", _SET, each.verb), "keyproxy")
        for each in (KEY_BROWSE, KEY_LOOK)
    ),
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
        messages=(
            ExecutionQueued,
            AssignmentStarted,
            AssignmentFinished,
            AbortRequested,
            ExecutionPhase,
            ExecutionFinished,
        ),
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
    Family(
        name="key-access",
        kind=Kind.STREAM,
        subject=_NAMES.key_access("{author}"),
        store=_NAMES.audit_stream,
        sender="keyproxy, runners",
        receiver="anyone",
        messages=(keys.KeyAccess,),
        summary="The audit of keys: who asked for which path, through which runner, with what outcome; no values.",
    ),
    Family(
        name="notifications",
        kind=Kind.STREAM,
        subject=_NAMES.notification("{project}", "{execution}", "{trigger}", "{delivery}"),
        store=_NAMES.notify_stream,
        sender="dispatcher",
        receiver="one dispatcher",
        messages=(NotificationTask,),
        summary="Deliveries of notifications: appended once, on the condition that the subject is empty.",
    ),
    Family(
        name="notifications-open",
        kind=Kind.STREAM,
        subject=_NAMES.notifications_open("{project}", "{execution}"),
        store=_NAMES.notify_stream,
        sender="dispatcher",
        receiver="dispatcher",
        messages=(NotificationsOpen,),
        summary="Executions whose notifications are not all published: a dispatcher that starts looks them up.",
    ),
    Family(
        name="schedules",
        kind=Kind.STREAM,
        subject=_NAMES.job_schedule("{project}", "{uuid}"),
        store=_NAMES.schedules_stream,
        sender="dispatcher",
        receiver="NATS, which publishes it when it is due",
        messages=(Fire,),
        summary="The next fire of each job with a schedule (`Nats-Schedule: @at …`): one message a job.",
    ),
    Family(
        name="due-fires",
        kind=Kind.STREAM,
        subject=_NAMES.due_fire("{project}", "{uuid}"),
        store=_NAMES.schedules_stream,
        sender="NATS",
        receiver="one dispatcher",
        messages=(Fire,),
        summary="Fires that are due, a work queue; whoever takes one publishes the job's next.",
    ),
    Family(
        name="delayed-requests",
        kind=Kind.STREAM,
        subject=_NAMES.request_schedule("{project}", "{execution}"),
        store=_NAMES.schedules_stream,
        sender="dispatcher",
        receiver="NATS, which publishes it when it is due",
        messages=(api.RunRequest,),
        summary="Requests for later, such as retries with a delay (`Nats-Schedule: @at …`).",
    ),
    Family(
        name="due-requests",
        kind=Kind.STREAM,
        subject=_NAMES.due_request("{project}", "{execution}"),
        store=_NAMES.schedules_stream,
        sender="NATS",
        receiver="one dispatcher",
        messages=(api.RunRequest,),
        summary="Delayed requests that are due, a work queue; they are handed on to the requests.",
    ),
    Family(
        name="parcels",
        kind=Kind.STREAM,
        subject=_NAMES.parcel_chunk(_NAMES.parcels_bucket, "{parcel}", "{chunk}"),
        store=_NAMES.parcels_bucket,
        sender="anyone",
        receiver="whoever was told the parcel's name",
        messages=(NodeList,),
        summary="What is too large for a message, in chunks. Joined, and inflated (zlib) where the header "
        "`Runbus-Encoding` of chunk 0 is `deflate`, they are lists of nodes, one a line, or a document to load.",
    ),
    Family(
        name="inventories",
        kind=Kind.STREAM,
        subject=_NAMES.parcel_chunk(_NAMES.inventories_bucket, "{parcel}", "{chunk}"),
        store=_NAMES.inventories_bucket,
        sender="nodesource",
        receiver="nodesource",
        messages=(NodeList,),
        summary="The nodes of each project, as parcels.",
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
    _bucket(_NAMES.nodes_bucket, "{project}", Inventory, ("nodesource", "nodesource"), "What is stored of nodes."),
    _bucket(
        _NAMES.sources_bucket,
        "{project}",
        sources.ProjectSources,
        ("nodesource", "nodesource"),
        "The node sources of each project, in order.",
    ),
    _bucket(
        _NAMES.source_states_bucket,
        "{project}.{source}",
        sources.SourceState,
        ("nodesource", "nodesource"),
        "How each node source stands, and which copy of the service asks it now.",
    ),
    _bucket(
        _NAMES.key_store_bucket,
        "centre",
        keys.KeyStoreRecord,
        ("keyproxy", "keyproxy"),
        "Which file of keys is the centre's: a keyproxy with another, or an older copy, does not start.",
    ),
    _bucket(_NAMES.jobs_bucket, "{project}.{uuid}", JobDefinition, ("dispatcher", "dispatcher"), "Job definitions."),
    _bucket(
        _NAMES.running_bucket,
        "{project}.{uuid}",
        api.RunningRecord,
        ("dispatcher", "dispatcher"),
        "The runs of jobs that must not overlap.",
    ),
)

FAMILIES: Final[tuple[Family, ...]] = (
    *map(
        _request,
        (
            *DISPATCHER_ENDPOINTS,
            *REGISTRY_ENDPOINTS,
            *NODESOURCE_ENDPOINTS,
            *KEYPROXY_ENDPOINTS,
            *RUNNER_ENDPOINTS,
            RUN_SEALED,
            SECRETS,
        ),
    ),
    *_TO_TAG_SET,
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
    "author": "Who says it: a runner's id, `dispatcher` or `keyproxy`.",
    "runner": "A runner's id.",
    "instance": "One run of a dispatcher's process.",
    "uuid": "A job's uuid.",
    "trigger": "What a notification is sent on: `onstart`, `onsuccess`, and so on.",
    "delivery": "Which notification of the job, and which of its URLs or addresses: `2-1`.",
    "source": "A node source's name.",
    "parcel": "A parcel's name: when it was parked, a random part, and the beginning of its SHA-256.",
    "chunk": "The number of a chunk, from 0; the header `Runbus-Chunks` of chunk 0 says how many there are.",
}
"""What the placeholders of subjects mean."""

SEALED_MESSAGES: Final[tuple[Message, ...]] = (api.SealedOptions, api.SecretValues, keys.KeyValue)
"""What goes over the bus only within a sealed text."""

MESSAGES: Final[tuple[Message, ...]] = tuple(
    dict.fromkeys((*(each for family in FAMILIES for each in (*family.messages, *family.replies)), *SEALED_MESSAGES))
)
"""Every message type, once."""


def type_of(message: Message) -> str:
    """The ``type`` that a message bears: ``runbus.run.v1``."""
    return str(message.__struct_config__.tag)
