"""How what runs is ended from outside: one stopper for an assignment, one control for each unit of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import copy_context
from typing import Any, Final, TypeVar

from runbus.plugin import ProcessExit
from schemas.errors import ErrorCode, ErrorInfo, RunbusError
from schemas.states import ExecutionState
from services.runner.process import ChildProcess, ProcessResult

T = TypeVar("T")

NO_PROCESS: Final = ProcessExit(exit_code=None)


class StepStoppedError(Exception):
    """The step was ended by us; carries why, so that a plugin's own handling is not asked, and how its process ended.

    ``ended`` has neither code nor signal where no process ran, or none could be ended.
    """

    def __init__(self, state: ExecutionState, ended: ProcessExit = NO_PROCESS) -> None:
        super().__init__(state)
        self.state = state
        self.ended = ended


class Stopper:
    """Ends a running assignment: everything of it that runs. The first reason is kept."""

    def __init__(self) -> None:
        self.state: ExecutionState | None = None
        self.reason = ""
        self.status = ""
        """A status of the job's own, where that is why it was stopped (``loglimitStatus``)."""
        self._controls: set[StepControl] = set()

    def stop(self, state: ExecutionState, reason: str, *, status: str = "") -> None:
        """End what runs, and start nothing more."""
        if self.state is not None:
            return
        self.state, self.reason, self.status = state, reason, status
        for control in list(self._controls):
            control.end()

    async def cut_off(self, begin: Callable[[], Coroutine[Any, Any, T]], *, within_s: float | None) -> T:
        """What brings no process with it, and may have to wait for others: keys, before the steps that need them.

        What it sets in its context, such as what no log may show, holds for whoever waits, as if it was awaited.
        Raises :class:`StepStoppedError` once stopped, or after ``within_s``; it is cancelled then.
        """
        context = copy_context()
        with self.controlling() as control:
            control.raise_if_stopped()
            task = asyncio.get_running_loop().create_task(begin(), context=context)
            try:
                with nullcontext() if within_s is None else control.expiring(within_s):
                    return await control.run_task(task)
            finally:
                for variable, value in context.items():
                    variable.set(value)

    @contextmanager
    def controlling(self) -> Iterator[StepControl]:
        """A control of one unit, reached by :meth:`stop` while the block lasts."""
        control = StepControl(self)
        self._controls.add(control)
        try:
            yield control
        finally:
            self._controls.discard(control)


class StepControl:
    """How one unit is ended: its process group, or the plugin's task where no process runs."""

    def __init__(self, stopper: Stopper) -> None:
        self._stopper = stopper
        self._children: set[ChildProcess] = set()
        self._task: asyncio.Task[Any] | None = None
        self._expired = False
        self.cut_off = NO_PROCESS
        """How a process ended whose plugin was cancelled with it."""

    def end(self) -> None:
        """The stopper was told to stop."""
        if self._children:
            for child in list(self._children):
                child.abort()
        elif self._task is not None:
            self._task.cancel()

    def expire(self) -> None:
        """The time is over: cancel the plugin's task, but leave a process, which has the same limit, its grace."""
        if not self._children and self._task is not None:
            self._expired = True
            self._task.cancel()

    def raise_if_stopped(self, ended: ProcessExit = NO_PROCESS) -> None:
        """Raise :class:`StepStoppedError` once stopped; ``ended`` is how the process did that ran."""
        if self._stopper.state is not None:
            raise StepStoppedError(self._stopper.state, ended)

    async def run_child(self, child: ChildProcess) -> ProcessResult:
        """Run a process that ``end`` ends."""
        self.raise_if_stopped()
        self._children.add(child)
        try:
            return await child.run()
        except asyncio.CancelledError:
            self.cut_off = ProcessExit(exit_code=child.exit_code, signal=child.signal)
            raise
        finally:
            self._children.discard(child)

    async def run_task(self, task: asyncio.Task[T]) -> T:
        """Run a task, mostly a plugin's, that ``end`` cancels while it runs no process."""
        self._task = task
        try:
            return await task
        except asyncio.CancelledError:
            if self._stopper.state is None and not self._expired:
                task.cancel()
                raise
            raise StepStoppedError(self._stopper.state or ExecutionState.TIMEDOUT) from None
        finally:
            self._task = None
            del task  # its error has this frame: a circle, of which thousands would have to be collected at once

    @contextmanager
    def expiring(self, left_s: float) -> Iterator[None]:
        """Call :meth:`expire` after ``left_s``, unless the block has ended by then."""
        timer = asyncio.get_running_loop().call_later(left_s, self.expire)
        try:
            yield
        finally:
            timer.cancel()


def why_stopped(stopper: Stopper, state: ExecutionState, limit_s: float | None) -> ErrorInfo:
    """Why what ran was stopped: aborted, past its deadline, or longer than its limit, ``limit_s``."""
    if stopper.state is ExecutionState.TIMEDOUT:
        return RunbusError(ErrorCode.DEADLINE_EXCEEDED, stopper.reason).info()
    if state is ExecutionState.TIMEDOUT:
        limit_s = limit_s or 0.0
        text = f"timed out: it ran longer than its limit of {limit_s:g} s."
        return RunbusError(ErrorCode.TIMEOUT, text, details={"limit_s": limit_s}).info()
    if stopper.state is ExecutionState.ABORTED or stopper.state is None:
        return RunbusError(ErrorCode.ABORTED, stopper.reason or "aborted.").info()
    return RunbusError(ErrorCode.STEP_FAILED, stopper.reason).info()
