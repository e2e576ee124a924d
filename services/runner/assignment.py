"""The life of an assignment on a runner, top to bottom: decode, claim, carry out, report, acknowledge."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

import structlog

from bus.connection import WrongLastSequenceError
from bus.endpoint import internal_error
from bus.parcels import Parcels
from bus.plans import read_plan
from bus.pull import Delivery
from domain.workflow.plugins import plugins_of
from schemas.codec import decode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import Assignment, AssignmentFinished, AssignmentStarted, Event
from schemas.states import ExecutionState
from services.runner.bench import Bench
from services.runner.logship import LogShip
from services.runner.prepare import own_work, prepare, share_of, told
from services.runner.report import append, ended_as, lost, report
from services.runner.scope import Scope
from services.runner.slots import Running
from services.runner.stopper import StepStoppedError, why_stopped
from services.runner.workflow import WorkflowEnd, WorkflowRun
from services.runner.workplace import Workplace

_TOKENS: Final = 7
"""Of the subject of an assignment."""
_LOSER_DELAY_S: Final = 10.0
_PASS_ON_DELAY_S: Final = 0.2
_PASS_ON_AT_MOST: Final = 25

log = structlog.get_logger("runner")


async def carry_out(delivery: Delivery, at: Workplace) -> None:
    """See one delivered assignment through to its acknowledgement. A slot is held by the caller."""
    assignment = await _decode(delivery, at)
    if assignment is None or await _passed_on(assignment, delivery, at):
        return
    claim_seq = await _claim(assignment, at)
    if claim_seq is None:
        await _lost_claim(assignment, delivery, at)
        return
    key = (assignment.project, assignment.execution, assignment.assignment)
    with at.slots.running(key, delivery) as running:
        try:
            finished = await _run(assignment, running, at)
        except StepStoppedError as stopped:  # while it waited for its secure values, before its first step
            error = why_stopped(running.stopper, stopped.state, assignment.timeout_s)
            finished = ended_as(assignment, at, state=stopped.state, error=error, status=running.stopper.status)
        except RunbusError as refused:
            finished = ended_as(assignment, at, state=ExecutionState.FAILED, error=refused.info(at.runner))
        except Exception as cause:  # noqa: BLE001  (whatever went wrong here, a claimed assignment must end)
            error = internal_error(f"execution {assignment.execution}", cause).info(at.runner)
            finished = ended_as(assignment, at, state=ExecutionState.FAILED, error=error)
        await report(assignment, finished, claim_seq, at)
        await running.delivery.ack()


async def _decode(delivery: Delivery, at: Workplace) -> Assignment | None:
    """Read the message; one that cannot be read is answered by a final event and never delivered again."""
    tokens = delivery.subject.split(".")
    if len(tokens) != _TOKENS:
        log.warning("assignment.refused", subject=delivery.subject, error="not the subject of an assignment")
        await delivery.terminate()
        return None
    project, execution, number = tokens[1], tokens[5], tokens[6]
    try:
        return _sound(await _unpacked(decode(delivery.data, Assignment), at), (project, execution, number))
    except RunbusError as error:
        log.warning("assignment.refused", subject=delivery.subject, error=error.message, error_id=error.error_id)
        stub = Assignment(execution=execution, assignment=number, project=project, attempt=1, steps=[], title="")
        finished = ended_as(stub, at, state=ExecutionState.FAILED, error=error.info(at.runner))
        await report(stub, finished, 0, at)
        await delivery.terminate()
        return None


async def _unpacked(assignment: Assignment, at: Workplace) -> Assignment:
    """The assignment, also where it is too large for a message and travels as a parcel."""
    if not assignment.parcel:
        return assignment
    parcels = await Parcels.open(at.bus, at.subjects.parcels_bucket)
    return share_of(await read_plan(parcels, assignment.parcel), assignment)


def _sound(assignment: Assignment, names: tuple[str, str, str]) -> Assignment:
    """The assignment, if it is the one that its subject names and has something to do."""
    own = assignment.project, assignment.execution, assignment.assignment
    if own != names:
        raise RunbusError(ErrorCode.INVALID_MESSAGE, f"the assignment {own} stands on the subject of {names}.")
    if not assignment.steps:
        raise RunbusError(ErrorCode.INVALID_MESSAGE, "the assignment has no steps.")
    return assignment


async def _passed_on(assignment: Assignment, delivery: Delivery, at: Workplace) -> bool:
    """Leave an assignment whose plugin is missing here to another runner of the set, which the dispatcher knows of.

    Where none takes it for a while, this one claims it, and fails it with the original's text.
    """
    needed = plugins_of([*assignment.steps, *(step for call in assignment.calls.values() for step in call.steps)])
    if all(map(at.plugins.has, needed)) or delivery.deliveries > _PASS_ON_AT_MOST:
        return False
    await delivery.nak(delay_s=_PASS_ON_DELAY_S)
    return True


async def _claim(assignment: Assignment, at: Workplace) -> int | None:
    """Publish ``started`` on the condition that nobody else did; the event's sequence, or None if somebody had."""
    started = AssignmentStarted(
        execution=assignment.execution,
        assignment=assignment.assignment,
        project=assignment.project,
        attempt=assignment.attempt,
        at=datetime.now(UTC),
        runner=at.runner,
        instance=at.instance,
    )
    try:
        return await append(assignment, started, assignment.claim_after_seq, at)
    except WrongLastSequenceError:
        return None


async def _lost_claim(assignment: Assignment, delivery: Delivery, at: Workplace) -> None:
    """Never start a process. What becomes of the message depends on who won.

    Ended: done with. Ours, from before a restart: that process is gone, so report the loss. Ours, running: a
    renewed lease of what we carry out. Another's: look again later, unless its runner or a dispatcher ends it.
    """
    subject = at.subjects.events_of_assignment(assignment.project, assignment.execution, assignment.assignment)
    stored = await at.bus.last_message(at.subjects.events_stream, subject)
    event: Event | None = decode(stored.data, Event) if stored else None  # type: ignore[arg-type]
    if stored is None or not isinstance(event, AssignmentStarted):
        await delivery.ack()
        return
    if event.runner == at.runner and event.instance == at.instance:
        running = at.slots.find((assignment.project, assignment.execution, assignment.assignment))
        if running is None:
            await delivery.nak(delay_s=_LOSER_DELAY_S)
        else:
            running.delivery = delivery
    elif event.runner == at.runner:
        await report(assignment, lost(assignment, event, at), stored.seq, at)
        await delivery.ack()
    else:
        log.info("claim.lost", execution=assignment.execution, winner=event.runner)
        await delivery.nak(delay_s=_LOSER_DELAY_S)


async def _run(assignment: Assignment, running: Running, at: Workplace) -> AssignmentFinished:
    """Carry the workflow out, on the runner or through it on nodes."""
    log.info("assignment.started", execution=assignment.execution, title=assignment.title)
    started_s = time.monotonic()
    subject = at.subjects.log(assignment.project, assignment.execution, assignment.assignment, at.runner)
    msg_id = f"{assignment.project}.{assignment.execution}.{assignment.assignment}.{assignment.attempt}.log"
    ship = LogShip(at.bus, subject, attempt=assignment.attempt, msg_id=msg_id)
    work_dir = at.work_dirs.lend()
    try:
        bench, scope = await running.stopper.cut_off(
            lambda: prepare(assignment, at, running.stopper, ship=ship, work_dir=work_dir),
            within_s=assignment.timeout_s,
        )
        end = await _run_workflow(bench, scope, started_s)
        last_log_seq = await ship.finish()
    finally:
        ship.abandon()
        at.work_dirs.take_back(work_dir)
    last = end.deciding
    no_process = 0 if end.state is ExecutionState.SUCCEEDED else None
    return ended_as(
        assignment, at, state=end.state, error=end.error, exit_code=last.exit_code if last else no_process,
        signal=last.signal if last else None, steps=end.outcomes, duration_s=time.monotonic() - started_s,
        last_log_seq=last_log_seq, nodes=end.nodes, status=running.stopper.status,
        data=told(scope.captured, bench) if assignment.part else {},
    )  # fmt: skip


async def _run_workflow(bench: Bench, scope: Scope, started_s: float) -> WorkflowEnd:
    limit_s = bench.assignment.timeout_s
    work = own_work(bench)
    dispatch = bench.assignment.dispatch
    if dispatch is not None and not work.nodes and not dispatch.success_on_empty:
        raise RunbusError(
            ErrorCode.NO_MATCHED_NODES,
            f"No matched nodes: no node of project {bench.assignment.project} matches {dispatch.filter!r}.",
            details={"filter": dispatch.filter},
        )
    return await WorkflowRun(bench, work, scope, deadline_s=None if limit_s is None else started_s + limit_s).run()
