"""Jobs that run by themselves, put where dispatchers find them, and what became of their fires."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bus.bucket import Bucket
from bus.schedules import HeldMessages
from schemas import catalog
from schemas.api import ExecutionListRequest, ExecutionView
from schemas.codec import decode
from schemas.jobs import JobDefinition, Schedule, Step
from schemas.schedules import Fire
from schemas.states import FINAL
from tests.support.system import System
from tests.support.waiting import eventually

EVERY_SECOND: Final = "* * * * * ? *"
RARELY: Final = "0 0 0 29 2 ? *"


def scheduled_job(crontab: str, *, command: str = "true", **fields: Any) -> JobDefinition:
    """A job with a uuid of its own; its runs may overlap, so that a busy machine leaves none out."""
    own = {
        "multiple_executions": True,
        "uuid": str(uuid.uuid4()),
        "name": f"job-{uuid.uuid4().hex[:8]}",
        "project": "default",
    }
    schedule = Schedule(crontab=crontab, time_zone=fields.pop("time_zone", ""))
    steps = [Step(plugin="command", config={"command": command})]
    return JobDefinition(**{**own, "schedule": schedule, "steps": steps, **fields})


async def store(system: System, job: JobDefinition) -> JobDefinition:
    """Write a definition as a dispatcher would."""
    bucket = await Bucket.open(system.bus, system.subjects.jobs_bucket, JobDefinition)
    await bucket.put(f"{job.project}.{job.uuid}", job)
    return job


async def remove(system: System, job: JobDefinition) -> None:
    bucket = await Bucket.open(system.bus, system.subjects.jobs_bucket, JobDefinition)
    await bucket.delete(f"{job.project}.{job.uuid}")


async def held(system: System, job: JobDefinition) -> Fire | None:
    """The fire that NATS holds for a job."""
    stored = await HeldMessages(system.bus, system.subjects.schedules_stream).last(
        system.subjects.job_schedule(job.project, job.uuid)
    )
    return decode(stored.data, Fire) if stored is not None else None


async def is_held(system: System, job: JobDefinition) -> None:
    """Wait until a dispatcher has taken the job's schedule over."""
    await eventually(lambda: held(system, job), what="the next fire is held")


async def executions(system: System, job: JobDefinition) -> list[ExecutionView]:
    """All executions of a job, by their fires."""
    page = await system.client.call(catalog.EXECUTION_LIST, ExecutionListRequest(job=job.uuid, limit=500))
    return sorted(page.executions, key=fire_of)


async def ended(system: System, job: JobDefinition, count: int, *, within_s: float = 20.0) -> list[ExecutionView]:
    """Wait until so many executions of a job have ended; all of them."""

    async def enough() -> list[ExecutionView] | None:
        system.check()
        found = [view for view in await executions(system, job) if view.state in FINAL]
        return found if len(found) >= count else None

    found = await eventually(enough, within_s=within_s, what=f"{count} executions of {job.name} have ended")
    assert found is not None
    return found


def fire_of(view: ExecutionView) -> datetime:
    """The fire in an execution's id."""
    return datetime.strptime(view.id.rpartition("-")[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def assert_every_second(views: list[ExecutionView]) -> None:
    """No fire is missing between the first and the last, and none is there twice."""
    found = [fire_of(view) for view in views]
    assert found == [found[0] + timedelta(seconds=number) for number in range(len(found))]


def runs_in(diary: Path) -> list[str]:
    """The executions that wrote themselves down, as often as they ran."""
    return diary.read_text().split() if diary.exists() else []
