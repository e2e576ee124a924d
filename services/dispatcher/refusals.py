"""Runs that are refused while nobody waits for an answer: told as executions that failed."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import structlog

from bus.connection import Bus, Condition, WrongLastSequenceError
from schemas.codec import decode, encode
from schemas.errors import RunbusError
from schemas.events import AssignmentFinished, ExecutionQueued, RetryOf
from schemas.states import ExecutionState
from schemas.subjects import AUTHOR_DISPATCHER, WHOLE_EXECUTION, Subjects
from services.dispatcher.assignments import FIRST_ASSIGNMENT
from services.dispatcher.live import Key
from services.dispatcher.notify.publishing import open_notifications

log = structlog.get_logger("dispatcher")


async def record_refusal(bus: Bus, subjects: Subjects, key: Key, error: RunbusError) -> None:
    """Store the refusal as a final event. An execution that is there keeps its own end. Raises ``unavailable``."""
    await _end(bus, subjects, key, error, Condition(subjects.events_of_execution(*key), 0))


async def record_refused_retry(
    bus: Bus, subjects: Subjects, before: ExecutionQueued, retry: RetryOf, key: Key, error: RunbusError
) -> None:
    """Store a retry that is refused: as what it would have been one of, so that it is found and notified of.

    ``before`` is how the run before it was queued. Two events, each on the condition that there is none: whoever is
    second changes nothing, nor does one that comes after the retry was begun. The first one names no assignments and
    has no steps: nobody hands it to a runner, nor takes it for the retry. Raises ``unavailable``.
    """
    queued = _refused(before, retry, key[1])
    if not await _begin(bus, subjects, queued):
        log.info("request.refused_before", execution=key[1])
        return
    condition = Condition(subjects.events_of_assignment(*key, FIRST_ASSIGNMENT), 0)
    await _end(bus, subjects, key, error, condition)


async def how_queued(bus: Bus, subjects: Subjects, key: Key) -> ExecutionQueued | None:
    """How an execution was queued; None where nothing is known of it (any more). Raises ``unavailable``."""
    subject = subjects.event(*key, WHOLE_EXECUTION, AUTHOR_DISPATCHER)
    first = await bus.first_message(subjects.events_stream, subject)
    return decode(first.data, ExecutionQueued) if first else None


def is_unfinished_refusal(event: object) -> bool:
    """Whether the last event of an execution is the first one of a refusal: who wrote it did not come to the end."""
    return isinstance(event, ExecutionQueued) and not event.assignments and not event.steps


def _refused(before: ExecutionQueued, retry: RetryOf, execution: str) -> ExecutionQueued:
    """What is known of the run, and no more retries: none could have what this one lacks."""
    return msgspec.structs.replace(
        before, execution=execution, at=datetime.now(UTC), retry=msgspec.structs.replace(retry, most=retry.attempt),
        steps=[], assignments=[], stored={}, secrets_at="", plan="", orchestrated=False, division={},
        node_count=None, deadline_at=None,
    )  # fmt: skip


async def _begin(bus: Bus, subjects: Subjects, queued: ExecutionQueued) -> bool:
    """Append the first event; False where the retry was begun after all."""
    names = queued.project, queued.execution, WHOLE_EXECUTION
    subject = subjects.event(*names, AUTHOR_DISPATCHER)
    await open_notifications(bus, subjects, queued)
    try:
        await bus.append(subject, encode(queued), condition=Condition(subjects.events_of_assignment(*names), 0))
    except WrongLastSequenceError:
        first = await bus.first_message(subjects.events_stream, subject)
        return first is not None and is_unfinished_refusal(decode(first.data, ExecutionQueued))
    return True


async def _end(bus: Bus, subjects: Subjects, key: Key, error: RunbusError, condition: Condition) -> None:
    project, execution = key
    log.info("request.refused", project=project, execution=execution, code=error.code, error_id=error.error_id)
    names = project, execution, FIRST_ASSIGNMENT
    finished = AssignmentFinished(
        execution=execution, assignment=FIRST_ASSIGNMENT, project=project, attempt=1, at=datetime.now(UTC),
        state=ExecutionState.FAILED, error=error.info(AUTHOR_DISPATCHER),
    )  # fmt: skip
    try:
        await bus.append(subjects.event(*names, AUTHOR_DISPATCHER), encode(finished), condition=condition)
    except WrongLastSequenceError:
        log.info("request.refused_before", execution=execution)
