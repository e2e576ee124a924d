"""A step that calls another job: its arguments become that job's options, its workflow runs in this assignment."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from domain.calls import arguments_of
from domain.context.groups import job_context
from domain.context.references import Missing, expand
from domain.durations import duration_s
from domain.options import OptionValues, resolve_options
from runbus.plugin import FailureReason, StepError, StepResult
from schemas.errors import ErrorCode, RunbusError
from schemas.events import CalledJob, StepOutcome
from schemas.jobs import JobCall
from schemas.nodes import Node
from schemas.states import ExecutionState
from services.runner.bench import Bench, Work
from services.runner.scope import Scope, facts_of
from services.runner.units import Task, outcome_of, stopped_error

if TYPE_CHECKING:
    from services.runner.workflow import Outcomes, WorkflowEnd

_OK: Final = StepResult(exit_code=0)
_NOT_OK: Final = StepResult(exit_code=None)

RunCalled = Callable[[Bench, Work, Scope, float | None], Awaitable["WorkflowEnd"]]


async def carry_out_call(  # noqa: PLR0913 (a unit and the workflow it belongs to)
    bench: Bench,
    scope: Scope,
    task: Task,
    caller: Work,
    *,
    outcomes: Outcomes,
    run: RunCalled,
    deadline_s: float | None,
) -> StepOutcome:
    """Run the called job; its outcomes join the caller's, and the step's own says how the whole of it ended."""
    started_s = time.monotonic()
    state, error, reason = ExecutionState.SUCCEEDED, None, ""
    try:
        called, call = _called(bench, task)
        work = _work(called, call, task, caller)
        if called.enabled and (work.nodes or not _empty_is_well(called)):
            limit_s = _deadline(called, deadline_s)
            end = await run(bench, work, _scope(bench, scope, task, called, call), limit_s)
            outcomes.join(end.outcomes)
            state, reason = _state(bench, end.state, own_limit=limit_s != deadline_s)
            error = end.error
    except StepError as failed:
        state, reason = ExecutionState.FAILED, failed.reason
        error = RunbusError(ErrorCode.STEP_FAILED, f"step {task.place} (jobref): {failed.message}").info(bench.runner)
    except RunbusError as refused:
        state, reason, error = ExecutionState.FAILED, FailureReason.INVALID_OPTIONS, refused.info(bench.runner)
    if state in (ExecutionState.ABORTED, ExecutionState.TIMEDOUT):
        error = stopped_error(bench, state)
    result = _OK if state is ExecutionState.SUCCEEDED else _NOT_OK
    return outcome_of(task, state, result=result, error=error, reason=reason, started_s=started_s)


def _called(bench: Bench, task: Task) -> tuple[CalledJob, JobCall]:
    called, call = bench.assignment.calls.get(task.place), task.step.call
    if called is None or call is None:
        raise StepError("the job that it calls is not part of the assignment.", reason=FailureReason.NOT_FOUND)
    if not called.enabled and call.fail_on_disable:
        raise StepError(
            f"job {called.ref.path!r} is disabled (executionEnabled: false): enable it, or drop 'failOnDisable'.",
            reason=FailureReason.JOB_FAILED,
        )
    return called, call


def _work(called: CalledJob, call: JobCall, task: Task, caller: Work) -> Work:
    """As a node step it runs for that node only; else on the nodes of its own filter, or on its caller's."""
    dispatch = called.dispatch
    nodes: list[Node] = [task.node] if task.step.node_step else caller.nodes
    if dispatch is not None:
        nodes = dispatch.nodes
        if call.nodes is not None and call.nodes.intersect:
            names = {node.name for node in caller.nodes}
            nodes = [node for node in nodes if node.name in names]
        if not nodes and not dispatch.success_on_empty:
            raise StepError(
                f"No matched nodes: no node of the project matches {dispatch.filter!r}, the filter of job "
                f"{called.ref.path!r}.",
                reason=FailureReason.NO_MATCHED_NODES,
            )
    return Work(
        steps=called.steps,
        flow=called.flow,
        nodes=nodes,
        threads=dispatch.threads if dispatch else caller.threads,
        keepgoing=dispatch.keepgoing if dispatch else caller.keepgoing,
        prefix=f"{task.place}/",
    )


def _empty_is_well(called: CalledJob) -> bool:
    return called.dispatch is not None and called.dispatch.success_on_empty


def _scope(bench: Bench, scope: Scope, task: Task, called: CalledJob, call: JobCall) -> Scope:
    """The called job's own options and names; what steps have found out so far is there for it, too."""
    values = _options(bench, scope, task, called, call)
    facts = facts_of(bench.assignment)
    job = job_context(facts) | {"name": called.ref.name, "group": called.ref.group, "id": called.ref.uuid}
    inner = Scope({"globals": scope.group("globals"), **values.groups(), "job": job})
    inner.leave_to(scope.captured)
    return inner


def _options(bench: Bench, scope: Scope, task: Task, called: CalledJob, call: JobCall) -> OptionValues:
    place = scope.place(task.node, task.extra)
    private = bench.secrets.private
    secure = {option.name for option in called.options if option.secure and not option.value_exposed}
    open_data = place.data
    full_data = open_data.merged({"option": dict(private)}) if private else open_data
    given: dict[str, str | list[str]] = {}
    if call.import_options:
        own = {option.name for option in called.options}
        given |= {name: value for name, value in scope.group("option").items() if name in own and value is not None}
    for name, value in arguments_of(call.args):
        data = full_data if name in secure else open_data
        given[name] = expand(value, data, place.view, Missing.BLANK)
    return resolve_options(called.options, given)


def _deadline(called: CalledJob, deadline_s: float | None) -> float | None:
    limit_s = duration_s(called.timeout) if "${" not in called.timeout else None
    if limit_s is None:
        return deadline_s
    own_s = time.monotonic() + limit_s
    return own_s if deadline_s is None else min(own_s, deadline_s)


def _state(bench: Bench, state: ExecutionState, *, own_limit: bool) -> tuple[ExecutionState, str]:
    """A called job that exceeds its own limit has failed: only that step, which a handler may clear."""
    if state is ExecutionState.SUCCEEDED:
        return state, ""
    if bench.stopper.state is not None or (state is ExecutionState.TIMEDOUT and not own_limit):
        return state, FailureReason.INTERRUPTED
    return ExecutionState.FAILED, FailureReason.JOB_FAILED
