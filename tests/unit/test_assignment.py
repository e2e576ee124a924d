"""The life of an assignment on a runner, over the fake event log: who may start a process, and what is reported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from bus.connection import Condition
from bus.sealing import SealingKey
from domain.context.masking import Masker
from runbus.plugin import StepContext, StepResult
from schemas.codec import decode, encode
from schemas.errors import ErrorCode
from schemas.events import Assignment, AssignmentFinished, AssignmentStarted, Event, LogChunk
from schemas.jobs import Step
from schemas.states import ExecutionState
from schemas.subjects import Subjects
from services.runner import assignment as life
from services.runner import report
from services.runner.inventory import PluginInventory
from services.runner.process import GroupFile
from services.runner.scope import own_node
from services.runner.slots import Slots
from services.runner.workdir import WorkDirs
from services.runner.workplace import Workplace
from tests.support.eventlog import FakeEventLog
from tests.support.keydirs import own_keys

ASSIGNMENT = Assignment(
    execution="e1", assignment="1", project="p", attempt=1, steps=[Step(plugin="spy")], title="a test"
)
SUBJECT = "rb.p.tag.linux.job.e1.1"
NAMES = ("p", "e1", "1")
SUBJECTS = Subjects()


class Delivery:
    """A delivered message that remembers what was answered."""

    def __init__(self, data: bytes = encode(ASSIGNMENT), subject: str = SUBJECT, deliveries: int = 1) -> None:
        self.data = data
        self.subject = subject
        self.deliveries = deliveries
        self.answers: list[str] = []

    async def ack(self) -> None:
        self.answers.append("ack")

    async def nak(self, *, delay_s: float = 0.0) -> None:
        self.answers.append("nak at once" if delay_s == 0 else "nak")

    async def terminate(self) -> None:
        self.answers.append("terminate")

    async def extend(self) -> None:
        self.answers.append("extend")


class Nothing(msgspec.Struct):
    """No configuration."""


class Spy:
    """A plugin that counts its runs, and does what the test says meanwhile."""

    version: ClassVar[str] = "1"
    config_type: ClassVar[type[Nothing]] = Nothing
    runs: ClassVar[int] = 0
    meanwhile: ClassVar[Callable[[], Any] | None] = None

    async def run(self, _config: Nothing, _context: StepContext) -> StepResult:
        Spy.runs += 1
        if Spy.meanwhile is not None:
            await Spy.meanwhile()
        return StepResult()


class Inventory(PluginInventory):
    """Knows the spy only."""

    def __init__(self) -> None:
        super().__init__("a1", [])
        self._steps["spy"] = Spy


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(report, "_RETRY_S", 0.0)
    Spy.runs, Spy.meanwhile = 0, None
    yield
    Spy.meanwhile = None


@pytest.fixture
def log() -> FakeEventLog:
    return FakeEventLog()


def workplace(log: FakeEventLog, tmp_path: Path, *, runner: str = "a1", instance: str = "i1") -> Workplace:
    fake: Any = log
    return Workplace(
        bus=fake, subjects=SUBJECTS, runner=runner, instance=instance, sealing=SealingKey.make(),
        keys=own_keys(None, runner), plugins=Inventory(), slots=Slots(4),
        work_dirs=WorkDirs(str(tmp_path)), groups=GroupFile.open(tmp_path / "groups"), env={}, env_secrets=[],
        masker=Masker([]), own_node=own_node(runner, []), grace_s=0.1,
    )  # fmt: skip


async def carry_out(at: Workplace, **fields: Any) -> list[str]:
    delivery = Delivery(**fields)
    given: Any = delivery
    await life.carry_out(given, at)
    return delivery.answers


def started(runner: str, instance: str) -> AssignmentStarted:
    return AssignmentStarted(
        execution="e1", assignment="1", project="p", attempt=1, at=datetime.now(UTC), runner=runner, instance=instance
    )


async def append(log: FakeEventLog, author: str, event: Event, after: int) -> int:
    condition = Condition(SUBJECTS.events_of_assignment(*NAMES), after)
    return await log.append(SUBJECTS.event(*NAMES, author), encode(event), condition=condition)


def events(log: FakeEventLog) -> list[Event]:
    found = (decode(each.data, Event | LogChunk) for each in log.messages)  # type: ignore[arg-type]
    return [each for each in found if not isinstance(each, LogChunk)]


def told(log: FakeEventLog) -> list[tuple[str, str]]:
    """Author and kind or state of each event."""
    return [
        (each.subject.rsplit(".", 1)[1], event.state if isinstance(event, AssignmentFinished) else "started")
        for each, event in zip(log.messages, events(log), strict=True)
    ]


async def test_claimed_carried_out_reported_acknowledged(log: FakeEventLog, tmp_path: Path) -> None:
    assert await carry_out(workplace(log, tmp_path)) == ["ack"]
    assert told(log) == [("a1", "started"), ("a1", "succeeded")]
    assert Spy.runs == 1


async def test_of_many_runners_one_starts(log: FakeEventLog, tmp_path: Path) -> None:
    places = [workplace(log, tmp_path, runner=f"r{number}", instance=f"i{number}") for number in range(20)]
    await asyncio.gather(*(carry_out(at) for at in places))
    assert Spy.runs == 1
    assert len(log.messages) == 2


async def test_another_runner_has_it(log: FakeEventLog, tmp_path: Path) -> None:
    await append(log, "b1", started("b1", "other"), 0)
    assert await carry_out(workplace(log, tmp_path)) == ["nak"]
    assert Spy.runs == 0
    assert told(log) == [("b1", "started")]


async def test_it_has_ended(log: FakeEventLog, tmp_path: Path) -> None:
    assert await carry_out(workplace(log, tmp_path)) == ["ack"]
    assert await carry_out(workplace(log, tmp_path, runner="b1", instance="i2")) == ["ack"]
    assert Spy.runs == 1
    assert len(log.messages) == 2


async def test_it_was_ended_while_queued(log: FakeEventLog, tmp_path: Path) -> None:
    ended = AssignmentFinished(
        execution="e1", assignment="1", project="p", attempt=1, at=datetime.now(UTC), state=ExecutionState.ABORTED
    )
    await append(log, "dispatcher", ended, 0)
    assert await carry_out(workplace(log, tmp_path)) == ["ack"]
    assert Spy.runs == 0


async def test_claimed_by_this_runner_before_its_restart_is_lost(log: FakeEventLog, tmp_path: Path) -> None:
    await append(log, "a1", started("a1", "before"), 0)
    assert await carry_out(workplace(log, tmp_path)) == ["ack"]
    assert Spy.runs == 0
    assert told(log) == [("a1", "started"), ("a1", "lost")]
    last = events(log)[-1]
    assert isinstance(last, AssignmentFinished)
    assert last.error is not None
    assert last.error.code is ErrorCode.RUNNER_LOST
    assert "before" in last.error.message


async def test_delivered_again_while_it_runs_here_renews_the_lease(log: FakeEventLog, tmp_path: Path) -> None:
    at = workplace(log, tmp_path)
    again = Delivery(deliveries=2)

    async def deliver_again() -> None:
        given: Any = again
        await life.carry_out(given, at)

    Spy.meanwhile = deliver_again
    assert await carry_out(at) == []
    assert again.answers == ["ack"], "the last delivery is the one that counts"
    assert Spy.runs == 1


async def test_a_claim_whose_acknowledgement_was_lost_is_ours(log: FakeEventLog, tmp_path: Path) -> None:
    log.lose_acks = 1
    assert await carry_out(workplace(log, tmp_path)) == ["ack"]
    assert Spy.runs == 1
    assert told(log) == [("a1", "started"), ("a1", "succeeded")]


async def test_an_end_whose_acknowledgement_was_lost_is_told_once(log: FakeEventLog, tmp_path: Path) -> None:
    async def lose() -> None:
        log.lose_acks = 1

    Spy.meanwhile = lose
    assert await carry_out(workplace(log, tmp_path)) == ["ack"]
    assert told(log) == [("a1", "started"), ("a1", "succeeded")]


async def test_a_claim_lost_on_the_way_to_another_is_not_ours(log: FakeEventLog, tmp_path: Path) -> None:
    """The first try never arrived, and meanwhile somebody else was faster."""
    log.refuse = 1
    at = workplace(log, tmp_path)
    mine = asyncio.ensure_future(carry_out(at))
    await asyncio.sleep(0)
    await append(log, "b1", started("b1", "other"), 0)
    assert await mine == ["nak"]
    assert Spy.runs == 0


async def test_a_bus_that_is_away_is_waited_for(log: FakeEventLog, tmp_path: Path) -> None:
    log.refuse = 5
    assert await carry_out(workplace(log, tmp_path)) == ["ack"]
    assert told(log) == [("a1", "started"), ("a1", "succeeded")]


async def test_superseded_while_it_ran_writes_nothing_more(log: FakeEventLog, tmp_path: Path) -> None:
    async def supersede() -> None:
        ended = AssignmentFinished(
            execution="e1", assignment="1", project="p", attempt=1, at=datetime.now(UTC), state=ExecutionState.LOST
        )
        await append(log, "dispatcher", ended, 1)

    Spy.meanwhile = supersede
    assert await carry_out(workplace(log, tmp_path)) == ["ack"]
    assert told(log) == [("a1", "started"), ("dispatcher", "lost")]


async def test_a_fault_of_the_runner_after_the_claim_still_ends_it(log: FakeEventLog, tmp_path: Path) -> None:
    assert await carry_out(workplace(log, tmp_path / "none")) == ["ack"]
    assert told(log) == [("a1", "started"), ("a1", "failed")]
    last = events(log)[-1]
    assert isinstance(last, AssignmentFinished)
    assert last.error is not None
    assert last.error.code is ErrorCode.UNAVAILABLE


@pytest.mark.parametrize(
    "data",
    [
        b"\xff",
        b"{}",
        encode(msgspec.structs.replace(ASSIGNMENT, steps=[])),
        encode(msgspec.structs.replace(ASSIGNMENT, execution="other")),
        encode(msgspec.structs.replace(ASSIGNMENT, project="*")),
    ],
)
async def test_what_cannot_be_carried_out_is_ended_and_terminated(
    log: FakeEventLog, tmp_path: Path, data: bytes
) -> None:
    assert await carry_out(workplace(log, tmp_path), data=data) == ["terminate"]
    assert told(log) == [("a1", "failed")]
    assert log.messages[0].subject == SUBJECTS.event(*NAMES, "a1")


@pytest.mark.parametrize("subject", ["rb.p.tag.linux.job.e1", "rb.p.tag.linux.job.e1.1.more"])
async def test_a_subject_that_names_no_assignment_is_terminated(
    log: FakeEventLog, tmp_path: Path, subject: str
) -> None:
    assert await carry_out(workplace(log, tmp_path), subject=subject) == ["terminate"]
    assert log.messages == []


async def test_a_plugin_that_is_missing_here_is_left_to_others_for_a_while(log: FakeEventLog, tmp_path: Path) -> None:
    data = encode(msgspec.structs.replace(ASSIGNMENT, steps=[Step(plugin="none")]))
    assert await carry_out(workplace(log, tmp_path), data=data) == ["nak"]
    assert log.messages == []
    assert await carry_out(workplace(log, tmp_path), data=data, deliveries=1000) == ["ack"]
    last = events(log)[-1]
    assert isinstance(last, AssignmentFinished)
    assert last.error is not None
    assert last.error.code is ErrorCode.PLUGIN_NOT_FOUND
