"""A dispatcher's view of the world, in memory: the event log with scripted runners and registry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import msgspec

from bus.connection import Bus, Condition, StoredMessage
from domain import execution as fold
from schemas import catalog
from schemas.api import Done, ExecutionView, MatchReply, Pong, RunnerList
from schemas.catalog import Endpoint
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import AssignmentFinished, AssignmentStarted, Event, ExecutionPhase, ExecutionQueued, Part
from schemas.jobs import Step
from schemas.runners import RunnerRecord, RunnerView
from schemas.states import FINAL, ExecutionState, RunnerStatus
from schemas.subjects import Subjects
from services.dispatcher.assignments import Assignments
from services.dispatcher.ending import Ending
from services.dispatcher.fleet import Fleet
from services.dispatcher.live import LiveExecutions
from tests.support.eventlog import FakeEventLog, matches

SUBJECTS = Subjects()
RequestT = TypeVar("RequestT", bound=msgspec.Struct)
ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)
Answer = Callable[[Any], msgspec.Struct]


class ScriptedBus(FakeEventLog):
    """The event log, with endpoints that answer what the test says; nobody listens on the others.

    ``meanwhile`` happens once, right before the next append: what another does between a look and a decision.
    """

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Answer] = {}
        self.calls: list[tuple[str, Any]] = []
        self.reads = 0
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    def answer(self, endpoint: Endpoint[Any, Any], answer: Answer, *, runner: str = "") -> None:
        self.answers[endpoint.subject(SUBJECTS, runner)] = answer

    async def call(
        self,
        subjects: Subjects,
        endpoint: Endpoint[RequestT, ReplyT],
        request: RequestT,
        *,
        runner: str = "",
        timeout_s: float = 5.0,  # noqa: ARG002  (nothing here takes time)
    ) -> ReplyT:
        subject = endpoint.subject(subjects, runner)
        self.calls.append((subject, request))
        if subject not in self.answers:
            raise silent("nobody listens")
        return cast("ReplyT", self.answers[subject](request))

    async def append(
        self,
        subject: str,
        data: bytes,
        *,
        msg_id: str = "",
        condition: Condition | None = None,
        timeout_s: float = 5.0,
    ) -> int:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return await super().append(subject, data, msg_id=msg_id, condition=condition, timeout_s=timeout_s)

    async def last_message(self, stream: str, subject: str) -> StoredMessage | None:
        self.reads += 1
        return await super().last_message(stream, subject)


class FoldedLive:
    """Hears of everything at once, unless it is told to lag: then it still says what it said last."""

    def __init__(self, log: FakeEventLog) -> None:
        self._log = log
        self._lagging: list[ExecutionView] | None = None

    def lag(self) -> None:
        self._lagging = list(self.views())

    def views(self) -> Iterable[ExecutionView]:
        if self._lagging is not None:
            return self._lagging
        views: dict[str, ExecutionView] = {}
        for message in self._log.messages:
            if ".exec." in message.subject:
                event: Event = decode(message.data, Event)  # type: ignore[arg-type]
                views[event.execution] = fold.apply(views.get(event.execution) or fold.begin(event), event)
        return views.values()

    def unfinished(self) -> list[ExecutionView]:
        return [view for view in self.views() if view.state not in FINAL]

    def known(self, _project: str, name: str) -> ExecutionView | None:
        return next((view for view in self.unfinished() if view.id == name), None)

    async def get(self, _project: str, name: str) -> ExecutionView | None:
        return next((view for view in self.views() if view.id == name), None)


class Centre:
    """What tests of a dispatcher's decisions are told in."""

    def __init__(self) -> None:
        self.log = ScriptedBus()
        self.bus = cast("Bus", self.log)
        self.log.answer(catalog.MATCH, lambda _request: MatchReply(runners=[], borne_by_none=["linux"]))

    def live(self) -> FoldedLive:
        return FoldedLive(self.log)

    def ending(self, live: FoldedLive | None = None) -> Ending:
        """The endings of one more dispatcher."""
        return Ending(self.bus, SUBJECTS, cast("LiveExecutions", live or self.live()), Fleet(self.bus, SUBJECTS))

    async def queued(self, name: str = "e1", *, assigned: bool = True, **fields: Any) -> ExecutionView:
        queued = ExecutionQueued(
            execution=name, project="p", at=datetime.now(UTC), title="a test", steps=[Step(plugin="command")],
            set="linux", **fields,
        )  # fmt: skip
        await self.log.append(SUBJECTS.event("p", name, "0", "dispatcher"), encode(queued))
        if assigned:
            await Assignments(self.bus, SUBJECTS).publish(queued)
        return self.view(name)

    async def phase(self, *parts: Part, name: str = "e1") -> ExecutionView:
        """A dispatcher says what an execution of several assignments goes on with."""
        said = ExecutionPhase(execution=name, project="p", at=datetime.now(UTC), phase=1, parts=list(parts))
        await self.log.append(SUBJECTS.event("p", name, "0", "dispatcher"), encode(said))
        return self.view(name)

    async def claimed(
        self, name: str = "e1", *, runner: str = "a1", instance: str = "i1", assignment: str = "1"
    ) -> ExecutionView:
        started = AssignmentStarted(
            execution=name, assignment=assignment, project="p", attempt=1, at=datetime.now(UTC), runner=runner,
            instance=instance,
        )  # fmt: skip
        await self._event(started, runner, after_seq=0)
        return self.view(name)

    async def ended(
        self,
        name: str = "e1",
        *,
        runner: str = "a1",
        assignment: str = "1",
        state: ExecutionState = ExecutionState.SUCCEEDED,
        **fields: Any,
    ) -> ExecutionView:
        """Its runner reports how it ended: well, unless the test says otherwise."""
        last = await FakeEventLog.last_message(self.log, "", SUBJECTS.events_of_assignment("p", name, assignment))
        finished = AssignmentFinished(
            execution=name, assignment=assignment, project="p", attempt=1, at=datetime.now(UTC), runner=runner,
            state=state, **fields,
        )  # fmt: skip
        await self._event(finished, runner, after_seq=last.seq if last else 0)
        return self.view(name)

    async def _event(self, event: AssignmentStarted | AssignmentFinished, author: str, *, after_seq: int) -> None:
        names = "p", event.execution, event.assignment
        condition = Condition(SUBJECTS.events_of_assignment(*names), after_seq)
        await self.log.append(SUBJECTS.event(*names, author), encode(event), condition=condition)

    def view(self, name: str = "e1") -> ExecutionView:
        """An execution as all events tell it."""
        return next(view for view in FoldedLive(self.log).views() if view.id == name)

    def assignments(self, name: str = "e1") -> int:
        """How many messages of it are in the queue."""
        subject = f"rb.p.tag.linux.job.{name}.1"
        return sum(matches(subject, message.subject) for message in self.log.messages)

    def ends(self, name: str = "e1") -> list[str]:
        """Who published an end of it."""
        stored = [message for message in self.log.messages if f".exec.{name}.1." in message.subject]
        return [each.subject.rsplit(".", 1)[1] for each in stored if b"assignment_finished" in each.data]

    def asked(self, endpoint: Endpoint[Any, Any], *, runner: str = "") -> list[Any]:
        """The requests to an endpoint."""
        subject = endpoint.subject(SUBJECTS, runner)
        return [request for called, request in self.log.calls if called == subject]

    def runner_obeys(self, name: str = "a1", *, found: bool = True) -> None:
        self.log.answer(catalog.RUNNER_ABORT, lambda _request: Done(found=found), runner=name)

    def runner_answers(self, name: str = "a1", instance: str = "i1") -> None:
        pong = Pong(
            runner=name, instance=instance, version="1", running=1, max_running=2, uptime_s=1.0, bound_sets=[]
        )
        self.log.answer(catalog.PING, lambda _request: pong, runner=name)

    def registry_says(self, *runners: RunnerView) -> None:
        self.log.answer(catalog.RUNNER_LIST, lambda _request: RunnerList(runners=list(runners)))


def silent(reason: str) -> RunbusError:
    """What a call raises that nobody answers."""
    return RunbusError(ErrorCode.UNAVAILABLE, f"{reason}, says the test", details={"reason": reason})


def runner_view(status: RunnerStatus = RunnerStatus.HEALTHY, *, name: str = "a1", instance: str = "i1") -> RunnerView:
    return RunnerView(
        id=name, status=status, tags=["linux"], projects=["p"], local=False, description="", version="1",
        instance=instance, plugins=[], running=0, max_running=2, uptime_s=1.0, created_at=None, last_seen_at=None,
    )  # fmt: skip


def record_of(**instances: str) -> Callable[[str], Awaitable[tuple[RunnerRecord, int] | None]]:
    """A bucket of records, by runner and instance."""

    async def read(name: str) -> tuple[RunnerRecord, int] | None:
        return (RunnerRecord(id=name, instance=instances[name]), 1) if name in instances else None

    return read
