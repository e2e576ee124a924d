"""Jobs whose runs must not overlap: one record a job says which executions it has now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from bus.bucket import Bucket, StaleRevisionError
from schemas.api import ExecutionView, RunningRecord, RunningRun
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import JobDefinition
from schemas.states import FINAL

_TRIES: Final = 20
_UNHEARD_S: Final = 10.0
"""How long an execution may be noted and not stored: whoever noted it may be about to, or has died in between."""

GetView = Callable[[str, str], Awaitable[ExecutionView | None]]


class Overlap:
    """Lets a job run once at a time, unless it allows more ("multipleExecutions", "maxMultipleExecutions").

    The record is changed on the condition that it has not changed since it was read: of two dispatchers that begin
    a run at the same moment one meets the other's note. Nothing has to be taken back at the end of a run: what has
    ended does not count.
    """

    def __init__(self, bucket: Bucket[RunningRecord], get_view: GetView) -> None:
        self._bucket = bucket
        self._get_view = get_view

    async def enter(self, job: JobDefinition, execution: str) -> None:
        """Note a run that is about to be stored. Raises ``already_running`` where the job has all it may have."""
        most = job.max_multiple_executions if job.multiple_executions else 1
        if not most or most < 0:
            return
        key = f"{job.project}.{job.uuid}"
        for _ in range(_TRIES):
            found = await self._bucket.get(key)
            record, revision = found or (RunningRecord(), 0)
            running = [run for run in record.runs if await self._counts(job.project, run)]
            if any(run.execution == execution for run in running):
                return
            if len(running) >= most:
                raise _already_running(job, most, running[0].execution)
            noted = RunningRecord(runs=[*running, RunningRun(execution=execution, at=datetime.now(UTC))])
            try:
                await self._bucket.write(key, noted, revision=revision)
            except StaleRevisionError:
                await asyncio.sleep(0)
            else:
                return
        raise RunbusError(ErrorCode.BUSY, f"job {job.ref.path!r} is asked for by too many at a time: try again.")

    async def _counts(self, project: str, run: RunningRun) -> bool:
        view = await self._get_view(project, run.execution)
        if view is None:
            return (datetime.now(UTC) - run.at).total_seconds() < _UNHEARD_S
        return view.state not in FINAL


def _already_running(job: JobDefinition, most: int, execution: str) -> RunbusError:
    allowed = "one run at a time" if most == 1 else f"{most} runs at a time"
    return RunbusError(
        ErrorCode.ALREADY_RUNNING,
        f"job {job.ref.path!r} is running (execution {execution}) and allows {allowed}: wait for its end, abort it, "
        "or set 'multipleExecutions: true' in the job.",
        details={"job": job.uuid, "execution": execution, "most": most},
    )
