"""The runner's own node: commands run beside it, files are written where it is."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from typing import ClassVar

from runbus.plugin import FailureReason, Node, NodeContext, ProcessExit, StepError
from services.runner.nodes.shell import HIDDEN_ARGV, LINE, SHELL, RunnerContext, argv_of


class LocalNodes:
    """Node executor and file copier ``local``."""

    version: ClassVar[str] = "1.0"
    requires: ClassVar[tuple[str, ...]] = ()

    async def execute(self, node: Node, words: Sequence[str], context: NodeContext) -> ProcessExit:  # noqa: ARG002
        """Run the line by ``/bin/sh -c``, as the original's local executor does; with a secret it is no argument."""
        line = " ".join(words)
        argv = argv_of(line)
        if argv[0] == SHELL and isinstance(context, RunnerContext) and context.holds_secret(line):
            return await context.run_process(HIDDEN_ARGV, env={**context.process_env(), LINE: line})
        return await context.run_process(argv)

    async def copy(self, node: Node, content: bytes, destination: str, context: NodeContext) -> None:
        """Write a file that only the runner's user reads."""
        try:
            await asyncio.to_thread(_write, destination, content)
        except (OSError, ValueError) as cause:
            reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
            raise StepError(
                f"Node {node.name}: the file {destination} could not be written on runner {context.runner}: "
                f"{reason}. Nothing is left of it; look at the directory, its owner and its free space.",
                reason=FailureReason.IO_FAILURE,
            ) from cause

    async def close(self) -> None:
        """Nothing is held."""


def _write(destination: str, content: bytes) -> None:
    """Always a new file: what a name in a directory of all users already stands for is not written through."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(destination)  # noqa: PTH108  (text that may be no path: ValueError)
    fd = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(destination)  # noqa: PTH108
        raise
