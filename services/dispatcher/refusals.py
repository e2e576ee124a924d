"""Runs that are refused while nobody waits for an answer: told as executions that failed."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog

from bus.connection import Bus, Condition, WrongLastSequenceError
from schemas.codec import encode
from schemas.errors import RunbusError
from schemas.events import AssignmentFinished
from schemas.states import ExecutionState
from schemas.subjects import AUTHOR_DISPATCHER, Subjects
from services.dispatcher.assignments import FIRST_ASSIGNMENT
from services.dispatcher.live import Key

log = structlog.get_logger("dispatcher")


async def record_refusal(bus: Bus, subjects: Subjects, key: Key, error: RunbusError) -> None:
    """Store the refusal as a final event. An execution that is there keeps its own end. Raises ``unavailable``."""
    project, execution = key
    log.info("request.refused", project=project, execution=execution, code=error.code, error_id=error.error_id)
    names = project, execution, FIRST_ASSIGNMENT
    finished = AssignmentFinished(
        execution=execution, assignment=FIRST_ASSIGNMENT, project=project, attempt=1, at=datetime.now(UTC),
        state=ExecutionState.FAILED, error=error.info(AUTHOR_DISPATCHER),
    )  # fmt: skip
    condition = Condition(subjects.events_of_execution(project, execution), 0)
    try:
        await bus.append(subjects.event(*names, AUTHOR_DISPATCHER), encode(finished), condition=condition)
    except WrongLastSequenceError:
        log.info("request.refused_before", execution=execution)
