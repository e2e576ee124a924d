"""What an earlier run of this runner left behind when it was killed: ended, and told, before new work is taken."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final

import structlog

from schemas.codec import decode
from schemas.errors import RunbusError
from schemas.events import Assignment, AssignmentStarted, Event
from services.runner.process import Fate, Job, Noted, end_group
from services.runner.report import lost, report
from services.runner.workplace import Workplace

_TEXTS: Final = {
    Fate.GONE: "Its processes were gone when the runner was back.",
    Fate.TERMINATED: "Its processes were still running, and the runner ended them (SIGTERM).",
    Fate.KILLED: "Its processes were still running, and the runner killed them (SIGKILL).",
    Fate.LEFT: "Processes of it may still be running on this machine, which the runner could not end: "
    "look for process group {groups}.",
}

log = structlog.get_logger("runner")


async def settle_losses(at: Workplace) -> None:
    """End the process groups that were left, and report their executions lost, saying what became of them.

    To be called before the runner registers: a registry that sees the new instance has them reported lost at once,
    and what is called lost must not go on.
    """
    if not at.groups.left:
        return
    jobs: dict[Job, list[tuple[Fate, Noted]]] = defaultdict(list)
    fates = await asyncio.gather(*(end_group(noted, at.grace_s) for noted in at.groups.left))
    for noted, fate in zip(at.groups.left, fates, strict=True):
        log.warning("group.left_behind", execution=noted.job[1], group=noted.group, fate=fate.name.lower())
        jobs[noted.job].append((fate, noted))
    for job, ends in jobs.items():
        worst = max(fate for fate, _ in ends)
        groups = ", ".join(str(noted.group) for fate, noted in ends if fate is worst)
        try:
            await _report_lost(job, _TEXTS[worst].format(groups=groups), at)
        except RunbusError as error:
            log.warning("loss.not_reported", execution=job[1], reason=error.message)
    at.groups.forget_left()


async def _report_lost(job: Job, left: str, at: Workplace) -> None:
    stored = await at.bus.last_message(at.subjects.events_stream, at.subjects.events_of_assignment(*job))
    claim: Event | None = decode(stored.data, Event) if stored else None  # type: ignore[arg-type]
    if stored is None or not isinstance(claim, AssignmentStarted) or claim.runner != at.runner:
        return
    project, execution, number = job
    stub = Assignment(
        execution=execution, assignment=number, project=project, attempt=claim.attempt, steps=[], title=""
    )
    await report(stub, lost(stub, claim, at, left=f" {left}"), stored.seq, at)
