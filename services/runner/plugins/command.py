"""The ``command`` step: one line for the shell."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from runbus.plugin import StepContext, StepResult


class CommandConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``command`` is run as ``/bin/sh -c <command>``, as the original's local executor does."""

    command: str


class CommandStep:
    """Run a command line by the shell."""

    version: ClassVar[str] = "1.0"
    config_type: ClassVar[type[CommandConfig]] = CommandConfig

    async def run(self, config: CommandConfig, context: StepContext) -> StepResult:
        """Run it, and report its exit code or signal."""
        return StepResult.of(await context.run_process(["/bin/sh", "-c", config.command]))
