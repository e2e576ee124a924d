"""What a plugin author imports. Nothing else of Runbus is promised to stay.

A plugin is a class found through the entry-point group ``runbus.plugins``; the entry's name is the plugin's name in
jobs (``type: NAME``). See ``docs/plugins.md`` and ``examples/plugin-wait-for-port``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import msgspec

__all__ = ["ENTRY_POINT_GROUP", "ProcessExit", "StepContext", "StepError", "StepPlugin", "StepResult", "Stream"]

ENTRY_POINT_GROUP: Final = "runbus.plugins"


class Stream(StrEnum):
    """Which output a piece of log belongs to."""

    STDOUT = "stdout"
    STDERR = "stderr"
    RUNNER = "runner"
    """Remarks of the runner or a plugin about the step, not output of what it runs."""


class ProcessExit(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended: an exit code, or the name of the signal that ended it (``"SIGKILL"``)."""

    exit_code: int | None
    signal: str | None = None


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a step came to. It succeeded if ``exit_code`` is 0 and no signal is named."""

    exit_code: int | None = 0
    signal: str | None = None

    @classmethod
    def of(cls, ended: ProcessExit) -> StepResult:
        """The result of a step that is one process."""
        return cls(exit_code=ended.exit_code, signal=ended.signal)


class StepError(Exception):
    """Raise it from a plugin when the step cannot be done; the text says what happened, where, and what to do."""

    def __init__(self, message: str, *, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


class StepContext(Protocol):
    """What a running step has from its runner."""

    @property
    def runner(self) -> str:
        """The runner's id."""

    @property
    def project(self) -> str:
        """The project of the execution."""

    @property
    def execution(self) -> str:
        """The execution's id."""

    @property
    def step(self) -> int:
        """The step's number, from 1."""

    @property
    def work_dir(self) -> Path:
        """A private directory of this execution; removed afterwards."""

    @property
    def env(self) -> Mapping[str, str]:
        """The environment that processes of this step are given."""

    async def write(self, data: str | bytes, stream: Stream = Stream.STDOUT) -> None:
        """Write to the execution's log. Waits while the bus takes no more."""

    async def run_process(
        self, argv: Sequence[str], *, stdin: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> ProcessExit:
        """Run a process in a group of its own, its output going to the log, until it ends.

        Ends it at the step's timeout and when the execution is aborted. If it cannot be started, or was ended, an
        exception is raised that is the runner's to handle: let it pass.
        """


class StepPlugin(Protocol):
    """A step. One instance carries out one step; its constructor takes no arguments."""

    version: ClassVar[str]
    config_type: ClassVar[type[Any]]
    """A ``msgspec.Struct``: a step's configuration is converted to it, and refused with the place of the fault."""

    async def run(self, config: Any, context: StepContext) -> StepResult:
        """Carry the step out. Raise :class:`StepError` where it cannot be; any other exception fails it, too.

        It is cancelled at the timeout and on abort while no process of ``run_process`` runs.
        """
