"""The ``command`` step: one line for the shell."""

from __future__ import annotations

import os
import re
from typing import ClassVar, Final

import msgspec

from runbus.plugin import StepContext, StepResult

_PLAIN: Final = re.compile(r"/[A-Za-z0-9_./+-]+(?: [A-Za-z0-9_./:@%+,-]+)*")
"""A program by its path and words that mean themselves: the shell would do no more than start it."""


class CommandConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``command`` is run as ``/bin/sh -c <command>``, as the original's local executor does."""

    command: str


class CommandStep:
    """Run a command line by the shell."""

    version: ClassVar[str] = "1.0"
    config_type: ClassVar[type[CommandConfig]] = CommandConfig

    async def run(self, config: CommandConfig, context: StepContext) -> StepResult:
        """Run it, and report its exit code or signal."""
        return StepResult.of(await context.run_process(argv_of(config.command)))


def argv_of(command: str) -> list[str]:
    """What is started for a line: the shell, or the program itself where the shell would add nothing but time.

    A path that cannot be started is left to the shell, for its words and its exit code (126, 127).
    """
    if _PLAIN.fullmatch(command):
        words = command.split(" ")
        if os.access(words[0], os.X_OK) and os.path.isfile(words[0]) and _is_program(words[0]):  # noqa: PTH113
            return words
    return ["/bin/sh", "-c", command]


def _is_program(path: str) -> bool:
    """Whether the kernel starts it: a script without a first line that names its interpreter is the shell's."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  (in the path of every command)
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False
