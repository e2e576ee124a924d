"""The life of a fire in a dispatcher, top to bottom: due, checked, run or recorded as missed, the next one held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from bus.connection import Bus
from bus.lifecycle import Background, StopSignal
from bus.pull import Delivery
from bus.schedules import HeldMessages, ensure_schedules
from bus.streams import ensure_consumer
from domain.schedule import fire_id
from domain.schedule.plan import Due, due_from
from schemas.api import ExecutionView, RunRequest
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import JobDefinition
from schemas.schedules import Fire
from schemas.subjects import Subjects
from schemas.tokens import identifier
from services.dispatcher.jobs import JobStore
from services.dispatcher.schedule_intake import DueIntake
from services.dispatcher.schedule_keeper import ScheduleKeeper
from services.dispatcher.schedule_records import EXECUTION_TYPE, USER, FireRecords

Accept = Callable[[RunRequest, str], Awaitable[ExecutionView]]

LEASE_S: Final = 10.0
"""A fire in the hands of a dispatcher that dies is given to another after this."""

log = structlog.get_logger("dispatcher")


async def make_schedules_stream(bus: Bus, subjects: Subjects, *, replicas: int, ack_wait_s: float) -> None:
    """The stream and its consumer, made by whichever dispatcher is first."""
    held, due = f"{subjects.prefix}.*.schedule.*.*", f"{subjects.prefix}.*.due.*.*"
    await ensure_schedules(bus, subjects.schedules_stream, (held, due), replicas=replicas)
    await ensure_consumer(
        bus, subjects.schedules_stream, subjects.schedules_consumer, due, ack_wait_s=min(ack_wait_s, LEASE_S)
    )


class Schedules:
    """Takes what is due from the stream, shared with the other dispatchers.

    A fire is acknowledged once its run is accepted or recorded and the job's next fire is held. Whoever gets it
    again finds the next one held, or does the same again: the execution's id is that of the fire.
    """

    def __init__(  # noqa: PLR0913 (the composition root hands every part over once)
        self,
        bus: Bus,
        subjects: Subjects,
        *,
        jobs: JobStore,
        accept: Accept,
        zone: str,
        grace_s: float,
        ack_wait_s: float = LEASE_S,
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._jobs = jobs
        self._accept = accept
        self._grace_s = grace_s
        self._renew_s = min(ack_wait_s, LEASE_S) / 3
        self._held = HeldMessages(bus, subjects.schedules_stream)
        self._keeper = ScheduleKeeper(self._held, subjects, jobs, zone=zone)
        self._records = FireRecords(bus, subjects)
        self._intake = DueIntake(bus, subjects.schedules_stream, subjects.schedules_consumer, self._take)

    async def run(self) -> None:
        """Keep the held fires in step with the jobs, and take what is due, until cancelled."""
        async with Background(self._keeper.run(), self._intake.run()) as both:
            await both.until(StopSignal())

    async def close(self) -> None:
        """Take no more, and finish what is in hand."""
        await self._intake.close()

    async def delay_request(self, request: RunRequest, at: datetime) -> None:
        """Have a request delivered at ``at`` or soon after, though every dispatcher may be down by then.

        It needs an ``id``: asked for twice, it is one request, at the later call's time, and one execution. Raises
        ``invalid_message`` without one, ``unavailable`` where it is not stored.
        """
        if not request.id:
            raise RunbusError(ErrorCode.INVALID_MESSAGE, "a delayed request needs an id: its execution's.")
        names = identifier("project", request.project), identifier("execution id", request.id)
        await self._held.hold(
            self._subjects.request_schedule(*names), encode(request), at=at, target=self._subjects.due_request(*names)
        )

    async def _take(self, delivery: Delivery) -> None:
        """Deal with what is due. Raises ``unavailable``: it is then delivered again."""
        kind = delivery.subject.split(".")[3]
        async with self._lease(delivery):
            if kind == "job":
                await self._take_fire(delivery)
            else:
                await self._hand_on(delivery)

    async def _hand_on(self, delivery: Delivery) -> None:
        """A delayed request becomes one like any other: it is accepted, or refused as an execution that failed."""
        project, execution = delivery.subject.split(".")[1], delivery.subject.split(".")[4]
        await self._bus.append(
            self._subjects.request(project), delivery.data, msg_id=f"delayed.{project}.{execution}.{delivery.seq}"
        )
        await delivery.ack()

    async def _take_fire(self, delivery: Delivery) -> None:
        fire = decode(delivery.data, Fire)
        job = await self._jobs.current(fire.project, fire.job)
        plan = self._keeper.plan(job)
        if job is None or plan is None or plan.digest != fire.digest:
            await delivery.ack()
            await self._keeper.refresh(fire.project, fire.job, done_seq=delivery.seq)
            return
        if not await self._keeper.superseded(fire):
            due = due_from(plan, fire.at, now=datetime.now(UTC), grace=timedelta(seconds=self._grace_s))
            await self._settle(job, due)
            await self._keeper.go_on(fire, plan, due.last)
        await delivery.ack()

    async def _settle(self, job: JobDefinition, due: Due) -> None:
        """Record what was missed, and run what was not."""
        for at in due.missed:
            await self._records.missed(job, at, grace_s=self._grace_s)
        if due.first_of_more is not None:
            await self._records.missed(job, due.first_of_more, grace_s=self._grace_s, more=due.more_missed - 1)
        for at in due.run:
            await self._run(job, at)

    async def _run(self, job: JobDefinition, at: datetime) -> None:
        """Start the run of a fire, which has the id of the fire: a second time it is the same execution.

        Where the job is running and may run but once, that is logged and no more, as in the original.
        """
        execution = fire_id(job.uuid, at)
        request = RunRequest(
            project=job.project, job=job.uuid, id=execution, user=USER, execution_type=EXECUTION_TYPE
        )  # fmt: skip
        try:
            await self._accept(request, execution)
        except RunbusError as error:
            if error.code in (ErrorCode.UNAVAILABLE, ErrorCode.BUSY):
                raise
            if error.code in (ErrorCode.ALREADY_EXISTS, ErrorCode.ALREADY_RUNNING):
                log.warning("schedule.skipped", job=job.ref.path, execution=execution, reason=error.message)
            else:
                await self._records.refused(job, at, error)
        else:
            log.info("schedule.fired", job=job.ref.path, execution=execution, late_s=_since_s(at))

    @asynccontextmanager
    async def _lease(self, delivery: Delivery) -> AsyncIterator[None]:
        """Keep a delivery from being given to another while it is dealt with."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(self._renew_s)
                await delivery.extend()

        async with Background(renew()):
            yield


def _since_s(at: datetime) -> float:
    return round((datetime.now(UTC) - at).total_seconds(), 3)
