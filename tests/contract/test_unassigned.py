"""Queued executions without an assignment, over the fake event log: published again, once, and only if missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

import msgspec
import pytest

from bus.sets import SetsInUse
from schemas.codec import decode, encode
from schemas.errors import RunbusError
from schemas.events import AbortRequested, Assignment
from schemas.states import ExecutionState
from schemas.tokens import TagSet
from services.dispatcher.live import LiveExecutions
from services.dispatcher.unassigned import UnassignedWatch
from tests.support.centre import SUBJECTS, Centre, FoldedLive


class Sets:
    """Remembers which sets were made sure of."""

    def __init__(self) -> None:
        self.ensured: list[tuple[str, str]] = []

    async def ensure(self, project: str, tags: TagSet) -> None:
        self.ensured.append((project, tags.token))


def watch(centre: Centre, live: FoldedLive | None = None, sets: Sets | None = None) -> UnassignedWatch:
    return UnassignedWatch(
        centre.bus, SUBJECTS, live=cast("LiveExecutions", live or centre.live()),
        sets=cast("SetsInUse", sets or Sets()), ending=centre.ending(),
    )  # fmt: skip


async def looked_twice(watching: UnassignedWatch) -> None:
    await watching.look()
    await watching.look()


async def test_a_missing_assignment_is_published_in_the_second_round() -> None:
    centre, sets = Centre(), Sets()
    await centre.queued(assigned=False, user="alice", timeout_s=7.0)
    watching = watch(centre, sets=sets)
    await watching.look()
    assert centre.assignments() == 0, "its dispatcher may be about to publish it"
    await watching.look()
    assert centre.assignments() == 1
    published = decode(centre.log.messages[-1].data, Assignment)
    assert (published.execution, published.attempt, published.claim_after_seq) == ("e1", 1, 0)
    assert (published.user, published.timeout_s, published.title) == ("alice", 7.0, "a test")
    assert sets.ensured == [("p", "linux")]


async def test_it_is_the_very_message_that_was_to_be_published() -> None:
    centre = Centre()
    await centre.queued("e1", assigned=False)
    await looked_twice(watch(centre))
    mended = centre.log.messages[-1]
    usual = Centre()
    await usual.queued("e1")
    handed = usual.log.messages[-1]
    assert mended.subject == handed.subject
    assert decode(mended.data, Assignment) == decode(handed.data, Assignment)


async def test_two_dispatchers_publish_one() -> None:
    centre = Centre()
    await centre.queued(assigned=False)
    one, other = watch(centre), watch(centre)
    await one.look()
    await other.look()
    centre.log.meanwhile = other.look
    await one.look()
    assert centre.assignments() == 1


async def test_a_slow_dispatcher_that_publishes_after_all_adds_none() -> None:
    centre = Centre()
    await centre.queued(assigned=False)
    await looked_twice(watch(centre))
    other = Centre()
    await other.queued()
    message = other.log.messages[-1]
    await centre.log.append(message.subject, message.data, msg_id="p.e1.1.1")
    assert centre.assignments() == 1


async def test_an_assignment_that_waits_is_left_alone_and_looked_for_once() -> None:
    centre = Centre()
    for number in range(200):
        await centre.queued(f"e{number}")
    watching = watch(centre)
    await watching.look()
    assert centre.log.reads == 0
    for _ in range(5):
        await watching.look()
    assert centre.log.reads == 200
    assert sum(centre.assignments(f"e{number}") for number in range(200)) == 200


async def test_what_was_claimed_and_acknowledged_is_not_published_though_that_was_not_heard_of() -> None:
    centre = Centre()
    await centre.queued()
    live = centre.live()
    live.lag()
    await centre.claimed()
    await centre.ended()
    await centre.log.purge("", "rb.p.tag.linux.job.>")
    centre.log.forget_message_ids()
    centre.log.meanwhile = nothing_is_published
    await looked_twice(watch(centre, live))
    assert centre.assignments() == 0


async def test_what_is_claimed_while_it_is_published_stays_with_its_runner() -> None:
    centre = Centre()
    await centre.queued(assigned=False)
    live = centre.live()
    live.lag()
    watching = watch(centre, live)
    await watching.look()
    centre.log.meanwhile = centre.claimed
    await watching.look()
    assert centre.assignments() == 1, "its runner acknowledges it"


async def nothing_is_published() -> None:
    raise AssertionError("something is published")


async def test_an_assignment_that_was_removed_is_looked_for_until_its_id_is_forgotten() -> None:
    """Within the stream's window the id of a removed message is known: the publish is dropped, and tried again."""
    centre = Centre()
    await centre.queued()
    await centre.log.purge("", "rb.p.tag.linux.job.>")
    watching = watch(centre)
    await looked_twice(watching)
    assert centre.assignments() == 0
    centre.log.forget_message_ids()
    await watching.look()
    assert centre.assignments() == 1
    await watching.look()
    reads = centre.log.reads
    await watching.look()
    assert centre.log.reads == reads, "found, and settled"


async def test_what_ends_while_it_is_published_leaves_nothing_in_the_queue() -> None:
    centre = Centre()
    view = await centre.queued(assigned=False)
    live = centre.live()
    live.lag()
    watching = watch(centre, live)
    await watching.look()

    async def end() -> None:
        await centre.ending().end_aborted(view)

    centre.log.meanwhile = end
    await watching.look()
    assert centre.view().state is ExecutionState.ABORTED
    assert centre.assignments() == 0


async def test_what_is_past_its_deadline_is_left_to_end() -> None:
    centre = Centre()
    await centre.queued(assigned=False, deadline_at=datetime.now(UTC) - timedelta(seconds=1))
    await looked_twice(watch(centre))
    assert centre.assignments() == 0


async def test_an_abort_whose_dispatcher_died_is_carried_out_instead() -> None:
    centre = Centre()
    await centre.queued()
    asked = AbortRequested(execution="e1", project="p", at=datetime.now(UTC), user="bob")
    await centre.log.append(SUBJECTS.event("p", "e1", "0", "dispatcher"), encode(asked))
    await looked_twice(watch(centre))
    assert (centre.view().state, centre.assignments()) == (ExecutionState.ABORTED, 0)


async def test_one_that_cannot_be_read_keeps_nobody_from_the_others() -> None:
    centre = Centre()
    for number in range(100):
        await centre.queued(f"e{number}", assigned=False)
    live = centre.live()
    live.lag()
    first = centre.log.messages[0]
    centre.log.messages[0] = msgspec.structs.replace(first, data=b"{}")
    await looked_twice(watch(centre, live))
    assert [centre.assignments(f"e{number}") for number in range(100)] == [0] + [1] * 99


async def test_what_the_bus_refuses_is_done_in_a_later_round() -> None:
    centre = Centre()
    await centre.queued(assigned=False)
    watching = watch(centre)
    await watching.look()
    centre.log.refuse = 1
    with pytest.raises(RunbusError):
        await watching.look()
    await watching.look()
    assert centre.assignments() == 1
