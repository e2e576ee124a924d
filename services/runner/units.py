"""One unit of a workflow: a step, or its handler, on one node. Whatever goes wrong becomes its outcome."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

import msgspec

from bus.endpoint import internal_error
from domain.context.scopes import Groups
from domain.workflow.scripts import CommandConfig, ExecConfig, ScriptConfig, expanded
from runbus.plugin import FailureReason, ProcessExit, StepError, StepPlugin, StepResult
from schemas.errors import ErrorCode, ErrorInfo, RunbusError
from schemas.events import StepOutcome
from schemas.jobs import Step
from schemas.nodes import Node
from schemas.states import ExecutionState
from services.runner.bench import Bench
from services.runner.foreign import sheltered
from services.runner.hosted import Hosted
from services.runner.nodesteps import run_command, run_exec, run_script
from services.runner.scope import Scope
from services.runner.steplog import REMARKS, StepLog
from services.runner.stopper import StepControl, StepStoppedError, why_stopped

Body = Callable[[Any, Hosted], Coroutine[Any, Any, ProcessExit]]

_OWN: Final[dict[str, tuple[type[msgspec.Struct], Body]]] = {
    "exec": (ExecConfig, cast("Body", run_exec)),
    "command": (CommandConfig, cast("Body", run_command)),
    **dict.fromkeys(("script", "scriptfile", "scripturl"), (ScriptConfig, cast("Body", run_script))),
}


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A unit with all that it needs to be carried out."""

    step: Step
    number: int
    """Of the step in the assignment's own workflow, where it counts for outcomes and log entries."""
    place: str
    """Where it stands: ``2``, ``2/1``, ``2e``."""
    own_number: int = 1
    """Of the step in its own workflow, where references name it."""
    node: Node
    for_node: bool
    """Whether it is told of a node: one that was chosen by a filter."""
    once: bool = False
    """It is for no node, and runs once beside the runner's own."""
    handler: bool = False
    extra: Groups | None = None
    """Groups for this unit only: ``result``, for a handler."""

    @property
    def context(self) -> str:
        """The place, where the number does not say it."""
        return "" if self.place == str(self.number) else self.place


async def carry_out_unit(
    bench: Bench, scope: Scope, task: Task, log: StepLog, *, deadline_s: float | None
) -> StepOutcome:
    """Carry a unit out. ``deadline_s`` is on the monotonic clock.

    A failure that no exit code tells is told in the log, too. Cancellation from outside (the process ends) passes.
    """
    started_s = time.monotonic()
    result, state, error, reason, untold = StepResult(exit_code=None), ExecutionState.FAILED, None, "", ""
    with bench.stopper.controlling() as control:
        try:
            result = await _run(bench, scope, task, control, log, deadline_s)
            state, error, reason = _judge(task, result)
        except StepStoppedError as stopped:
            result = StepResult.of(stopped.ended)
            state, error = stopped.state, stopped_error(bench, stopped.state)
            reason = FailureReason.INTERRUPTED
        except StepError as failed:
            result = StepResult(exit_code=failed.exit_code)
            error = RunbusError(ErrorCode.STEP_FAILED, f"{_named(task)}: {failed.message}").info()
            reason, untold = failed.reason, failed.message
        except RunbusError as refused:
            error, reason = refused.info(bench.runner), FailureReason.CONFIGURATION
            untold = refused.message
        except Exception as cause:  # noqa: BLE001  (a foreign plugin may raise anything)
            error = internal_error(_named(task), cause).info(bench.runner)
            reason = FailureReason.PLUGIN_FAILED
    if untold:
        await log.write(REMARKS, f"Failed: {reason}: {untold}\n".encode())
    error = masked(error, bench)
    return outcome_of(task, state, result=result, error=error, reason=reason, started_s=started_s)


def masked(error: ErrorInfo | None, bench: Bench) -> ErrorInfo | None:
    """An error as it may be told: without the secrets that a path, a URL or a plugin's text may hold."""
    if error is None or bench.masker.is_idle:
        return error
    details = {
        key: bench.masker.mask(value) if isinstance(value, str) else value for key, value in error.details.items()
    }
    return msgspec.structs.replace(error, message=bench.masker.mask(error.message), details=details)


def outcome_of(
    task: Task,
    state: ExecutionState,
    *,
    result: StepResult,
    error: ErrorInfo | None,
    reason: str,
    started_s: float,
) -> StepOutcome:
    """The outcome of a unit that began at ``started_s`` (monotonic)."""
    return StepOutcome(
        step=task.number,
        plugin=task.step.plugin,
        state=state,
        exit_code=result.exit_code,
        signal=result.signal,
        duration_s=time.monotonic() - started_s,
        error=error,
        node=task.node.name if task.for_node else "",
        context=task.context,
        reason=reason,
        handler=task.handler,
    )


async def _run(
    bench: Bench, scope: Scope, task: Task, control: StepControl, log: StepLog, deadline_s: float | None
) -> StepResult:
    control.raise_if_stopped()
    scope.enter(task.node)
    hosted = Hosted(
        bench, control, log, node=task.node, step=task.number, place=scope.place(task.node, task.extra),
        variables=scope.environment(task.node, task.extra), deadline_s=deadline_s,
    )  # fmt: skip
    left_s = hosted.left_s()
    if left_s == 0.0:
        raise StepStoppedError(ExecutionState.TIMEDOUT)
    if left_s is None:
        return await control.run_task(asyncio.ensure_future(_carried_out(task.step, hosted)))
    try:
        with control.expiring(left_s):
            async with asyncio.timeout(left_s + 3 * bench.grace_s):  # a process is given its grace first
                return await control.run_task(asyncio.ensure_future(_carried_out(task.step, hosted)))
    except TimeoutError:
        raise StepStoppedError(ExecutionState.TIMEDOUT, control.cut_off) from None


async def _carried_out(step: Step, hosted: Hosted) -> StepResult:
    return await sheltered(lambda: _done(step, hosted))


async def _done(step: Step, hosted: Hosted) -> StepResult:
    own = _OWN.get(step.plugin)
    if own is not None:
        config_type, body = own
        return StepResult.of(await body(_converted(step.config, config_type), hosted))
    plugin: type[StepPlugin] = hosted.bench.plugins.get(step.plugin)
    config = _converted(expanded(step.config, hosted.place), plugin.config_type)
    return await _sheltered(plugin, config, hosted)


def _converted(config: Any, config_type: type[Any]) -> Any:
    try:
        return msgspec.convert(config, config_type)
    except msgspec.ValidationError as cause:
        raise StepError(f"its configuration is not valid: {cause}.", reason=FailureReason.CONFIGURATION) from cause


async def _sheltered(plugin: type[StepPlugin], config: Any, hosted: Hosted) -> StepResult:
    """Run the plugin. One that calls ``sys.exit`` fails its step: it must not end the runner."""
    try:
        return await plugin().run(config, hosted)
    except SystemExit as cause:
        raise StepError(f"the plugin called sys.exit({cause.code!r}).") from cause


def _judge(task: Task, result: StepResult) -> tuple[ExecutionState, ErrorInfo | None, str]:
    if result.signal is None and result.exit_code == 0:
        return ExecutionState.SUCCEEDED, None, ""
    how = f"ended by {result.signal}" if result.signal else f"exit code {result.exit_code}"
    error = RunbusError(
        ErrorCode.STEP_FAILED,
        f"{_named(task)} failed: {how}.",
        details={"step": task.number, "exit_code": result.exit_code, "signal": result.signal},
    )
    return ExecutionState.FAILED, error.info(), FailureReason.NON_ZERO


def _named(task: Task) -> str:
    where = f" on node {task.node.name}" if task.for_node else ""
    return f"step {task.place} ({task.step.plugin}){where}"


def stopped_error(bench: Bench, state: ExecutionState) -> ErrorInfo:
    """Why what ran was stopped: aborted, past its deadline, or longer than its limit."""
    return why_stopped(bench.stopper, state, bench.limit_s or bench.assignment.timeout_s)
