"""Ending what no runner will: aborts, deadlines, lost runners. Every end is conditional: the first one holds."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog

from bus.connection import Bus, Condition, Heard, WrongLastSequenceError
from schemas import catalog
from schemas.api import AbortRequest, ExecutionView, RunnerAbortRequest, RunnerListRequest
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, ErrorInfo, RunbusError
from schemas.events import AbortRequested, AssignmentFinished, AssignmentStarted, Event
from schemas.runners import RunnerView
from schemas.states import FINAL, ExecutionState, RunnerStatus
from schemas.subjects import AUTHOR_DISPATCHER, WHOLE_EXECUTION, Subjects
from schemas.tokens import TagSet
from services.dispatcher.accept import FIRST_ASSIGNMENT
from services.dispatcher.fleet import Fleet, why_nobody
from services.dispatcher.live import LiveExecutions

_LOOK_EVERY_S: Final = 10.0
_RUNNER_WITHIN_S: Final = 5.0

log = structlog.get_logger("dispatcher")


class Ending:
    """Ends executions from the centre. Every copy does so for what it hears of; the conditions keep it to one end."""

    def __init__(self, bus: Bus, subjects: Subjects, live: LiveExecutions, fleet: Fleet) -> None:
        self._bus = bus
        self._subjects = subjects
        self._live = live
        self._fleet = fleet
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._look_now = asyncio.Event()

    async def abort(self, request: AbortRequest) -> None:
        """End an execution; returns when it was told to whoever has it. Raises ``already_ended``."""
        view = await self._live.get(request.project, request.execution)
        if view is None:
            raise unknown_execution(request.project, request.execution)
        if view.state in FINAL:
            raise RunbusError(
                ErrorCode.ALREADY_ENDED,
                f"execution {view.id} has ended already: {view.state}.",
                details={"state": view.state},
            )
        await self._bus.append(
            self._subjects.event(view.project, view.id, WHOLE_EXECUTION, AUTHOR_DISPATCHER),
            encode(
                AbortRequested(
                    execution=view.id,
                    project=view.project,
                    at=datetime.now(UTC),
                    user=request.user,
                    reason=request.reason,
                )
            ),
        )
        who = f" by {request.user}" if request.user else ""
        why = f": {request.reason}" if request.reason else ""
        error = RunbusError(ErrorCode.ABORTED, f"aborted{who}{why}.").info(AUTHOR_DISPATCHER)
        await self._end(view, ExecutionState.ABORTED, error, user=request.user)

    def watch_deadline(self, view: ExecutionView) -> None:
        """Set the clock of an execution that has a deadline; called at every change of an unfinished one."""
        key = (view.project, view.id)
        if view.deadline_at is None or key in self._timers:
            return
        left_s = max(0.0, (view.deadline_at - datetime.now(UTC)).total_seconds())
        self._timers[key] = asyncio.get_running_loop().call_later(left_s, self._deadline_passed, key)

    async def take_fleet_change(self, _heard: Heard) -> None:
        """A runner's status changed: look at once whether something was lost with it."""
        self._look_now.set()

    async def watch_runners(self) -> None:
        """End what runs on runners that are Down, or were restarted, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._look_now.wait()
            except TimeoutError:
                log.debug("runners.regular_look")
            self._look_now.clear()
            await self._look()

    async def _look(self) -> None:
        running = [view for view in self._live.unfinished() if view.state is ExecutionState.RUNNING]
        if not running:
            return
        try:
            reply = await self._bus.call(self._subjects, catalog.RUNNER_LIST, RunnerListRequest())
        except RunbusError as silent:
            log.warning("registry.silent", error=silent.message)
            return
        runners = {runner.id: runner for runner in reply.runners}
        for view in running:
            reason = _why_lost(view, runners.get(view.runner))
            if reason:
                error = RunbusError(ErrorCode.RUNNER_LOST, reason, details={"runner": view.runner})
                await self._finish(view, ExecutionState.LOST, error.info(AUTHOR_DISPATCHER))

    def _deadline_passed(self, key: tuple[str, str]) -> None:
        del self._timers[key]
        view = self._live.known(*key)
        if view is not None:
            task = asyncio.ensure_future(self._end_by_deadline(view))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _end_by_deadline(self, view: ExecutionView) -> None:
        where = "while it ran" if view.state is ExecutionState.RUNNING else f"while queued. {await self._why(view)}"
        error = RunbusError(
            ErrorCode.DEADLINE_EXCEEDED,
            f"the deadline ({view.deadline_at:%Y-%m-%d %H:%M:%S} UTC) passed {where}",
            details={"deadline_at": str(view.deadline_at)},
        )
        await self._end(view, ExecutionState.TIMEDOUT, error.info(AUTHOR_DISPATCHER))

    async def _why(self, view: ExecutionView) -> str:
        tags = TagSet.from_token(view.set)
        reply = await self._fleet.match(view.project, tags)
        if any(runner.status is RunnerStatus.HEALTHY for runner in reply.runners):
            return f"A runner of {tags} is connected and has not taken it."
        if any(runner.status is RunnerStatus.UNHEALTHY for runner in reply.runners):
            return f"Every connected runner of {tags} was full."
        return why_nobody(view.project, tags, reply)

    async def _end(self, view: ExecutionView, state: ExecutionState, error: ErrorInfo, *, user: str = "") -> None:
        """Queued: end it here, unless a runner claims it first. Running: have its runner end it."""
        if view.state is ExecutionState.QUEUED and await self._finish(view, state, error):
            return
        claim = await self._last_event(view)
        if claim is None or not isinstance(claim[1], AssignmentStarted):
            return
        request = RunnerAbortRequest(
            execution=view.id, project=view.project, assignment=FIRST_ASSIGNMENT, state=state, user=user,
            reason=error.message,
        )  # fmt: skip
        runner = claim[1].runner
        try:
            await self._bus.call(
                self._subjects, catalog.RUNNER_ABORT, request, runner=runner, timeout_s=_RUNNER_WITHIN_S
            )
        except RunbusError as silent:
            log.warning("abort.runner_silent", execution=view.id, runner=runner, error=silent.message)
            note = f"{error.message} Its runner {runner} did not answer; it ends the process when it notices."
            fenced = ErrorInfo(code=error.code, message=note, error_id=error.error_id, origin=error.origin)
            await self._finish(view, state, fenced)

    async def _finish(self, view: ExecutionView, state: ExecutionState, error: ErrorInfo) -> bool:
        """Publish the end, after what is there now; False if something else happened first."""
        last = await self._last_event(view)
        seq, event = last or (0, None)
        if isinstance(event, AssignmentFinished):
            return False
        if view.state is ExecutionState.QUEUED and event is not None:
            return False
        claim = event if isinstance(event, AssignmentStarted) else None
        names = view.project, view.id, FIRST_ASSIGNMENT
        now = datetime.now(UTC)
        finished = AssignmentFinished(
            execution=view.id, assignment=FIRST_ASSIGNMENT, project=view.project, at=now, state=state, error=error,
            attempt=claim.attempt if claim else 1, runner=claim.runner if claim else "",
            duration_s=(now - claim.at).total_seconds() if claim else 0.0,
        )  # fmt: skip
        condition = Condition(self._subjects.events_of_assignment(*names), seq)
        try:
            await self._bus.append(
                self._subjects.event(*names, AUTHOR_DISPATCHER), encode(finished), condition=condition
            )
        except WrongLastSequenceError:
            return False
        log.info("execution.ended", execution=view.id, state=state, error=error.message, error_id=error.error_id)
        await self._discard_assignment(view)
        return True

    async def _discard_assignment(self, view: ExecutionView) -> None:
        """Nobody need pull what has ended. Where this fails the claim refuses it."""
        subject = self._subjects.job(view.project, TagSet.from_token(view.set), view.id, FIRST_ASSIGNMENT)
        try:
            await self._bus.purge(self._subjects.jobs_stream, subject)
        except RunbusError as error:
            log.info("assignment.not_discarded", execution=view.id, reason=error.message)

    async def _last_event(self, view: ExecutionView) -> tuple[int, Event] | None:
        subject = self._subjects.events_of_assignment(view.project, view.id, FIRST_ASSIGNMENT)
        stored = await self._bus.last_message(self._subjects.events_stream, subject)
        if stored is None:
            return None
        event: Event = decode(stored.data, Event)  # type: ignore[arg-type]
        return stored.seq, event


def _why_lost(view: ExecutionView, runner: RunnerView | None) -> str:
    """Why an execution's runner will not finish it; empty where it may."""
    what = "what was done by then is not known, and it is not run again by itself."
    if runner is None:
        return f"runner {view.runner} was removed while it ran this; {what}"
    if runner.instance != view.instance:
        return f"runner {view.runner} was restarted while it ran this; {what}"
    if runner.status is RunnerStatus.DOWN:
        return f"runner {view.runner} went down while it ran this; {what}"
    return ""


def unknown_execution(project: str, execution: str) -> RunbusError:
    """The error for an id that is not there."""
    return RunbusError(
        ErrorCode.UNKNOWN_EXECUTION,
        f"project {project} has no execution {execution[:80]!r}. 'runbus execution list --project {project}' "
        "shows the latest.",
        details={"project": project, "execution": execution[:80]},
    )
