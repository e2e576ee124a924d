"""Runners as the centre sees them: status, who matches, who is preferred ("Runners" in the original's facts)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from schemas.api import MatchReply
from schemas.errors import ErrorCode, RunbusError
from schemas.keys import KeyStorageInfo
from schemas.runners import RunnerBeat, RunnerRecord, RunnerView
from schemas.states import RunnerStatus
from schemas.tokens import TagSet, own_tag


class Clocks(msgspec.Struct, frozen=True, kw_only=True):
    """The two clocks of a silent runner: no new work after one, declared gone after the other."""

    beat_interval_s: float = 5.0
    unknown_after_s: float = 30.0
    down_after_s: float = 120.0


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """What heartbeats told of a runner last, and when it was heard by the centre's clock."""

    seen_at: datetime
    instance: str
    running: int
    max_running: int
    uptime_s: float
    leaving: bool = False
    tags_revision: int = 0
    key_storage: list[KeyStorageInfo] = []

    @classmethod
    def of(cls, beat: RunnerBeat, seen_at: datetime) -> Presence:
        """Take over a heartbeat."""
        return cls(
            seen_at=seen_at,
            instance=beat.instance,
            running=beat.running,
            max_running=beat.max_running,
            uptime_s=beat.uptime_s,
            leaving=beat.leaving,
            tags_revision=beat.tags_revision,
            key_storage=beat.key_storage,
        )


def status_of(
    record: RunnerRecord,
    presence: Presence | None,
    now: datetime,
    clocks: Clocks,
    *,
    watching_since: datetime | None = None,
) -> RunnerStatus:
    """New, Healthy, Unhealthy, Unknown or Down.

    ``watching_since`` is when the centre itself began to listen, or could again after it had lost the bus: silence
    before that is not the runner's.
    """
    if presence is None:
        if record.registered_at is None:
            return RunnerStatus.NEW
        heard_at = max(record.registered_at, watching_since or record.registered_at)
        silent_s = (now - heard_at).total_seconds()
        if record.left_at is not None or silent_s >= clocks.down_after_s:
            return RunnerStatus.DOWN
        return RunnerStatus.UNKNOWN
    silent_s = (now - max(presence.seen_at, watching_since or presence.seen_at)).total_seconds()
    if presence.leaving or silent_s >= clocks.down_after_s:
        return RunnerStatus.DOWN
    if silent_s >= clocks.unknown_after_s:
        return RunnerStatus.UNKNOWN
    return RunnerStatus.UNHEALTHY if presence.running >= presence.max_running else RunnerStatus.HEALTHY


def view_of(record: RunnerRecord, presence: Presence | None, status: RunnerStatus) -> RunnerView:
    """A runner as commands show it."""
    return RunnerView(
        id=record.id,
        status=status,
        tags=record.tags,
        projects=record.projects,
        local=record.local,
        description=record.description,
        version=record.version,
        instance=record.instance,
        plugins=record.plugins,
        running=presence.running if presence else 0,
        max_running=record.max_running,
        uptime_s=presence.uptime_s if presence else None,
        created_at=record.created_at,
        last_seen_at=presence.seen_at if presence else record.registered_at,
        node_filters=record.node_filters,
        node=record.node,
        key_storage=presence.key_storage if presence else record.key_storage,
    )


def serves(runner: RunnerView | RunnerRecord, project: str, tags: TagSet) -> bool:
    """Whether a runner belongs to the project and bears all the tags; the Local Runner serves every project."""
    if tags.is_local:
        return runner.local
    return project in runner.projects and tags.matches(frozenset((*runner.tags, own_tag(runner.id))))


_PREFERENCE = {
    status: rank
    for rank, status in enumerate(
        (RunnerStatus.HEALTHY, RunnerStatus.UNHEALTHY, RunnerStatus.UNKNOWN, RunnerStatus.NEW, RunnerStatus.DOWN)
    )
}


def in_order_of_preference(runners: Iterable[RunnerView]) -> list[RunnerView]:
    """Healthy first, then the fewest running operations, then the newest check-in."""
    return sorted(
        runners,
        key=lambda runner: (
            _PREFERENCE[runner.status],
            runner.running,
            -(runner.last_seen_at.timestamp() if runner.last_seen_at else 0.0),
            runner.id,
        ),
    )


TAKES_WORK = frozenset({RunnerStatus.HEALTHY, RunnerStatus.UNHEALTHY})
"""Connected: Unhealthy ones are only full for the moment."""


def borne_by_none(runners: Iterable[RunnerView], project: str, tags: TagSet) -> list[str]:
    """The tags of the set that no connected runner of the project bears."""
    borne: set[str] = set()
    for runner in runners:
        if project in runner.projects and runner.status in TAKES_WORK:
            borne.update((*runner.tags, own_tag(runner.id)))
    return [tag for tag in tags if tag not in borne]


def least_busy(runners: Iterable[RunnerView]) -> RunnerView:
    """The one with the most room, as a share of what it takes. Raises ``ValueError`` where there is none."""
    return min(runners, key=lambda runner: runner.running / max(1, runner.max_running))


def no_runner(project: str, tags: TagSet, reply: MatchReply) -> RunbusError:
    """The error where nobody could be asked, and why."""
    return RunbusError(
        ErrorCode.NO_RUNNER,
        f"{why_nobody(project, tags, reply)} Start such a runner, or select others.",
        details={"project": project, "tags": list(tags)},
    )


def why_nobody(project: str, tags: TagSet, reply: MatchReply) -> str:
    """One sentence: why no runner could take an assignment for this set now."""
    if tags.is_local:
        return "No Local Runner is connected."
    if reply.runners:
        states = ", ".join(f"{runner.id} is {runner.status}" for runner in reply.runners)
        return f"No runner with the tags {tags} is connected in project {project}: {states}."
    if reply.borne_by_none:
        missing = " and ".join(reply.borne_by_none)
        return f"No connected runner of project {project} bears {missing} (selected: {tags})."
    return f"No connected runner of project {project} bears all of {tags}, though each tag is borne by some."
