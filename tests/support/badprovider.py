"""A provider of keys on loopback that answers as none should: for ever, byte by byte, or not to the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

VALUE: Final = "s3cret-of-the-provider"
GOOD: Final = (
    b'{"data": {"data": "s3cret-of-the-provider"}, "Name": "a", "SecretString": "s3cret-of-the-provider", "x": "{"}'
)
"""What Vault (KV 1, and of its token), AWS and a login of Conjur could all have answered."""
WAYS: Final = ("endless", "endless chunks", "drip", "drip head", "drip chunks", "closed", "silent")
_DRIP_S: Final = 0.02
_BLOCK: Final = b" " * 65536


class BadProvider:
    """``way``: one of ``WAYS``; ``good``, until then."""

    def __init__(self) -> None:
        self.port = 0
        self.way = "good"
        self.sent_bytes = 0
        self.calls = 0

    def settings(self, kind: str, **more: str) -> dict[str, str]:
        """Those of a key storage ``vault``, ``conjur`` or ``aws-secrets-manager`` that asks here."""
        url = f"http://127.0.0.1:{self.port}"
        given = {
            "vault": {"address": url, "token": "t0ken"},
            "conjur": {"applianceUrl": url, "account": "acme", "login": "host/x", "apiKey": "k3y"},
            "aws-secrets-manager": {
                "endpoint": url, "region": "eu-west-1", "accessKeyId": "AKIAX", "secretAccessKey": "s3cret-key",
            },
        }[kind]  # fmt: skip
        return {**given, "maxRetries": "0", "openTimeout": "0.5", "readTimeout": "0.5", **more}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            lines = [line.split(b":") for line in head.lower().split(b"\r\n")]
            await reader.readexactly(next((int(rest[0]) for name, *rest in lines if name == b"content-length"), 0))
            self.calls += 1
            await self._answer(writer)
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        kind, head = self.way, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        if kind == "good":
            await self._send(writer, head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD)
        elif kind == "silent":
            await asyncio.Event().wait()
        elif kind == "drip head":
            await self._send(writer, head + b"X-Long: ")
            await self._drip(writer, b"x")
        elif kind != "closed":
            is_chunked = kind.endswith("chunks")
            size = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: 99999999999"
            await self._send(writer, head + size + b"\r\n\r\n" + b"" * is_chunked)
            if kind == "drip chunks":
                await self._drip(writer, b"0")  # a chunk's length that never ends
            elif kind == "drip":
                await self._drip(writer, b" ")
            while True:
                await self._send(writer, b"10000\r\n%s\r\n" % _BLOCK if is_chunked else _BLOCK)

    async def _drip(self, writer: asyncio.StreamWriter, byte: bytes) -> None:
        while True:
            await self._send(writer, byte)
            await asyncio.sleep(_DRIP_S)

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        self.sent_bytes += len(data)


@asynccontextmanager
async def bad_provider() -> AsyncIterator[BadProvider]:
    """On loopback, until the context ends."""
    made = BadProvider()
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            tasks.add(task)
        with suppress(asyncio.CancelledError):
            await made.serve(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
