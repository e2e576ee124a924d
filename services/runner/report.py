"""What a runner says of an assignment on the bus: its end, on the condition that the claim still holds."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from bus.connection import Condition, WrongLastSequenceError
from schemas.codec import encode
from schemas.errors import ErrorCode, ErrorInfo, RunbusError
from schemas.events import Assignment, AssignmentFinished, AssignmentStarted, Event
from schemas.states import ExecutionState
from services.runner.workplace import Workplace

_RETRY_S: Final = 0.5
_TOLD: Final = 200
_TOLD_NAMES: Final = 5000

log = structlog.get_logger("runner")


async def report(assignment: Assignment, end: AssignmentFinished, after_seq: int, at: Workplace) -> None:
    """Publish the end on the condition that we still hold the claim; superseded, write nothing more (fencing)."""
    try:
        await _append_end(assignment, end, after_seq, at)
    except WrongLastSequenceError:
        log.warning("assignment.superseded", execution=assignment.execution, state=end.state)
    else:
        log.info(
            "assignment.finished", execution=assignment.execution, state=end.state, exit_code=end.exit_code,
            error_id=end.error.error_id if end.error else "",
        )  # fmt: skip


async def _append_end(assignment: Assignment, end: AssignmentFinished, after_seq: int, at: Workplace) -> None:
    """Publish the end whole, else with less of its details: the bus must take it."""
    for told in (end, _shortened(end), msgspec.structs.replace(_shortened(end), steps=[], nodes={})):
        try:
            await append(assignment, told, after_seq, at)
        except RunbusError as error:
            log.warning("outcomes.left_out", execution=assignment.execution, reason=error.message)
        else:
            return
    raise RunbusError(ErrorCode.TOO_LARGE, f"the end of execution {assignment.execution} fits no message.")


def _shortened(end: AssignmentFinished) -> AssignmentFinished:
    """What did not succeed, as far as it fits, and no captured data."""
    bad = [each for each in end.steps if each.state is not ExecutionState.SUCCEEDED][:_TOLD]
    nodes = {state: names[:_TOLD_NAMES] for state, names in end.nodes.items() if state != "succeeded"}
    return msgspec.structs.replace(end, steps=bad, nodes=nodes, data={})


async def append(assignment: Assignment, event: Event, after_seq: int, at: Workplace) -> int:
    """Append one event of ours, however long the bus is away. Raises :class:`WrongLastSequenceError`.

    Where the acknowledgement of a try was lost, the next one is refused because of what that one stored: then the
    last event is ours to the byte, and its sequence is what we wanted to know. A message id would add nothing: the
    server looks at the condition first.
    """
    names = assignment.project, assignment.execution, assignment.assignment
    condition = Condition(at.subjects.events_of_assignment(*names), after_seq)
    subject, data = at.subjects.event(*names, at.runner), encode(event)
    tried = False
    while True:
        try:
            try:
                return await at.bus.append(subject, data, condition=condition)
            except WrongLastSequenceError:
                last = await at.bus.last_message(at.subjects.events_stream, condition.subject) if tried else None
                if last is None or (last.subject, last.data) != (subject, data):
                    raise
                return last.seq
        except RunbusError as error:
            if error.code is not ErrorCode.UNAVAILABLE:
                raise
            tried = True
            log.warning("event.waiting", execution=assignment.execution, reason=error.message)
            await asyncio.sleep(_RETRY_S)


def ended_as(
    assignment: Assignment,
    at: Workplace,
    *,
    state: ExecutionState,
    error: ErrorInfo | None = None,
    **facts: Any,
) -> AssignmentFinished:
    """The final event; ``facts`` are further fields of it."""
    return AssignmentFinished(
        execution=assignment.execution,
        assignment=assignment.assignment,
        project=assignment.project,
        attempt=assignment.attempt,
        at=datetime.now(UTC),
        state=state,
        runner=at.runner,
        error=error,
        **facts,
    )


def lost(assignment: Assignment, claim: AssignmentStarted, at: Workplace, *, left: str = "") -> AssignmentFinished:
    """The end of what an earlier run of this runner had claimed; ``left`` says what became of its processes."""
    error = RunbusError(
        ErrorCode.RUNNER_LOST,
        f"runner {at.runner} was restarted while it carried this out (claimed {claim.at:%Y-%m-%d %H:%M:%S} UTC by "
        f"instance {claim.instance}); what it had done by then is not known. It is not run again by itself.{left}",
        details={"runner": at.runner, "instance": claim.instance},
    )
    duration_s = (datetime.now(UTC) - claim.at).total_seconds()
    return ended_as(assignment, at, state=ExecutionState.LOST, error=error.info(at.runner), duration_s=duration_s)
