"""Carrying one step out: its plugin, its configuration, its process, its limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.endpoint import internal_error
from runbus.plugin import ProcessExit, StepContext, StepError, StepPlugin, StepResult, Stream
from schemas.errors import ErrorCode, ErrorInfo, RunbusError
from schemas.events import Assignment, StepOutcome
from schemas.jobs import Step
from schemas.states import ExecutionState
from services.runner.inventory import PluginInventory
from services.runner.logship import LogShip
from services.runner.process import ChildProcess, EndedBy, GroupFile, ProcessResult, ProcessSpec
from services.runner.process import Stream as OutputStream

_NO_PROCESS: Final = ProcessExit(exit_code=None)


class StepStoppedError(Exception):
    """The step was ended by us; carries why, so that a plugin's own handling is not asked, and how its process ended.

    ``ended`` has neither code nor signal where no process ran, or none could be ended.
    """

    def __init__(self, state: ExecutionState, ended: ProcessExit = _NO_PROCESS) -> None:
        super().__init__(state)
        self.state = state
        self.ended = ended


class Stopper:
    """How a running assignment is ended from outside: the first reason is kept."""

    def __init__(self) -> None:
        self.state: ExecutionState | None = None
        self.reason = ""
        self._child: ChildProcess | None = None
        self._task: asyncio.Task[Any] | None = None
        self._expired = False
        self.cut_off = _NO_PROCESS
        """How a process ended whose plugin was cancelled with it."""

    def stop(self, state: ExecutionState, reason: str) -> None:
        """End what runs: the process group, or the plugin's task where no process runs."""
        if self.state is not None:
            return
        self.state, self.reason = state, reason
        if self._child is not None:
            self._child.abort()
        elif self._task is not None:
            self._task.cancel()

    def expire(self) -> None:
        """The time is over: cancel the plugin's task, but leave a process, which has the same limit, its grace."""
        if self._child is None and self._task is not None:
            self._expired = True
            self._task.cancel()

    def raise_if_stopped(self, ended: ProcessExit = _NO_PROCESS) -> None:
        """Raise :class:`StepStoppedError` once stopped; ``ended`` is how the process did that ran."""
        if self.state is not None:
            raise StepStoppedError(self.state, ended)

    async def run_child(self, child: ChildProcess) -> ProcessResult:
        """Run a process that ``stop`` ends."""
        self.raise_if_stopped()
        self._child = child
        try:
            return await child.run()
        except asyncio.CancelledError:
            self.cut_off = ProcessExit(exit_code=child.exit_code, signal=child.signal)
            raise
        finally:
            self._child = None

    async def run_task(self, task: asyncio.Task[StepResult]) -> StepResult:
        """Run a plugin's task that ``stop`` cancels while it runs no process."""
        self._task = task
        try:
            return await task
        except asyncio.CancelledError:
            if self.state is None and not self._expired:
                task.cancel()
                raise
            raise StepStoppedError(self.state or ExecutionState.TIMEDOUT) from None
        finally:
            self._task = None


class Bench(msgspec.Struct, frozen=True):
    """What every step of one assignment works with."""

    runner: str
    assignment: Assignment
    work_dir: Path
    env: dict[str, str]
    groups: GroupFile
    log: LogShip
    plugins: PluginInventory
    stopper: Stopper
    grace_s: float


class HostedStep:
    """The :class:`runbus.plugin.StepContext` of one step."""

    def __init__(self, bench: Bench, step: int, deadline_s: float | None) -> None:
        self._bench = bench
        self._deadline_s = deadline_s
        self.runner = bench.runner
        self.project = bench.assignment.project
        self.execution = bench.assignment.execution
        self.step = step
        self.work_dir = bench.work_dir

    @property
    def env(self) -> Mapping[str, str]:
        """The environment that processes of this step are given."""
        return self._bench.env

    async def write(self, data: str | bytes, stream: Stream = Stream.STDOUT) -> None:
        """Write to the log."""
        await self._bench.log.write(stream, self.step, data.encode() if isinstance(data, str) else data)

    async def run_process(
        self, argv: Sequence[str], *, stdin: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> ProcessExit:
        """Run a process until it ends; its output goes to the log."""
        spec = ProcessSpec(
            argv=argv,
            env=dict(env or self.env),
            cwd=self.work_dir,
            stdin=stdin,
            timeout_s=self._left_s(),
            grace_s=self._bench.grace_s,
        )
        assignment = self._bench.assignment
        with self._bench.groups.noting((self.project, self.execution, assignment.assignment)) as note:
            child = ChildProcess(spec, on_output=self._on_output, on_start=note)
            result = await self._bench.stopper.run_child(child)
        await self._remark(result.lingering, result.truncated)
        ended = ProcessExit(exit_code=result.exit_code, signal=result.signal)
        if result.ended_by is EndedBy.TIMEOUT:
            raise StepStoppedError(ExecutionState.TIMEDOUT, ended)
        self._bench.stopper.raise_if_stopped(ended)
        return ended

    async def _on_output(self, stream: OutputStream, data: bytes) -> None:
        await self._bench.log.write(stream, self.step, data)

    async def _remark(self, lingering: bool, truncated: bool) -> None:
        if lingering:
            await self.write(
                "A process left in the background still holds the output; what it writes from here on is not "
                "logged.\n",
                Stream.RUNNER,
            )
        if truncated:
            await self.write("Output that came after the end was not read any more.\n", Stream.RUNNER)

    def _left_s(self) -> float | None:
        return None if self._deadline_s is None else max(0.0, self._deadline_s - time.monotonic())


async def carry_out_step(bench: Bench, number: int, step: Step, deadline_s: float | None) -> StepOutcome:
    """Carry one step out; whatever goes wrong becomes its outcome.

    ``deadline_s`` is on the monotonic clock. Cancellation from outside (the process ends) passes.
    """
    started_s = time.monotonic()
    result, state, error = StepResult(exit_code=None), ExecutionState.FAILED, None
    try:
        result = await _run_plugin(bench, number, step, deadline_s)
        state, error = _judge(number, step, result)
    except StepStoppedError as stopped:
        result = StepResult.of(stopped.ended)
        state, error = stopped.state, _stopped_error(bench, stopped.state)
    except StepError as failed:
        result = StepResult(exit_code=failed.exit_code)
        error = RunbusError(ErrorCode.STEP_FAILED, f"step {number} ({step.plugin}): {failed.message}").info()
    except RunbusError as refused:
        error = refused.info(bench.runner)
    except Exception as cause:  # noqa: BLE001  (a foreign plugin may raise anything)
        error = internal_error(f"step {number} ({step.plugin})", cause).info(bench.runner)
    return StepOutcome(
        step=number,
        plugin=step.plugin,
        state=state,
        exit_code=result.exit_code,
        signal=result.signal,
        duration_s=time.monotonic() - started_s,
        error=error,
    )


async def _run_plugin(bench: Bench, number: int, step: Step, deadline_s: float | None) -> StepResult:
    bench.stopper.raise_if_stopped()
    plugin = bench.plugins.get(step.plugin)
    try:
        config = msgspec.convert(step.config, plugin.config_type)
    except msgspec.ValidationError as cause:
        raise StepError(f"its configuration is not valid: {cause}.") from cause
    context = HostedStep(bench, number, deadline_s)
    task = asyncio.ensure_future(_sheltered(plugin, config, context))
    if deadline_s is None:
        return await bench.stopper.run_task(task)
    left_s = max(0.0, deadline_s - time.monotonic())
    expiry = asyncio.get_running_loop().call_later(left_s, bench.stopper.expire)
    try:
        async with asyncio.timeout(left_s + 3 * bench.grace_s):  # a process is given its grace first
            return await bench.stopper.run_task(task)
    except TimeoutError:
        raise StepStoppedError(ExecutionState.TIMEDOUT, bench.stopper.cut_off) from None
    finally:
        expiry.cancel()


async def _sheltered(plugin: type[StepPlugin], config: Any, context: StepContext) -> StepResult:
    """Run the plugin. One that calls ``sys.exit`` fails its step: it must not end the runner."""
    try:
        return await plugin().run(config, context)
    except SystemExit as cause:
        raise StepError(f"the plugin called sys.exit({cause.code!r}).") from cause


def _judge(number: int, step: Step, result: StepResult) -> tuple[ExecutionState, ErrorInfo | None]:
    if result.signal is None and result.exit_code == 0:
        return ExecutionState.SUCCEEDED, None
    how = f"ended by {result.signal}" if result.signal else f"exit code {result.exit_code}"
    error = RunbusError(
        ErrorCode.STEP_FAILED,
        f"step {number} ({step.plugin}) failed: {how}.",
        details={"step": number, "exit_code": result.exit_code, "signal": result.signal},
    )
    return ExecutionState.FAILED, error.info()


def _stopped_error(bench: Bench, state: ExecutionState) -> ErrorInfo:
    if state is ExecutionState.ABORTED:
        return RunbusError(ErrorCode.ABORTED, bench.stopper.reason or "aborted.").info()
    if bench.stopper.state is ExecutionState.TIMEDOUT:
        return RunbusError(ErrorCode.DEADLINE_EXCEEDED, bench.stopper.reason).info()
    limit = bench.assignment.timeout_s or 0.0
    return RunbusError(
        ErrorCode.TIMEOUT, f"timed out: it ran longer than its limit of {limit:g} s.", details={"limit_s": limit}
    ).info()
