"""Runs that failed and are to be run again: each is another execution, begun once, whoever notices."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from bus.connection import Bus
from schemas.api import ExecutionListRequest, ExecutionPage, ExecutionView, RunRequest
from schemas.codec import decode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import ExecutionQueued, RetryOf
from schemas.states import ExecutionState
from schemas.subjects import AUTHOR_DISPATCHER, WHOLE_EXECUTION, Subjects
from services.dispatcher.accept import Acceptance
from services.dispatcher.secrets import SecretKeeper

_LOOK_BACK_S: Final = 3600.0
"""How old a failure may be that nobody has seen to, because no dispatcher ran."""
_ID_CHARS: Final = 58
_LATER_S: Final = 1.0
_TRIES: Final = 5

DelayRequest = Callable[[RunRequest, datetime], Awaitable[None]]
ListExecutions = Callable[[ExecutionListRequest], Awaitable[ExecutionPage]]

log = structlog.get_logger("dispatcher")


class Retries:
    """Begins the next attempt of what ended as ``failed-with-retry`` ("Retry, limits").

    The attempt's id follows from the first one's, so that any number of dispatchers begin one execution. With a delay
    it rests on the bus until its time; one with secure values rests in the memory of the dispatcher that has them.
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
        since = datetime.now(UTC) - timedelta(seconds=_LOOK_BACK_S)
        request = ExecutionListRequest(states=[ExecutionState.FAILED_WITH_RETRY], since=since, limit=500)
        for view in (await list_executions(request)).executions:
            await self._settle(view)
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Let go of what waits; what has no secure values is on the bus."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _settle(self, view: ExecutionView) -> None:
        if view.state is ExecutionState.FAILED_WITH_RETRY and view.retry is not None and view.job is not None:
            await self._begin_safely(view)
        self._keeper.forget(view.project, view.id)

    async def _begin_safely(self, view: ExecutionView) -> None:
        for _ in range(_TRIES):
            try:
                await self._begin(view)
            except RunbusError as error:
                log.warning("retry.refused", execution=view.id, code=error.code, error=error.message)
                if error.code not in (ErrorCode.UNAVAILABLE, ErrorCode.BUSY, ErrorCode.ALREADY_RUNNING):
                    return
                await asyncio.sleep(_LATER_S)
            else:
                return

    async def _begin(self, view: ExecutionView) -> None:
        queued = await self._queued(view)
        if queued is None or queued.retry is None or queued.job is None:
            return
        if queued.secrets_at and queued.secrets_at != self._keeper.instance:
            return
        request = self._request(queued, queued.retry)
        at = datetime.now(UTC) + timedelta(seconds=queued.retry.delay_s)
        if queued.retry.delay_s and not queued.secrets_at:
            await self._delay_request(request, at)
            return
        await asyncio.sleep(queued.retry.delay_s)
        await self._acceptance.accept(request, request.id)
        log.info("execution.retried", execution=view.id, next=request.id)

    def _request(self, queued: ExecutionQueued, retry: RetryOf) -> RunRequest:
        initial = retry.initial or queued.execution
        attempt = retry.attempt + 1
        options: dict[str, str | list[str]] = {
            name: value
            for name, value in queued.context.get("option", {}).items()
            if not name.endswith(".delimiter")
        }
        held = self._keeper.held(queued.project, queued.execution)
        if held is not None:
            options |= {**held.exposed, **held.private}
        return RunRequest(
            project=queued.project,
            id=f"{initial[:_ID_CHARS]}-r{attempt}",
            job=queued.job.uuid if queued.job else "",
            runner=queued.runner,
            nodes=queued.nodes,
            options=options,
            user=queued.user,
            retry=RetryOf(attempt=attempt, initial=initial, previous=queued.execution),
            execution_type=queued.execution_type,
        )

    async def _queued(self, view: ExecutionView) -> ExecutionQueued | None:
        subject = self._subjects.event(view.project, view.id, WHOLE_EXECUTION, AUTHOR_DISPATCHER)
        first = await self._bus.first_message(self._subjects.events_stream, subject)
        return decode(first.data, ExecutionQueued) if first else None
