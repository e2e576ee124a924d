"""Keeps what NATS holds of schedules in step with the jobs: one message a job, its next fire."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog

from bus.connection import StoredMessage, WrongLastSequenceError
from bus.schedules import HeldMessages
from domain.schedule import Plan, plan_of
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import JobDefinition
from schemas.schedules import Fire
from schemas.subjects import Subjects
from services.dispatcher.jobs import JobStore

Key = tuple[str, str]
"""Project and uuid of a job."""

LOOK_EVERY_S: Final = 60.0
_AGAIN_S: Final = 2.0
_AT_ONCE: Final = 32
_TRIES: Final = 5

log = structlog.get_logger("dispatcher")


class ScheduleKeeper:
    """Adds, replaces and removes held fires. Any number of dispatchers may do so at once.

    What holds, for a job whose schedule is in force (it has one, and both switches are on):

    1. Everything before the held fire has been dealt with. So a fire is held only by whoever has dealt with the one
       before it, or where there is none before: no held fire, and none that is due.
    2. Each write is on the condition that the held fire is still the one that was read, and by a definition that is
       no older than that reading. Whoever loses reads again.
    3. A held fire of another schedule (by its digest), or of a job that has none, is replaced or removed.
    """

    def __init__(self, held: HeldMessages, subjects: Subjects, jobs: JobStore, *, zone: str) -> None:
        self._held = held
        self._subjects = subjects
        self._jobs = jobs
        self._zone = zone
        self._noted: set[Key] = set()
        self._wake = asyncio.Event()
        jobs.on_change(self.note)

    def note(self, project: str, uuid: str) -> None:
        """A job may have changed: it is looked at soon."""
        self._noted.add((project, uuid))
        self._wake.set()

    def plan(self, job: JobDefinition | None) -> Plan | None:
        """The plan in force; None, and a line in the log, for one that cannot be read (it was stored by another)."""
        try:
            return plan_of(job, self._zone)
        except RunbusError as error:
            if error.code is not ErrorCode.INVALID_JOB:
                raise
            log.warning("schedule.not_understood", job=job.ref.path if job else "", error=error.message)
            return None

    async def run(self) -> None:
        """Keep them in step until cancelled: at every change, and all of them now and then."""
        await self._jobs.following.caught_up.wait()
        loop = asyncio.get_running_loop()
        next_look_s = 0.0
        while True:
            try:
                if loop.time() >= next_look_s:
                    await self._look(first=not next_look_s)
                    next_look_s = loop.time() + LOOK_EVERY_S
                again = await self._see_to_noted()
            except RunbusError as error:
                log.info("schedules.again", reason=error.message)
                again = True
            try:
                async with asyncio.timeout(_AGAIN_S if again else max(0.1, next_look_s - loop.time())):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _look(self, *, first: bool) -> None:
        """Note what has a plan and no held fire, or the other way round; at first what has either, and no others."""
        pattern = self._subjects.job_schedule("*", "*")
        held = {(tokens[1], tokens[4]) for each in await self._held.subjects(pattern) if (tokens := each.split("."))}
        planned = {(job.project, job.uuid) for job in self._jobs.everything() if self.plan(job) is not None}
        self._noted = held | planned if first else self._noted | (held ^ planned)

    async def _see_to_noted(self) -> bool:
        """Refresh what was noted; whether something has to be looked at again soon."""
        self._wake.clear()
        keys, self._noted = sorted(self._noted), set()
        left = set(keys)
        try:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                settled = await asyncio.gather(*(self.refresh(*key) for key in some))
                left -= {key for key, done in zip(some, settled, strict=True) if done}
        finally:
            self._noted |= left
        return bool(left)

    async def refresh(self, project: str, uuid: str, *, done_seq: int = 0) -> bool:
        """Bring one job's held fire in step; False where that waits for a due fire that is being dealt with.

        A due message up to ``done_seq`` has been dealt with. Raises ``unavailable``.
        """
        subject = self._subjects.job_schedule(project, uuid)
        for _ in range(_TRIES):
            held = await self._held.last(subject)
            if _in_step(self.plan(self._jobs.known(project, uuid)), held):
                return True
            plan = self.plan(await self._jobs.current(project, uuid))
            if _in_step(plan, held):
                return True
            if plan is not None and held is None:
                due = await self._held.last(self._subjects.due_fire(project, uuid))
                if due is not None and due.seq > done_seq and _in_step(plan, due):
                    return False
            if await self._write((project, uuid), plan, held, after=datetime.now(UTC)):
                return True
        return False

    async def superseded(self, fire: Fire) -> bool:
        """Whether a later fire of the same schedule is held or due: then this one has been dealt with."""
        names = fire.project, fire.job
        for subject in (self._subjects.job_schedule(*names), self._subjects.due_fire(*names)):
            other = _fire(await self._held.last(subject))
            if other is not None and other.digest == fire.digest and other.at > fire.at:
                return True
        return False

    async def go_on(self, fire: Fire, plan: Plan, after: datetime) -> None:
        """Hold the next fire behind ``after``, up to which all was dealt with. Raises ``unavailable``."""
        key = fire.project, fire.job
        for _ in range(_TRIES):
            held = await self._held.last(self._subjects.job_schedule(*key))
            other = _fire(held)
            if held is not None and (other is None or other.digest != fire.digest):
                await self.refresh(*key)
                return
            if other is not None and other.at > after:
                return
            if await self._write(key, plan, held, after=after):
                return
        raise RunbusError(ErrorCode.UNAVAILABLE, f"schedule of job {fire.job}: it changes too fast. Try again.")

    async def _write(self, key: Key, plan: Plan | None, held: StoredMessage | None, *, after: datetime) -> bool:
        """Hold the plan's next fire, or nothing where it has none; False where another wrote meanwhile."""
        at = plan.after(after) if plan is not None else None
        if plan is None or at is None:
            if held is not None:
                await self._held.drop(held.seq)
            return True
        project, uuid = key
        fire = Fire(project=project, job=uuid, at=at, digest=plan.digest)
        try:
            await self._held.hold(
                self._subjects.job_schedule(*key), encode(fire), at=at, target=self._subjects.due_fire(*key),
                after_seq=held.seq if held is not None else 0,
            )  # fmt: skip
        except WrongLastSequenceError:
            return False
        log.debug("schedule.next", project=project, job=uuid, at=str(at))
        return True


def _fire(stored: StoredMessage | None) -> Fire | None:
    """The fire of a message; one that cannot be read is of no plan."""
    try:
        return decode(stored.data, Fire) if stored is not None else None
    except RunbusError:
        return None


def _in_step(plan: Plan | None, stored: StoredMessage | None) -> bool:
    """Whether a fire is of the plan in force; which fire of it is the matter of whoever held it."""
    if plan is None or stored is None:
        return plan is None and stored is None
    fire = _fire(stored)
    return fire is not None and fire.digest == plan.digest
