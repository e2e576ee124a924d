"""What the examples' tests need: a Runbus as an operator starts it, and commands run against it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.subjects import DEFAULT_PREFIX
from tests.support.servers import own_server
from tests.support.system import System, open_system


@asynccontextmanager
async def example_system(directory: Path) -> AsyncIterator[System]:
    """A NATS server of its own, the default prefix, registry and dispatcher as processes."""
    data = directory / "nats"
    data.mkdir()
    async with own_server(data) as server, open_system(server.url, directory, DEFAULT_PREFIX) as system:
        system.start_registry(program=True)
        yield system


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    exit_code: int
    stdout: str
    stderr: str


async def run_command(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None, within_s: float = 30.0
) -> Ended:
    """Run a command to its end; it is killed where it takes longer, or where the caller is cancelled."""
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=cwd, env={**os.environ, **(env or {})},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(within_s):
            stdout, stderr = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace"))


async def must(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> Ended:
    """The same for a command that has to succeed."""
    ended = await run_command(argv, cwd=cwd, env=env, within_s=120.0)
    assert ended.exit_code == 0, f"{' '.join(argv)}: exit code {ended.exit_code}\n{ended.stdout}{ended.stderr}"
    return ended


def missing(reason: str) -> None:
    """Skip with the reason; where CI=true the test fails instead."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
