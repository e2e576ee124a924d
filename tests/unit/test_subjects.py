from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas.errors import ErrorCode, RunbusError
from schemas.subjects import Subjects
from schemas.tokens import MAX_SET_TOKEN_CHARS, RESERVED_PROJECTS, RESERVED_RUNNERS, TagSet

PROPERTY = settings(deadline=None, max_examples=60)
SUBJECT = re.compile(r"[A-Za-z0-9_=+-]+(\.[A-Za-z0-9_=+-]+)*\Z")

names = st.from_regex(r"[A-Za-z0-9_-]{1,10}", fullmatch=True)
projects = (names | st.sampled_from(["tag", "exec", "log", "job", "request"])).filter(
    lambda name: name not in RESERVED_PROJECTS
)
runners = (names | st.sampled_from(["tag", "job", "request", "api", "beat"])).filter(
    lambda name: name not in RESERVED_RUNNERS
)
tag_sets = st.lists(st.sampled_from(["a", "b", "dev", "web 1", "é", "=", "a.b", "*", ">"]), max_size=4).map(TagSet)

STREAM_FILTERS = {
    "requests": "rb.*.request",
    "jobs": "rb.*.tag.*.job.>",
    "events": "rb.*.exec.>",
    "logs": "rb.*.log.>",
}


def covers(pattern: str, subject: str) -> bool:
    """NATS's rule: ``*`` is one token, ``>`` one or more at the end."""
    wanted, found = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        return len(found) >= len(wanted) and covers(
            ".".join(wanted[:-1] or ["*"]), ".".join(found[: len(wanted) - 1] or ["x"])
        )
    return len(wanted) == len(found) and all(each in {"*", token} for each, token in zip(wanted, found, strict=True))


def streams_of(subject: str) -> set[str]:
    return {name for name, pattern in STREAM_FILTERS.items() if covers(pattern, subject)}


def test_the_literal_forms() -> None:
    subjects, tags = Subjects(), TagSet.parse("linux,dev")
    assert subjects.api("dispatcher", "run") == "rb.api.dispatcher.run"
    assert subjects.request("web") == "rb.web.request"
    assert subjects.job("web", tags, "e1", "1") == "rb.web.tag.dev+linux.job.e1.1"
    assert subjects.jobs_of_set("web", TagSet.local()) == "rb.web.tag.local.job.>"
    assert subjects.runner("r1", "ping") == "rb.runner.r1.ping"
    assert subjects.beat("*") == "rb.runner.*.beat"
    assert subjects.fleet_changed() == "rb.registry.changed"
    assert subjects.roll_call() == "rb.registry.rollcall"
    assert subjects.event("web", "e1", "1", "r1") == "rb.web.exec.e1.1.r1"
    assert subjects.events_of_assignment("web", "e1", "1") == "rb.web.exec.e1.1.*"
    assert subjects.events_of_execution("web", "e1") == "rb.web.exec.e1.>"
    assert subjects.log("web", "e1", "1", "r1") == "rb.web.log.e1.1.r1"
    assert subjects.log_of_execution("web", "e1") == "rb.web.log.e1.>"
    assert subjects.set_consumer("web", tags) == "web+dev+linux"
    assert subjects.set_key("web", tags) == "web.dev.linux"


def test_another_prefix_shares_no_name() -> None:
    one, other = Subjects(), Subjects(prefix="two")
    streams = ("requests_stream", "jobs_stream", "events_stream", "logs_stream")
    buckets = ("sets_bucket", "runners_bucket", "projects_bucket", "jobs_bucket")
    for name in (*streams, *buckets):
        assert getattr(one, name).lower().startswith("rb_")
        assert getattr(other, name).lower().startswith("two_")


@pytest.mark.parametrize("prefix", ["", "a.b", "*", "a b", ">"])
def test_a_prefix_is_one_token(prefix: str) -> None:
    with pytest.raises(RunbusError) as refused:
        Subjects(prefix=prefix)
    assert refused.value.code is ErrorCode.INVALID_NAME


@PROPERTY
@given(projects, tag_sets, names, runners)
def test_each_subject_is_valid_and_in_the_one_stream_it_belongs_to(
    project: str, tags: TagSet, execution: str, runner: str
) -> None:
    subjects = Subjects()
    belongs = {
        subjects.request(project): {"requests"},
        subjects.job(project, tags, execution, "1"): {"jobs"},
        subjects.event(project, execution, "1", runner): {"events"},
        subjects.log(project, execution, "1", runner): {"logs"},
        subjects.beat(runner): set[str](),
        subjects.runner(runner, "abort"): set[str](),
        subjects.api("dispatcher", "run"): set[str](),
        subjects.fleet_changed(): set[str](),
        subjects.roll_call(): set[str](),
    }
    for subject, streams in belongs.items():
        assert SUBJECT.match(subject)
        assert streams_of(subject) == streams


@pytest.mark.parametrize("runner", ["exec", "log"])
def test_why_some_runner_ids_are_reserved(runner: str) -> None:
    assert streams_of(Subjects().beat(runner))


@PROPERTY
@given(st.tuples(projects, tag_sets), st.tuples(projects, tag_sets))
def test_consumers_and_keys_of_different_sets_have_different_names(
    one: tuple[str, TagSet], other: tuple[str, TagSet]
) -> None:
    assume(one != other)
    subjects = Subjects()
    assert subjects.set_consumer(*one) != subjects.set_consumer(*other)
    assert subjects.set_key(*one) != subjects.set_key(*other)
    assert subjects.jobs_of_set(*one) != subjects.jobs_of_set(*other)


@PROPERTY
@given(projects, tag_sets)
def test_consumers_and_keys_have_names_that_nats_takes(project: str, tags: TagSet) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_=+-]+", Subjects().set_consumer(project, tags))
    assert re.fullmatch(r"[A-Za-z0-9_=.-]+", Subjects.set_key(project, tags))


def test_the_longest_consumer_name_is_one_that_nats_takes() -> None:
    longest = TagSet(["a" * 64, "b" * 64, "c" * (MAX_SET_TOKEN_CHARS - 130)])
    assert len(Subjects().set_consumer("p" * 64, longest)) == 255
