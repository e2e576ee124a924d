"""Ending executions from the centre: aborts, deadlines, losses. Every end is conditional: the first one holds."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import structlog

from bus.connection import Bus, Condition, WrongLastSequenceError
from domain.fleet import why_nobody
from schemas import catalog
from schemas.api import AbortRequest, ExecutionView, RunnerAbortRequest
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, ErrorInfo, RunbusError
from schemas.events import AbortRequested, AssignmentFinished, AssignmentStarted, Event
from schemas.states import FINAL, ExecutionState, RunnerStatus
from schemas.subjects import AUTHOR_DISPATCHER, WHOLE_EXECUTION, Subjects
from schemas.tokens import TagSet
from services.dispatcher.assignments import Assignments, Piece, pieces_of
from services.dispatcher.fleet import Fleet
from services.dispatcher.live import Key, LiveExecutions

_RUNNER_WITHIN_S: Final = 5.0
_ASK_TIMES: Final = 10
_ASK_AGAIN_S: Final = 0.2
_LATER_S: Final = 1.0
_RUNNERS_FIRST_S: Final = 2.0
"""A running time is kept by runners; what none has in hand by then is ended here."""

Stored: TypeAlias = tuple[int, Event]
"""An event and its sequence."""

log = structlog.get_logger("dispatcher")


class Ending:
    """Every copy ends what it hears of. What is decided follows the stored events, not what was heard of them."""

    def __init__(self, bus: Bus, subjects: Subjects, live: LiveExecutions, fleet: Fleet) -> None:
        self._bus = bus
        self._subjects = subjects
        self._live = live
        self._fleet = fleet
        self._assignments = Assignments(bus, subjects)
        self._timers: dict[Key, tuple[datetime, asyncio.TimerHandle]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

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
        # what another dispatcher handed out before it heard of this is in the view by now
        view = await self._live.get(request.project, request.execution) or view
        await self._end(view, ExecutionState.ABORTED, aborted_by(request.user, request.reason), user=request.user)

    async def end_aborted(self, view: ExecutionView) -> None:
        """Carry out an abort that was asked for and never was: whoever was asked died."""
        user = view.abort_requested_by or ""
        await self._end(view, ExecutionState.ABORTED, aborted_by(user), user=user)

    async def lose(self, piece: Piece, error: ErrorInfo) -> bool:
        """End what its claimant will not; False if that ended it first, or it is not the claimant's."""
        last = await self._last_event(piece)
        if last is None or not isinstance(last[1], AssignmentStarted) or last[1].instance != piece.instance:
            return False
        return await self._store_end(piece, last, ExecutionState.LOST, error)

    async def end_unclaimed(self, piece: Piece, state: ExecutionState, error: ErrorInfo) -> bool:
        """End what no runner has claimed; False if one has, or it has ended."""
        return await self._store_end(piece, None, state, error)

    def watch_deadline(self, view: ExecutionView) -> None:
        """Set the clock of an execution that has a deadline; called at every change of an unfinished one."""
        key, at = (view.project, view.id), _due_at(view)
        known = self._timers.get(key)
        if at is None or (known is not None and known[0] <= at):
            return
        if known is not None:
            known[1].cancel()
        self._set_timer(key, at)

    def _set_timer(self, key: Key, at: datetime) -> None:
        left_s = max(0.0, (at - datetime.now(UTC)).total_seconds())
        self._timers[key] = at, asyncio.get_running_loop().call_later(left_s, self._deadline_passed, key)

    def _deadline_passed(self, key: Key) -> None:
        del self._timers[key]
        view = self._live.known(*key)
        if view is not None:
            task = asyncio.ensure_future(self._insist_on_deadline(view))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _insist_on_deadline(self, view: ExecutionView) -> None:
        try:
            await self._end_by_deadline(view)
        except RunbusError as error:
            log.warning("deadline.again", execution=view.id, reason=error.message)
            self._set_timer((view.project, view.id), datetime.now(UTC) + timedelta(seconds=_LATER_S))

    async def _end_by_deadline(self, view: ExecutionView) -> None:
        if view.deadline_at is None or view.deadline_at > datetime.now(UTC):
            await self._end(view, ExecutionState.TIMEDOUT, _ran_too_long(view))
            return
        where = "while it ran" if view.state is ExecutionState.RUNNING else f"while queued. {await self._why(view)}"
        error = RunbusError(
            ErrorCode.DEADLINE_EXCEEDED,
            f"the deadline ({view.deadline_at:%Y-%m-%d %H:%M:%S} UTC) passed {where}",
            details={"deadline_at": str(view.deadline_at)},
        )
        await self._end(view, ExecutionState.TIMEDOUT, error.info(AUTHOR_DISPATCHER))

    async def _why(self, view: ExecutionView) -> str:
        tags = TagSet.from_token(view.set)
        try:
            reply = await self._fleet.match(view.project, tags)
        except RunbusError as silent:
            return f"Who could have taken it is not known: {silent.message}"
        if any(runner.status is RunnerStatus.HEALTHY for runner in reply.runners):
            return f"A runner of {tags} is connected and has not taken it."
        if any(runner.status is RunnerStatus.UNHEALTHY for runner in reply.runners):
            return f"Every connected runner of {tags} was full."
        return why_nobody(view.project, tags, reply)

    async def _end(self, view: ExecutionView, state: ExecutionState, error: ErrorInfo, *, user: str = "") -> None:
        """End every assignment that has not ended."""
        await asyncio.gather(*(self._end_piece(piece, state, error, user=user) for piece in pieces_of(view)))

    async def _end_piece(self, piece: Piece, state: ExecutionState, error: ErrorInfo, *, user: str) -> None:
        """Queued: end it here, unless a runner claims it first. Running: have its runner end it."""
        last = await self._last_event(piece)
        if last is None:
            if await self._store_end(piece, None, state, error):
                return
            last = await self._last_event(piece)
        if last is None or not isinstance(last[1], AssignmentStarted):
            return
        request = RunnerAbortRequest(
            execution=piece.execution, project=piece.project, assignment=piece.assignment, state=state, user=user,
            reason=error.message,
        )  # fmt: skip
        runner = last[1].runner
        if refusal := await self._ask_runner(request, piece, runner, claim_seq=last[0]):
            log.warning("abort.not_by_runner", execution=piece.execution, runner=runner, reason=refusal)
            note = f"{error.message} Its runner {runner} {refusal}"
            fenced = ErrorInfo(code=error.code, message=note, error_id=error.error_id, origin=error.origin)
            await self._store_end(piece, last, state, fenced)

    async def _ask_runner(self, request: RunnerAbortRequest, piece: Piece, runner: str, *, claim_seq: int) -> str:
        """Have a runner end what it claimed; why it does not, or nothing.

        One that has just claimed does not know it for a moment; one that was restarted never will.
        """
        for _ in range(_ASK_TIMES):
            try:
                done = await self._bus.call(
                    self._subjects, catalog.RUNNER_ABORT, request, runner=runner, timeout_s=_RUNNER_WITHIN_S
                )
            except RunbusError as silent:
                log.warning("abort.runner_silent", execution=request.execution, runner=runner, error=silent.message)
                return "did not answer; it ends the process when it notices."
            if done.found:
                return ""
            await asyncio.sleep(_ASK_AGAIN_S)
            last = await self._last_event(piece)
            if last is None or last[0] != claim_seq:
                return ""
        return "does not know it any more; what was done by then is not known."

    async def _store_end(self, piece: Piece, last: Stored | None, state: ExecutionState, error: ErrorInfo) -> bool:
        """Publish the end behind ``last`` (None: no runner has claimed it); False if something else came first."""
        seq, event = last or (0, None)
        claim = event if isinstance(event, AssignmentStarted) else None
        names = piece.project, piece.execution, piece.assignment
        now = datetime.now(UTC)
        finished = AssignmentFinished(
            execution=piece.execution, assignment=piece.assignment, project=piece.project, at=now, state=state,
            error=error, attempt=claim.attempt if claim else 1, runner=claim.runner if claim else "",
            duration_s=(now - claim.at).total_seconds() if claim else 0.0,
        )  # fmt: skip
        condition = Condition(self._subjects.events_of_assignment(*names), seq)
        try:
            await self._bus.append(
                self._subjects.event(*names, AUTHOR_DISPATCHER), encode(finished), condition=condition
            )
        except WrongLastSequenceError:
            return False
        log.info(
            "execution.ended", execution=piece.execution, state=state, error=error.message, error_id=error.error_id
        )
        await self._assignments.discard(piece)
        return True

    async def _last_event(self, piece: Piece) -> Stored | None:
        subject = self._subjects.events_of_assignment(piece.project, piece.execution, piece.assignment)
        stored = await self._bus.last_message(self._subjects.events_stream, subject)
        if stored is None:
            return None
        event: Event = decode(stored.data, Event)  # type: ignore[arg-type]
        return stored.seq, event


def _due_at(view: ExecutionView) -> datetime | None:
    """When it is to be ended from here: at its deadline, or when several runners together took too long."""
    if not view.orchestrated or view.timeout_s is None or view.started_at is None:
        return view.deadline_at
    at = view.started_at + timedelta(seconds=view.timeout_s + _RUNNERS_FIRST_S)
    return min(at, view.deadline_at or at)


def _ran_too_long(view: ExecutionView) -> ErrorInfo:
    text = f"it ran longer than its limit of {view.timeout_s:g} s, over all its runners."
    return RunbusError(ErrorCode.TIMEOUT, text, details={"timeout_s": view.timeout_s}).info(AUTHOR_DISPATCHER)


def aborted_by(user: str, reason: str = "") -> ErrorInfo:
    """The error of what someone ended."""
    who = f" by {user}" if user else ""
    why = f": {reason}" if reason else ""
    return RunbusError(ErrorCode.ABORTED, f"aborted{who}{why}.").info(AUTHOR_DISPATCHER)


def unknown_execution(project: str, execution: str) -> RunbusError:
    """The error for an id that is not there."""
    return RunbusError(
        ErrorCode.UNKNOWN_EXECUTION,
        f"project {project} has no execution {execution[:80]!r}. 'runbus execution list --project {project}' "
        "shows the latest.",
        details={"project": project, "execution": execution[:80]},
    )
