"""Whether an engine refuses the runner's certificate."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from services.runner.nodes.docker.place import Engine

_WITHIN_S: Final = 5.0


async def refusal(engine: Engine) -> OSError | None:
    """The error with which an engine refuses the runner's certificate; None where it says nothing of that kind.

    From TLS 1.3 on an engine says so after the handshake, and then closes; where it was sent a request by then, its
    system resets the connection, and what it said is lost. So nothing is sent here.
    """
    address = urlsplit(engine.host)
    try:
        context = await asyncio.to_thread(_presenting, Path(engine.cert_path or ""))
        async with asyncio.timeout(_WITHIN_S):
            reader, writer = await asyncio.open_connection(address.hostname, address.port or 443, ssl=context)
            try:
                await reader.read(1)
            finally:
                writer.transport.abort()
    except TimeoutError:
        return None
    except OSError as cause:
        return cause
    return None


def _presenting(directory: Path) -> ssl.SSLContext:
    # Whose certificate the engine has was looked at before.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if (directory / "cert.pem").exists():
        context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context
