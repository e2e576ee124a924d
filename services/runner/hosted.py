"""What plugins are given: the context of a step, and of a node executor or copier that works for one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from domain.context.commands import StepPlace
from domain.workflow.scripts import setting_of
from runbus.plugin import Node, ProcessExit, Stream
from schemas.states import ExecutionState
from services.runner.bench import Bench
from services.runner.process import ChildProcess, EndedBy, ProcessSpec
from services.runner.process import Stream as OutputStream
from services.runner.steplog import StepLog
from services.runner.stopper import StepControl, StepStoppedError


class Hosted:
    """One unit on one node, as both of its contexts see it (:class:`runbus.plugin.StepContext`, ``NodeContext``)."""

    def __init__(  # noqa: PLR0913 (made in one place, from what belongs to a unit)
        self,
        bench: Bench,
        control: StepControl,
        log: StepLog,
        *,
        node: Node,
        step: int,
        place: StepPlace,
        variables: Mapping[str, str],
        deadline_s: float | None,
    ) -> None:
        self.bench = bench
        self.place = place
        self.variables = variables
        self.node = node
        self.step = step
        self.runner = bench.runner
        self.project = bench.assignment.project
        self.execution = bench.assignment.execution
        self.work_dir = bench.work_dir
        self.control = control
        self._log = log
        self._deadline_s = deadline_s

    @property
    def env(self) -> Mapping[str, str]:
        """The environment that processes on the runner are given."""
        return {**self.bench.env, **self.variables}

    @property
    def is_own_node(self) -> bool:
        """Whether the node is the runner itself."""
        return self.node.name == self.bench.own_node.name

    def setting(self, name: str) -> str | None:
        """A setting of the node, else of the project, its references filled in."""
        return setting_of(name, self.node, self.bench.assignment.settings, self.place)

    async def secret(self, path: str) -> str:
        """The value of a key; of ``option.NAME``, the secure option of that name."""
        return await self.bench.secrets.read(path, runner=self.runner)

    async def write(self, data: str | bytes, stream: Stream = Stream.STDOUT) -> None:
        """Write to the log."""
        await self._log.write(stream, data.encode(errors="replace") if isinstance(data, str) else data)

    async def run_process(
        self, argv: Sequence[str], *, stdin: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> ProcessExit:
        """Run a process until it ends; its output goes to the log."""
        spec = ProcessSpec(
            argv=argv,
            env=dict(env) if env is not None else {**self.bench.env, **self.variables},
            cwd=self.work_dir,
            stdin=stdin,
            timeout_s=self.left_s(),
            grace_s=self.bench.grace_s,
        )
        assignment = self.bench.assignment
        with self.bench.groups.noting((self.project, self.execution, assignment.assignment)) as note:
            child = ChildProcess(spec, on_output=self._on_output, on_start=note)
            result = await self.control.run_child(child)
        await self._remark(lingering=result.lingering, truncated=result.truncated)
        ended = ProcessExit(exit_code=result.exit_code, signal=result.signal)
        if result.ended_by is EndedBy.TIMEOUT:
            raise StepStoppedError(ExecutionState.TIMEDOUT, ended)
        self.control.raise_if_stopped(ended)
        return ended

    def left_s(self) -> float | None:
        """How long it may still take; None: as long as it likes."""
        return None if self._deadline_s is None else max(0.0, self._deadline_s - time.monotonic())

    async def _on_output(self, stream: OutputStream, data: bytes) -> None:
        await self._log.write(stream, data)

    async def _remark(self, *, lingering: bool, truncated: bool) -> None:
        if lingering:
            await self.write(
                "A process left in the background still holds the output; what it writes from here on is not "
                "logged.\n",
                Stream.RUNNER,
            )
        if truncated:
            await self.write("Output that came after the end was not read any more.\n", Stream.RUNNER)


class NodeSide:
    """The same unit as a node executor or copier sees it: only the ``RD_…`` variables are for the node."""

    def __init__(self, hosted: Hosted) -> None:
        self._hosted = hosted
        self.runner = hosted.runner
        self.project = hosted.project
        self.execution = hosted.execution
        self.work_dir = hosted.work_dir
        self.env = hosted.variables
        self.setting = hosted.setting
        self.secret = hosted.secret
        self.write = hosted.write
        self.run_process = hosted.run_process

    def process_env(self) -> Mapping[str, str]:
        """The environment that processes on the runner are given."""
        return self._hosted.env

    def holds_secret(self, text: str) -> bool:
        """Whether a text holds a value that logs must not show."""
        bench = self._hosted.bench
        return any(value in text for value in bench.secrets.values()) or bench.masker.mask(text) != text
