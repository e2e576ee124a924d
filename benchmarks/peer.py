"""The other process of a floor that needs two."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import nats
import uvloop
from nats.aio.client import Client


@asynccontextmanager
async def peer(module: str, url: str) -> AsyncIterator[None]:
    """Run ``python -m <module> <url>``, which calls :func:`serve`, until the block ends."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, url, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{module} did not start")
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def serve(prepare: Callable[[Client], Awaitable[None]], url: str, *, use_uvloop: bool) -> None:
    """Connect, let ``prepare`` subscribe, say that it is ready, and serve until killed."""

    async def run() -> None:
        client = await nats.connect(url)
        await prepare(client)
        await client.flush()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if use_uvloop else None) as runner:
        runner.run(run())
