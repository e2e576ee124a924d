"""What stands where a provider should, and says a secret in all that it answers: none of any kind of provider."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

_STATUSES: Final = (400, 401, 403, 404, 405, 429, 473, 500, 501, 503)


def _answer(status: int | str, body: bytes, *headers: str) -> bytes:
    head = "".join(f"{each}\r\n" for each in (*headers, f"Content-Length: {len(body)}", "Connection: close"))
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def _json(status: int | str, said: Any, *headers: str) -> bytes:
    return _answer(status, json.dumps(said).encode(), "Content-Type: application/json", *headers)


def answers(secret: str, port: int) -> Iterator[bytes]:
    """Every way in which it answers; the secret is one line, of ASCII."""
    fields = {"data": {"data": 7, "metadata": {"version": secret}}, "type": secret, "options": {"version": "2"}}
    for said in (
        fields, {"data": fields, "type": "kv", "options": {"version": secret}}, {"data": {"keys": [secret, 7]}},
        {"auth": {"client_token": secret, "lease_duration": secret}, "warnings": [secret]}, [secret], secret,
        {"SecretString": 7, "Name": secret, "SecretList": [{"Name": 7, "ARN": secret}], "NextToken": secret},
        {"errors": [secret], "data": None}, {"data": {"type": secret, "path": secret, "options": {"version": "2"}}},
    ):  # fmt: skip
        yield _json(f"200 {secret}", said)
    for status in _STATUSES:
        yield _json(f"{status} {secret}", {"errors": [secret], "__type": secret, "message": secret, "error": secret})
        yield _answer(f"{status} {secret}", f"<html><title>{secret}</title></html>".encode(), f"X-Said: {secret}")
        yield _json(status, {"__type": f"x#{secret}", "Code": secret}, f"x-amzn-ErrorType: {secret}")
    for status in (301, 302, 307):
        yield _answer(status, secret.encode(), f"Location: http://127.0.0.1:{port}/{secret}?{secret}")
        yield _answer(status, b"", f"Location: {secret}")
    yield f"HTTP/1.1 {secret}\r\n\r\n".encode()
    yield f"{secret}\r\n\r\n{secret}".encode()
    yield f"HTTP/1.1 200 OK\r\nContent-Length: {secret}\r\n\r\n{secret}".encode()
    yield f"HTTP/1.1 200 OK\r\n{secret}\r\n: {secret}\r\n\r\n".encode()
    yield _answer(200, secret.encode(), "Content-Encoding: gzip")
    yield _answer(200, secret.encode(), f"Content-Encoding: {secret}", "Transfer-Encoding: chunked")
    yield _answer(200, b"\xff\xfe" + secret.encode(), f"Content-Type: text/html; charset={secret}")
    yield b""


class EchoServer:
    """``current`` is what every call is answered with, until ``turn`` takes the next."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self.port = 0
        self.calls = 0
        self.current = b""
        self._answers: Iterator[bytes] = iter(())

    def start(self, port: int) -> None:
        self.port = port
        self._answers = itertools.chain(answers(self._secret, port))

    def turn(self) -> bool:
        """Whether there is a next one."""
        found = next(self._answers, None)
        self.current = found or b""
        return found is not None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.calls += 1
            size = next(
                (line.split(b":")[1] for line in head.lower().split(b"\r\n") if b"content-length:" in line), b"0"
            )
            await reader.readexactly(int(size))
            writer.write(self.current)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def echo_server(secret: str) -> AsyncIterator[EchoServer]:
    """On loopback, until the context ends."""
    made = EchoServer(secret)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.start(server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        server.close()
