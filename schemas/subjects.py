"""Every subject, stream, bucket, consumer and queue group, each built by one function.

The literal form, with the default prefix, stands above each. Arguments are validated tokens
(:mod:`schemas.tokens`), or ``*`` where a wildcard is wanted.
"""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.tokens import TagSet, identifier

DEFAULT_PREFIX: Final = "rb"
WHOLE_EXECUTION: Final = "0"
"""The assignment token of events about the execution as a whole."""
AUTHOR_DISPATCHER: Final = "dispatcher"


class Subjects(msgspec.Struct, frozen=True):
    """The names of one Runbus on a bus; several can share it under different prefixes."""

    prefix: str = DEFAULT_PREFIX

    def __post_init__(self) -> None:
        """Refuse a prefix that is no token (``invalid_name``)."""
        identifier("prefix", self.prefix)

    # rb.api.<service>.<verb>
    def api(self, service: str, verb: str) -> str:
        """A service's endpoint; services of one name form one queue group."""
        return f"{self.prefix}.api.{service}.{verb}"

    # rb.<project>.request
    def request(self, project: str) -> str:
        """Job requests that survive a dispatcher outage."""
        return f"{self.prefix}.{project}.request"

    # rb.<project>.tag.<set>.job.<execution>.<assignment>
    def job(self, project: str, tags: TagSet, execution: str, assignment: str) -> str:
        """An assignment for one runner of the set."""
        return f"{self.prefix}.{project}.tag.{tags.token}.job.{execution}.{assignment}"

    # rb.<project>.tag.<set>.job.>
    def jobs_of_set(self, project: str, tags: TagSet) -> str:
        """All assignments for a set: what its consumer filters."""
        return f"{self.prefix}.{project}.tag.{tags.token}.job.>"

    # rb.<project>.tag.<set>.nodes.<verb>
    def nodes_of_set(self, project: str, tags: TagSet, verb: str) -> str:
        """Node requests to one runner of the set."""
        return f"{self.prefix}.{project}.tag.{tags.token}.nodes.{verb}"

    # rb.<project>.tag.<set>.keys.<verb>
    def keys_of_set(self, project: str, tags: TagSet, verb: str) -> str:
        """Key lookups by one runner of the set."""
        return f"{self.prefix}.{project}.tag.{tags.token}.keys.{verb}"

    # rb.audit.keys.<author>
    def key_access(self, author: str) -> str:
        """What was done with keys; the author is the runner, or ``keyproxy``."""
        return f"{self.prefix}.audit.keys.{author}"

    # rb.runner.<id>.<verb>
    def runner(self, runner: str, verb: str) -> str:
        """Control of one runner: ping, abort, configure, drain."""
        return f"{self.prefix}.runner.{runner}.{verb}"

    # rb.runner.<id>.beat
    def beat(self, runner: str) -> str:
        """Heartbeats."""
        return self.runner(runner, "beat")

    # rb.dispatcher.<instance>.<verb>
    def dispatcher(self, instance: str, verb: str) -> str:
        """Questions to one copy of the dispatcher: secure values, which only it has."""
        return f"{self.prefix}.dispatcher.{instance}.{verb}"

    # rb.registry.changed
    def fleet_changed(self) -> str:
        """The registry announces a change of a runner's status, tags or plugins."""
        return f"{self.prefix}.registry.changed"

    # rb.registry.rollcall
    def roll_call(self) -> str:
        """A starting registry asks all runners to beat."""
        return f"{self.prefix}.registry.rollcall"

    # rb.<project>.exec.<execution>.<assignment>.<author>
    def event(self, project: str, execution: str, assignment: str, author: str) -> str:
        """One event; the author is the runner, or ``dispatcher``."""
        return f"{self.prefix}.{project}.exec.{execution}.{assignment}.{author}"

    # rb.<project>.exec.<execution>.<assignment>.*
    def events_of_assignment(self, project: str, execution: str, assignment: str) -> str:
        """What a conditional publish is conditional on."""
        return self.event(project, execution, assignment, "*")

    # rb.<project>.exec.<execution>.>
    def events_of_execution(self, project: str, execution: str) -> str:
        """All events of one execution: what a requester follows."""
        return f"{self.prefix}.{project}.exec.{execution}.>"

    # rb.<project>.log.<execution>.<assignment>.<runner>
    def log(self, project: str, execution: str, assignment: str, runner: str) -> str:
        """Log chunks."""
        return f"{self.prefix}.{project}.log.{execution}.{assignment}.{runner}"

    # rb.<project>.log.<execution>.>
    def log_of_execution(self, project: str, execution: str) -> str:
        """The whole log of one execution."""
        return f"{self.prefix}.{project}.log.{execution}.>"

    # rb.<project>.notify.<execution>.<trigger>.<delivery>
    def notification(self, project: str, execution: str, trigger: str, delivery: str) -> str:
        """One delivery of a notification: ``2-1`` is the first target of the job's second notification."""
        return f"{self.prefix}.{project}.notify.{execution}.{trigger}.{delivery}"

    # rb.<project>.notify.<execution>.open
    def notifications_open(self, project: str, execution: str) -> str:
        """Stands while an execution that has notifications has not ended."""
        return f"{self.prefix}.{project}.notify.{execution}.open"

    # rb.<project>.schedule.job.<uuid>
    def job_schedule(self, project: str, uuid: str) -> str:
        """Where NATS holds the next fire of a job until it is due."""
        return f"{self.prefix}.{project}.schedule.job.{uuid}"

    # rb.<project>.due.job.<uuid>
    def due_fire(self, project: str, uuid: str) -> str:
        """Fires of a job that are due and that no dispatcher has dealt with yet."""
        return f"{self.prefix}.{project}.due.job.{uuid}"

    # rb.<project>.schedule.request.<execution>
    def request_schedule(self, project: str, execution: str) -> str:
        """Where NATS holds a delayed request until it is due."""
        return f"{self.prefix}.{project}.schedule.request.{execution}"

    # rb.<project>.due.request.<execution>
    def due_request(self, project: str, execution: str) -> str:
        """A delayed request that is due."""
        return f"{self.prefix}.{project}.due.request.{execution}"

    # RB_REQUESTS: rb.*.request
    @property
    def requests_stream(self) -> str:
        """Durable job requests."""
        return f"{self.prefix.upper()}_REQUESTS"

    # RB_JOBS: rb.*.tag.*.job.>
    @property
    def jobs_stream(self) -> str:
        """Assignments, a work queue."""
        return f"{self.prefix.upper()}_JOBS"

    # RB_AUDIT: rb.audit.keys.*
    @property
    def audit_stream(self) -> str:
        """Who did what: accesses to keys."""
        return f"{self.prefix.upper()}_AUDIT"

    # RB_EVENTS: rb.*.exec.>
    @property
    def events_stream(self) -> str:
        """The history: every event of every execution."""
        return f"{self.prefix.upper()}_EVENTS"

    # RB_LOGS: rb.*.log.>
    @property
    def logs_stream(self) -> str:
        """Log chunks."""
        return f"{self.prefix.upper()}_LOGS"

    # RB_NOTIFY: rb.*.notify.>
    @property
    def notify_stream(self) -> str:
        """Deliveries of notifications, for some days: what was published once is not published again."""
        return f"{self.prefix.upper()}_NOTIFY"

    # notifiers
    @property
    def notify_consumer(self) -> str:
        """The consumer on the notifications stream that all dispatchers pull from."""
        return "notifiers"

    # RB_SCHEDULES: rb.*.schedule.*.*, rb.*.due.*.*
    @property
    def schedules_stream(self) -> str:
        """What is to happen later, held by NATS, and what is due, a work queue."""
        return f"{self.prefix.upper()}_SCHEDULES"

    # schedulers
    @property
    def schedules_consumer(self) -> str:
        """The consumer on the schedules stream that all dispatchers pull what is due from."""
        return "schedulers"

    # rb_sets, key <project>.<tag>.<tag>…
    @property
    def sets_bucket(self) -> str:
        """The tag sets in use."""
        return f"{self.prefix}_sets"

    # rb_runners, key <id>
    @property
    def runners_bucket(self) -> str:
        """Runner records."""
        return f"{self.prefix}_runners"

    # rb_running, key <project>.<uuid>
    @property
    def running_bucket(self) -> str:
        """The runs of jobs that must not overlap."""
        return f"{self.prefix}_running"

    # rb_projects, key <name>
    @property
    def projects_bucket(self) -> str:
        """Projects."""
        return f"{self.prefix}_projects"

    # rb_jobs, key <project>.<uuid>
    @property
    def jobs_bucket(self) -> str:
        """Job definitions."""
        return f"{self.prefix}_jobs"

    # rb_nodes, key <project>
    @property
    def nodes_bucket(self) -> str:
        """Node inventories: what is stored of each project, and where."""
        return f"{self.prefix}_nodes"

    # rb_sources, key <project>
    @property
    def sources_bucket(self) -> str:
        """The node sources of each project."""
        return f"{self.prefix}_sources"

    # rb_source_states, key <project>.<source>
    @property
    def source_states_bucket(self) -> str:
        """How each node source stands, and who asks it now."""
        return f"{self.prefix}_source_states"

    # rb_keystore, key centre
    @property
    def key_store_bucket(self) -> str:
        """Which file of keys is the centre's."""
        return f"{self.prefix}_keystore"

    # rb_inventories, a store of parcels: rb_inventories.<parcel>.<chunk>
    @property
    def inventories_bucket(self) -> str:
        """The nodes of each inventory."""
        return f"{self.prefix}_inventories"

    # rb_parcels, a store of parcels: rb_parcels.<parcel>.<chunk>
    @property
    def parcels_bucket(self) -> str:
        """What is too large for a message, for a while."""
        return f"{self.prefix}_parcels"

    # <project>+dev+linux (a project's name holds no "+", so that the name is unambiguous)
    def set_consumer(self, project: str, tags: TagSet) -> str:
        """The consumer on the jobs stream that all runners of a set pull from."""
        return f"{project}+{tags.token}"

    # dispatchers
    @property
    def requests_consumer(self) -> str:
        """The consumer on the requests stream that all dispatchers pull from."""
        return "dispatchers"

    # <project>.dev.linux
    @staticmethod
    def set_key(project: str, tags: TagSet) -> str:
        """Key of a set in the bucket of sets."""
        return f"{project}.{tags.key}"

    # rb_parcels.<parcel>.<chunk>
    @staticmethod
    def parcel_chunk(bucket: str, parcel: str, chunk: int | str) -> str:
        """One chunk of a parcel, from 0."""
        return f"{bucket}.{parcel}.{chunk}"
