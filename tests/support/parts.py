"""The parts of a Runbus under test, in this process as tasks or as programs of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from bus.lifecycle import StopSignal
from services.dispatcher import app as dispatcher
from services.dispatcher.settings import DispatcherSettings
from services.keyproxy import app as keyproxy
from services.keyproxy.settings import KeyproxySettings
from services.nodesource import app as nodesource
from services.nodesource.settings import NodesourceSettings
from services.registry import app as registry
from services.registry.settings import RegistrySettings
from services.runner import app as runner
from services.runner.settings import RunnerSettings
from tests.support.processes import Program

_STOP_WITHIN_S: Final = 15.0

Settings = Mapping[str, Any]

_RUN: Final[dict[str, Callable[[Settings, StopSignal], Coroutine[Any, Any, int]]]] = {
    "registry": lambda settings, stop: registry.run(RegistrySettings(**settings), stop),
    "dispatcher": lambda settings, stop: dispatcher.run(DispatcherSettings(**settings), stop),
    "nodesource": lambda settings, stop: nodesource.run(NodesourceSettings(**settings), stop),
    "keyproxy": lambda settings, stop: keyproxy.run(KeyproxySettings(**settings), stop),
    "runner": lambda settings, stop: runner.run(RunnerSettings(**settings), stop),
}


class Part(Protocol):
    """One copy of a service."""

    def check(self) -> None:
        """Raise what ended it, if it has ended."""

    async def stop(self) -> int:
        """Ask it to stop, and return its exit code. Safe to call twice."""


class TaskPart:
    """A service as a task of this event loop."""

    def __init__(self, kind: str, settings: Settings) -> None:
        self.signal = StopSignal()
        self.task = asyncio.ensure_future(_RUN[kind](settings, self.signal))

    def check(self) -> None:
        if self.task.done():
            raise AssertionError("a service ended by itself") from self.task.exception()

    async def stop(self) -> int:
        self.signal.set("end of the test")
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end; raises what it raised."""
        async with asyncio.timeout(_STOP_WITHIN_S):
            return await self.task


class ProgramPart:
    """A service as a process."""

    def __init__(self, kind: str, settings: Settings, *, log_path: Path, env: Mapping[str, str]) -> None:
        named = {f"RUNBUS_{key.upper()}": _text(value) for key, value in settings.items()}
        self.program = Program(f"services.{kind}", {**env, **named}, log_path)

    def check(self) -> None:
        code = self.program.exit_code
        if code is not None:
            raise RuntimeError(f"it ended by itself with code {code}; its log:\n{self.program.log[-4000:]}")

    async def stop(self) -> int:
        return await self.program.stop()


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
