"""Runs that failed and are to be run again: each is another execution, begun once, whoever notices."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import structlog

from bus.connection import Bus
from bus.presence import nobody_listens, not_asked, unanswered
from schemas import catalog
from schemas.api import ExecutionListRequest, ExecutionPage, ExecutionView, RunRequest, SecretsRequest, WhenNoRunner
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import Event, ExecutionQueued, RetryOf
from schemas.states import ExecutionState
from schemas.subjects import WHOLE_EXECUTION, Subjects
from services.dispatcher.accept import Acceptance
from services.dispatcher.refusals import how_queued, is_unfinished_refusal, record_refused_retry
from services.dispatcher.secrets import SecretKeeper

LOOK_BACK: Final = timedelta(days=1)
"""How long ago a run may have failed that nobody has seen to, because no dispatcher ran."""
_RAN_AT_MOST: Final = timedelta(days=7)
_PAGE: Final = 500
_ID_CHARS: Final = 57
_LATER_S: Final = 1.0
HOLDER_FIRST_S: Final = 5.0
"""How long after its time a retry is left to the dispatcher that has its secure values."""
ANSWER_WITHIN_S: Final = 5.0
"""How long one question to that dispatcher may go unanswered."""
_SILENT_TIMES: Final = 3
"""How many questions in a row it may leave unanswered until it is taken for gone."""

DelayRequest: TypeAlias = Callable[[RunRequest, datetime], Awaitable[None]]
ListExecutions: TypeAlias = Callable[[ExecutionListRequest], Awaitable[ExecutionPage]]

log = structlog.get_logger("dispatcher")


class Retries:
    """Begins the next attempt of what ended as ``failed-with-retry`` ("Retry, limits").

    The attempt's id follows from the first one's, so that any number of dispatchers begin one execution. It is a
    durable request, with a delay one that rests on the bus until its time. With secure values it rests in the memory
    of the dispatcher that has them; where that one is gone, another says that the retry cannot be.
    """

    def __init__(
        self,
        bus: Bus,
        subjects: Subjects,
        *,
        acceptance: Acceptance,
        keeper: SecretKeeper,
        delay_request: DelayRequest,
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._acceptance = acceptance
        self._keeper = keeper
        self._delay_request = delay_request
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, view: ExecutionView) -> None:
        """An execution has ended: begin its retry, then let its secure values go."""
        task = asyncio.ensure_future(self._settle(view))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def catch_up(self, list_executions: ListExecutions) -> None:
        """See to what failed while no dispatcher ran; then wait to be cancelled."""
        now = datetime.now(UTC)
        cursor = ""
        while True:
            request = ExecutionListRequest(
                states=[ExecutionState.FAILED_WITH_RETRY], since=now - LOOK_BACK - _RAN_AT_MOST, limit=_PAGE,
                cursor=cursor,
            )  # fmt: skip
            page = await list_executions(request)
            for view in page.executions:
                if view.finished_at is not None and view.finished_at >= now - LOOK_BACK:
                    self.take(view)
            cursor = page.next_cursor
            if not cursor:
                break
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Let go of what waits; what has no secure values is on the bus."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _settle(self, view: ExecutionView) -> None:
        try:
            if view.state is ExecutionState.FAILED_WITH_RETRY:
                await self._insist(view)
        finally:
            self._keeper.forget(view.project, view.id)

    async def _insist(self, view: ExecutionView) -> None:
        """Begin the retry, however long the bus is away."""
        while True:
            try:
                await self._begin(view)
            except RunbusError as error:
                if error.code not in (ErrorCode.UNAVAILABLE, ErrorCode.BUSY):
                    log.warning("retry.not_begun", execution=view.id, code=error.code, error=error.message)
                    return
                log.warning("retry.later", execution=view.id, reason=error.message)
                await asyncio.sleep(_LATER_S)
            else:
                return

    async def _begin(self, view: ExecutionView) -> None:
        queued = await how_queued(self._bus, self._subjects, (view.project, view.id))
        if queued is None or queued.retry is None or queued.job is None:
            return
        at = (view.finished_at or datetime.now(UTC)) + timedelta(seconds=queued.retry.delay_s)
        request = self._request(queued, queued.retry, at)
        if await self._is_there(request):
            return
        refusal: RunbusError | None = None
        if not queued.secrets_at:
            await self._submit(request, at)
        elif self._keeper.held(queued.project, queued.execution) is not None:
            await _until(at)
            refusal = await self._accept(request)
        else:
            refusal = await self._leave_to_holder(request, queued.secrets_at, at)
        if refusal is None:
            log.info("execution.retried", execution=view.id, next=request.id)
        else:
            await self._refuse(queued, request, refusal)

    async def _submit(self, request: RunRequest, at: datetime) -> None:
        """Every dispatcher does so; the bus keeps one message, and a second would be the same execution."""
        if at > datetime.now(UTC):
            await self._delay_request(request, at)
            return
        msg_id = f"retry.{request.project}.{request.id}"
        await self._bus.append(self._subjects.request(request.project), encode(request), msg_id=msg_id)

    async def _accept(self, request: RunRequest) -> RunbusError | None:
        """Begin it; why that is refused, where it is."""
        try:
            await self._acceptance.accept(request, request.id)
        except RunbusError as error:
            if error.code in (ErrorCode.UNAVAILABLE, ErrorCode.BUSY):
                raise
            return error
        return None

    async def _leave_to_holder(self, request: RunRequest, holder: str, at: datetime) -> RunbusError | None:
        """The dispatcher that has the secure values begins it; why nobody can, where that one is gone."""
        await _until(at + timedelta(seconds=HOLDER_FIRST_S))
        while await self._answers(request, holder):
            if await self._is_there(request):
                return None
            await asyncio.sleep(HOLDER_FIRST_S)
        if await self._is_there(request):
            return None
        return RunbusError(
            ErrorCode.UNAVAILABLE,
            "the secure option values of this retry were held in the memory of the dispatcher that accepted the run, "
            "and that one does not answer any more: run the job again.",
            details={"dispatcher": holder},
        )

    async def _refuse(self, before: ExecutionQueued, request: RunRequest, refusal: RunbusError) -> None:
        """Tell of it as an execution of the job that failed, with its number among the attempts."""
        retry = request.retry or RetryOf()
        key = request.project, request.id
        await record_refused_retry(self._bus, self._subjects, before, retry, key, refusal)
        log.warning("retry.refused", execution=before.execution, next=request.id, reason=refusal.message)

    async def _answers(self, request: RunRequest, holder: str) -> bool:
        """Whether the dispatcher is there: it refuses a question for values that nobody has claimed.

        One that says nothing is asked again: it may stand still for a moment, or be gone without the server being
        able to say so. Raises ``unavailable`` where it could not be asked.
        """
        question = SecretsRequest(
            project=request.project, execution=request.id, assignment=WHOLE_EXECUTION, runner="", instance=""
        )
        for _ in range(_SILENT_TIMES):
            try:
                await self._bus.call(
                    self._subjects, catalog.SECRETS, question, runner=holder, timeout_s=ANSWER_WITHIN_S
                )
            except RunbusError as error:
                if nobody_listens(error):
                    return False
                if unanswered(error):
                    continue
                if not_asked(error):
                    raise
            return True
        return False

    def _request(self, queued: ExecutionQueued, retry: RetryOf, at: datetime) -> RunRequest:
        initial = retry.initial or queued.execution
        attempt = retry.attempt + 1
        options: dict[str, str | list[str]] = {
            name: value for name, value in queued.context.get("option", {}).items() if not name.endswith(".delimiter")
        }
        held = self._keeper.held(queued.project, queued.execution)
        if held is not None:
            options |= {**held.exposed, **held.private}
        return RunRequest(
            project=queued.project,
            id=retry_id(initial, attempt),
            job=queued.job.uuid if queued.job else "",
            runner=queued.runner,
            nodes=queued.nodes,
            options=options,
            user=queued.user,
            timeout_s=queued.timeout_s,
            deadline_s=(queued.deadline_at - at).total_seconds() if queued.deadline_at else None,
            when_no_runner=WhenNoRunner.WAIT if queued.wait_for_runner else WhenNoRunner.FAIL,
            retry=RetryOf(attempt=attempt, initial=initial, previous=queued.execution),
            execution_type=queued.execution_type,
        )

    async def _is_there(self, request: RunRequest) -> bool:
        """Whether it was begun, or refused to the end."""
        subject = self._subjects.events_of_execution(request.project, request.id)
        last = await self._bus.last_message(self._subjects.events_stream, subject)
        return last is not None and not is_unfinished_refusal(decode(last.data, Event))  # type: ignore[arg-type]


def retry_id(initial: str, attempt: int) -> str:
    """The id of a retry: that of the first run, shortened where it is very long, and the number of the attempt."""
    if len(initial) > _ID_CHARS:
        digest = hashlib.sha256(initial.encode()).hexdigest()[:12]
        initial = f"{initial[: _ID_CHARS - 13]}-{digest}"
    return f"{initial}-r{attempt}"


async def _until(at: datetime) -> None:
    await asyncio.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds()))
