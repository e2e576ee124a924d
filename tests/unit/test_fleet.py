from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.fleet import (
    TAKES_WORK,
    Clocks,
    Presence,
    borne_by_none,
    in_order_of_preference,
    serves,
    status_of,
    view_of,
)
from schemas.runners import RunnerBeat, RunnerRecord, RunnerView
from schemas.states import RunnerStatus
from schemas.tokens import TagSet

NOW = datetime(2025, 1, 31, 12, 0, tzinfo=UTC)
CLOCKS = Clocks()


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def record(**said: object) -> RunnerRecord:
    return msgspec.structs.replace(RunnerRecord(id="r1", tags=["dev", "linux"], projects=["web"]), **said)


def presence(silent_s: float = 1.0, **said: object) -> Presence:
    heard = Presence(seen_at=ago(silent_s), instance="i1", running=0, max_running=2, uptime_s=9.0)
    return msgspec.structs.replace(heard, **said)


def view(status: RunnerStatus = RunnerStatus.HEALTHY, **said: object) -> RunnerView:
    return msgspec.structs.replace(view_of(record(), presence(), status), **said)


@pytest.mark.parametrize(
    ("known", "heard", "status"),
    [
        (record(), None, RunnerStatus.NEW),
        (record(registered_at=ago(1)), None, RunnerStatus.UNKNOWN),
        (record(registered_at=ago(119.9)), None, RunnerStatus.UNKNOWN),
        (record(registered_at=ago(120)), None, RunnerStatus.DOWN),
        (record(registered_at=ago(1), left_at=ago(0.5)), None, RunnerStatus.DOWN),
        (record(), presence(0), RunnerStatus.HEALTHY),
        (record(), presence(29.9), RunnerStatus.HEALTHY),
        (record(), presence(running=1), RunnerStatus.HEALTHY),
        (record(), presence(running=2), RunnerStatus.UNHEALTHY),
        (record(), presence(running=3), RunnerStatus.UNHEALTHY),
        (record(), presence(30, running=2), RunnerStatus.UNKNOWN),
        (record(), presence(119.9), RunnerStatus.UNKNOWN),
        (record(), presence(120), RunnerStatus.DOWN),
        (record(), presence(0, leaving=True), RunnerStatus.DOWN),
        (record(), presence(-3), RunnerStatus.HEALTHY),
    ],
)
def test_the_status_of_a_runner(known: RunnerRecord, heard: Presence | None, status: RunnerStatus) -> None:
    assert status_of(known, heard, NOW, CLOCKS) is status


@pytest.mark.parametrize(
    ("watching_s", "status"), [(5, RunnerStatus.UNKNOWN), (119.9, RunnerStatus.UNKNOWN), (120, RunnerStatus.DOWN)]
)
def test_silence_before_the_centre_listened_is_not_the_runners(watching_s: float, status: RunnerStatus) -> None:
    known = record(registered_at=ago(86400))
    assert status_of(known, None, NOW, CLOCKS, watching_since=ago(watching_s)) is status


@settings(deadline=None)
@given(st.floats(0, 500), st.floats(0, 500), st.integers(0, 3))
def test_silence_never_makes_a_runner_better(one: float, other: float, running: int) -> None:
    order = [RunnerStatus.HEALTHY, RunnerStatus.UNHEALTHY, RunnerStatus.UNKNOWN, RunnerStatus.DOWN]
    short, long = sorted((one, other))
    ranks = [
        order.index(status_of(record(), presence(silent_s, running=running), NOW, CLOCKS))
        for silent_s in (short, long)
    ]
    assert ranks == sorted(ranks)


def test_a_heartbeat_is_taken_over() -> None:
    beat = RunnerBeat(
        runner="r1",
        instance="i1",
        at=ago(3600),
        running=1,
        max_running=2,
        uptime_s=9.0,
        tags_revision=4,
        leaving=True,
    )
    heard = Presence.of(beat, NOW)
    assert heard == presence(0, running=1, tags_revision=4, leaving=True)


def test_a_view_tells_what_the_record_and_the_heartbeats_say() -> None:
    known = record(registered_at=ago(60), max_running=2)
    assert view_of(known, None, RunnerStatus.UNKNOWN).last_seen_at == ago(60)
    seen = view_of(known, presence(3, running=1), RunnerStatus.HEALTHY)
    assert (seen.last_seen_at, seen.running, seen.max_running, seen.uptime_s) == (ago(3), 1, 2, 9.0)
    assert (seen.tags, seen.projects) == (["dev", "linux"], ["web"])


@pytest.mark.parametrize(
    ("runner", "project", "tags", "yes"),
    [
        (record(), "web", "dev", True),
        (record(), "web", "linux,dev", True),
        (record(), "web", "dev,eu", False),
        (record(), "other", "dev", False),
        (record(local=True), "other", "dev", False),
    ],
)
def test_who_serves_a_set(runner: RunnerRecord, project: str, tags: str, *, yes: bool) -> None:
    assert serves(runner, project, TagSet.parse(tags)) is yes


def test_only_the_local_runner_serves_the_local_set_and_for_every_project() -> None:
    assert serves(record(local=True, projects=[]), "other", TagSet.local())
    assert not serves(record(), "web", TagSet.local())


def test_the_order_of_preference() -> None:
    best_first = [
        view(id="a", running=0),
        view(id="b", running=1, last_seen_at=ago(1)),
        view(id="c", running=1, last_seen_at=ago(2)),
        view(id="d", running=1, last_seen_at=None),
        view(RunnerStatus.UNHEALTHY, id="e"),
        view(RunnerStatus.UNKNOWN, id="f"),
        view(RunnerStatus.NEW, id="g"),
        view(RunnerStatus.DOWN, id="h"),
    ]
    assert in_order_of_preference(reversed(best_first)) == best_first
    assert {each.status for each in best_first} == set(RunnerStatus)


def test_tags_that_no_connected_runner_of_the_project_bears() -> None:
    runners = [
        view(id="a", tags=["dev"]),
        view(RunnerStatus.UNHEALTHY, id="b", tags=["linux"]),
        view(RunnerStatus.UNKNOWN, id="c", tags=["eu"]),
        view(id="d", tags=["gpu"], projects=["other"]),
    ]
    assert borne_by_none(runners, "web", TagSet.parse("dev,linux,eu,gpu")) == ["eu", "gpu"]
    assert borne_by_none(runners, "web", TagSet.local()) == []
    assert {RunnerStatus.HEALTHY, RunnerStatus.UNHEALTHY} == TAKES_WORK
