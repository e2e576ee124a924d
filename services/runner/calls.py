"""A step that calls another job: its arguments become that job's options, its workflow runs in this assignment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from domain.options import OptionValues
from domain.planning.limits import limit_s
from domain.workflow.calling import (
    Caller,
    arguments_for,
    called_facts,
    called_groups,
    called_nodes,
    called_values,
    is_empty_well,
)
from runbus.plugin import FailureReason, StepError, StepResult
from schemas.errors import ErrorCode, RunbusError
from schemas.events import CalledJob, StepOutcome, StoredKey
from schemas.jobs import JobCall
from schemas.states import ExecutionState
from services.runner.bench import Bench, Work
from services.runner.scope import Scope
from services.runner.secrets import read_options
from services.runner.stopper import StepStoppedError
from services.runner.units import Task, masked, outcome_of, stopped_error

if TYPE_CHECKING:
    from services.runner.outcomes import Outcomes
    from services.runner.workflow import WorkflowEnd

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
    scope.enter(task.node)
    try:
        called, call = _called(bench, task)
        work = _work(called, call, task, caller)
        if called.enabled and (work.nodes or not is_empty_well(called)):
            values = _values(bench, scope, task, called, call)
            if values.stored:
                values = await bench.stopper.cut_off(
                    lambda: _with_keys(bench, called, values), within_s=_left_s(deadline_s)
                )
            inner_scope = _scope(bench, scope, called, values)
            inner = _bench(bench, called, values, inner_scope)
            if inner.secrets.values():
                await asyncio.to_thread(inner.masker.prepare)
            own_s = None if inner.limit_s is None else started_s + inner.limit_s
            is_own = own_s is not None and (deadline_s is None or own_s < deadline_s)
            end = await run(inner, work, inner_scope, own_s if is_own else deadline_s)
            outcomes.join(end.outcomes)
            state, reason = _state(bench, end.state, own_limit=is_own)
            error = end.error
    except StepStoppedError as stopped:
        state, reason, error = stopped.state, FailureReason.INTERRUPTED, stopped_error(bench, stopped.state)
    except StepError as failed:
        state, reason = ExecutionState.FAILED, failed.reason
        error = RunbusError(ErrorCode.STEP_FAILED, f"step {task.place} (jobref): {failed.message}").info(bench.runner)
    except RunbusError as refused:
        state, reason, error = ExecutionState.FAILED, FailureReason.INVALID_OPTIONS, refused.info(bench.runner)
    if state in (ExecutionState.ABORTED, ExecutionState.TIMEDOUT):
        error = stopped_error(bench, state)
    result = _OK if state is ExecutionState.SUCCEEDED else _NOT_OK
    error = masked(error, bench)
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
    """Where it stands for a node it runs for that node only; else on the nodes of its own filter, or its caller's."""
    dispatch = called.dispatch
    own = caller.nodes if task.once else [task.node]
    nodes = called_nodes(called, call, own=own, of_caller=caller.nodes)
    dispatch = called.dispatch
    if dispatch is not None and not nodes and not dispatch.success_on_empty:
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
        for_nodes=dispatch is not None or caller.for_nodes,
        prefix=f"{task.place}/",
    )


def _scope(bench: Bench, scope: Scope, called: CalledJob, values: OptionValues) -> Scope:
    """The called job's own options and names; what steps have found out so far is there for it, too."""
    inner = Scope(called_groups(scope, values, called_facts(bench.assignment, called)))
    inner.leave_to(scope.captured)
    return inner


def _bench(bench: Bench, called: CalledJob, values: OptionValues, scope: Scope) -> Bench:
    """The same, with the called job's secrets and its own limit, which may be one of its options.

    Of its caller's secrets it has none, but its log shows none of them either.
    """
    own = replace(bench.secrets, exposed=values.exposed, private=values.private)
    return msgspec.structs.replace(
        bench,
        secrets=own,
        masker=bench.masker.also(own.values()),
        limit_s=limit_s(called.timeout, scope.data, what=f"the timeout of job {called.ref.path!r}"),
    )


def _left_s(deadline_s: float | None) -> float | None:
    return None if deadline_s is None else max(0.0, deadline_s - time.monotonic())


def _values(bench: Bench, scope: Scope, task: Task, called: CalledJob, call: JobCall) -> OptionValues:
    """The called job's options, those that name keys still without values. Raises ``invalid_option``."""
    caller = Caller(scope, bench.secrets.exposed, bench.secrets.private)
    arguments = arguments_for(called, call, caller, node=task.node, extra=task.extra)
    facts = called_facts(bench.assignment, called)
    return called_values(called.options, arguments, job=facts, scope=scope)


async def _with_keys(bench: Bench, called: CalledJob, values: OptionValues) -> OptionValues:
    """Options with the values of the keys that they name. Raises ``invalid_option``."""
    if bench.secrets.keys is None:
        raise StepError(
            f"options of job {called.ref.path!r} are keys, and runner {bench.runner} has no key storage.",
            reason=FailureReason.INVALID_OPTIONS,
        )
    stored = {
        name: StoredKey(path=key.path, exposed=key.exposed, required=key.required)
        for name, key in values.stored.items()
    }
    read = await read_options(stored, bench.secrets.keys, bench.secrets.use)
    for value in (*read.exposed.values(), *read.private.values()):
        bench.secrets.learn(value)  # the caller's later steps may show them, too
    return replace(values, exposed={**values.exposed, **read.exposed}, private={**values.private, **read.private})


def _state(bench: Bench, state: ExecutionState, *, own_limit: bool) -> tuple[ExecutionState, str]:
    """A called job that exceeds its own limit has failed: only that step, which a handler may clear."""
    if state is ExecutionState.SUCCEEDED:
        return state, ""
    if bench.stopper.state is not None or (state is ExecutionState.TIMEDOUT and not own_limit):
        return state, FailureReason.INTERRUPTED
    return ExecutionState.FAILED, FailureReason.JOB_FAILED
