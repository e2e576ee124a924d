"""NATS servers for tests: one for a session, or one of a test's own that it may stop and start again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from bus.server import EmbeddedServer, ServerSettings


@contextmanager
def server_for_session(directory: Path) -> Iterator[EmbeddedServer]:
    """A server for tests whose event loops come and go."""
    server = EmbeddedServer(ServerSettings(data_dir=directory, port=0))
    with asyncio.Runner() as runner:
        runner.run(server.start())
    try:
        yield server
    finally:
        with asyncio.Runner() as runner:
            runner.run(server.stop())


@asynccontextmanager
async def own_server(directory: Path) -> AsyncIterator[EmbeddedServer]:
    """A server of the test's own. ``stop`` and ``start`` keep port and data."""
    server = EmbeddedServer(ServerSettings(data_dir=directory, port=0))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
