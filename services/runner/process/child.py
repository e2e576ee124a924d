"""One child process from start to end: its limits and how it ended."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from services.runner.process.group import ProcessGroup
from services.runner.process.pipes import OutputConsumer, Pipes
from services.runner.process.spawn import ProcessSpec, spawn


class EndedBy(StrEnum):
    """What ended the process: the first of these that happened."""

    EXIT = "exit"
    """Itself, or a signal that was not ours."""
    TIMEOUT = "timeout"
    ABORT = "abort"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessResult:
    """How a process ended.

    ``exit_code`` and ``signal`` (as ``"SIGKILL"``) exclude each other. Both are None where the abort came before
    the start, and where even SIGKILL did not end the process in time (stuck in the kernel, or another user's).
    """

    exit_code: int | None
    signal: str | None
    ended_by: EndedBy
    duration_s: float
    """From the start to the end of the process itself, however long its output took to be read."""
    lingering: bool = False
    """A background process still held the pipes when they were closed; what it writes later is not seen."""
    truncated: bool = False
    """Reading was given up ``drain_s`` after a timeout or an abort: output may be missing."""


class ChildProcess:
    """Runs one process once: ``await run()``; ``abort()`` from elsewhere on the same loop at any time.

    Promised:

    1. Each stream arrives complete and in order. Between the two the order is that of arrival here, not of
       writing.
    2. At most one chunk (128 KiB) is held, whatever the child prints. The consumer runs in the task of ``run``.
    3. After ``run`` the process is dead and reaped and no descriptor is open, also if ``run`` was cancelled or
       the consumer raised (both kill the group at once). The exception: a process that SIGKILL cannot end.
    4. Timeout and abort end the whole process group, whether or not the child or the consumer is stuck.

    After an exit by itself the pipes are read until they end, or are quiet for ``linger_s``. Processes left in
    the background are not killed then: jobs start daemons. A timeout or an abort that comes when the process has
    ended changes nothing about how it ended; it only bounds, by ``drain_s``, how long the rest of its output is
    read.
    """

    def __init__(
        self, spec: ProcessSpec, *, on_output: OutputConsumer, on_start: Callable[[int], None] | None = None
    ) -> None:
        """``on_start`` is told the process group (the child's id) as soon as there is one; it must not raise."""
        self._spec = spec
        self._on_output = on_output
        self._on_start = on_start
        self._cause: EndedBy | None = None
        self._group: ProcessGroup | None = None
        self._pipes: Pipes | None = None
        self._bound: asyncio.Timeout | None = None
        self.pid: int | None = None

    @property
    def exit_code(self) -> int | None:
        """What it exited with; None while it lives and where a signal ended it."""
        code = self._group.returncode if self._group else None
        return code if code is not None and code >= 0 else None

    @property
    def signal(self) -> str | None:
        """The signal that ended it, as ``"SIGKILL"``; None while it lives and where none did."""
        code = self._group.returncode if self._group else None
        return _signal_name(-code) if code is not None and code < 0 else None

    async def run(self) -> ProcessResult:
        """Start the process, hand on its output and return how it ended.

        Raises :class:`SpawnError` if nothing was started, and whatever the consumer raised: then the process
        group was killed.
        """
        if self._cause:
            return ProcessResult(exit_code=None, signal=None, ended_by=self._cause, duration_s=0.0)
        if self.pid is not None:
            raise RuntimeError("a ChildProcess runs once")
        spec, loop = self._spec, asyncio.get_running_loop()
        started_at = loop.time()
        spawned = spawn(spec)
        self.pid = spawned.popen.pid
        if self._on_start:
            self._on_start(self.pid)
        self._pipes = pipes = Pipes(spawned, spec.stdin, on_output=self._on_output)
        self._group = group = ProcessGroup(spawned.popen, spawned.pidfd, on_change=self._group_changed)
        limit = None if spec.timeout_s is None else loop.call_later(spec.timeout_s, self._end, EndedBy.TIMEOUT)
        try:
            in_time = await self._pump(pipes, group)
        finally:
            if limit:
                limit.cancel()
            unread = not pipes.ended
            pipes.close()
            await group.destroy(spec.drain_s)
        return self._result(group, started_at, lingering=unread and in_time, truncated=unread and not in_time)

    def abort(self) -> None:
        """End the process group: SIGTERM, ``grace_s``, SIGKILL. Idempotent; before ``run`` nothing is started."""
        self._end(EndedBy.ABORT)

    def _end(self, cause: EndedBy) -> None:
        spec = self._spec
        if self._cause:
            return
        if self._group is None:
            self._cause = cause
        elif self._group.end(spec.grace_s):
            self._cause = cause
            self._read_no_longer_than(spec.grace_s + spec.drain_s)
        else:
            self._read_no_longer_than(spec.drain_s)

    def _group_changed(self) -> None:
        if self._cause and self._group and self._group.over:
            self._read_no_longer_than(self._spec.drain_s)
        if self._pipes:
            self._pipes.wake()

    def _read_no_longer_than(self, delay_s: float) -> None:
        """From now, or until the earlier end already set."""
        bound = self._bound
        if bound is None or bound.expired():
            return
        at = asyncio.get_running_loop().time() + delay_s
        if at < (bound.when() or float("inf")):
            bound.reschedule(at)

    async def _pump(self, pipes: Pipes, group: ProcessGroup) -> bool:
        """Read until the end; False if that was given up. What the consumer raises passes, a timeout too."""
        bound = asyncio.timeout(None)
        try:
            async with bound:
                self._bound = bound
                await pipes.pump(lambda: group.over, linger_s=self._spec.linger_s)
        except TimeoutError:
            if not bound.expired():
                raise
            return False
        finally:
            self._bound = None
        return True

    def _result(self, group: ProcessGroup, started_at: float, *, lingering: bool, truncated: bool) -> ProcessResult:
        ended_at = group.ended_at or asyncio.get_running_loop().time()
        return ProcessResult(
            exit_code=self.exit_code,
            signal=self.signal,
            ended_by=self._cause or EndedBy.EXIT,
            duration_s=ended_at - started_at,
            lingering=lingering,
            truncated=truncated,
        )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
