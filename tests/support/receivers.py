"""Those who receive notifications: an HTTP server and a mail server on loopback that answer what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Call:
    """One request."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in small letters."""
    body: bytes


@dataclass
class WebReceiver:
    """Answers with what stands in ``answers``, one each (status, further header lines), then with 204.

    While ``gate`` is cleared it takes requests and does not answer.
    """

    port: int = 0
    answers: list[tuple[int, str]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def triggers(self) -> list[str]:
        return [call.headers["x-rundeck-notification-trigger"] for call in self.calls]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.calls.append(Call(method, target, headers, body))
        await self.gate.wait()
        status, more = self.answers.pop(0) if self.answers else (204, "")
        writer.write(f"HTTP/1.1 {status} Said\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()


@dataclass
class Letter:
    """One mail."""

    sender: str
    recipient: str
    message: EmailMessage

    def text(self) -> str:
        body = self.message.get_body(("plain",))
        assert body is not None
        return str(body.get_content())


@dataclass
class MailReceiver:
    """Takes mails. ``refusals`` are answers to the next recipients, one each, such as ``451 later``."""

    port: int = 0
    refusals: list[str] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender = recipient = ""
        writer.write(b"220 sink ESMTP\r\n")
        while line := (await reader.readline()).decode().strip():
            verb = line[:4].upper()
            if verb == "MAIL":
                sender = line.split("<", 1)[1].split(">", 1)[0]
            elif verb == "RCPT":
                recipient = line.split("<", 1)[1].split(">", 1)[0]
                if self.refusals:
                    writer.write(f"{self.refusals.pop(0)}\r\n".encode())
                    continue
            elif verb == "DATA":
                writer.write(b"354 go\r\n")
                data = (await reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
                message = BytesParser(EmailMessage, policy=default).parsebytes(data)
                self.letters.append(Letter(sender, recipient, message))
            writer.write(b"221 bye\r\n" if verb == "QUIT" else b"250 ok\r\n")
            await writer.drain()
            if verb == "QUIT":
                return


@asynccontextmanager
async def web_receiver() -> AsyncIterator[WebReceiver]:
    receiver = WebReceiver()
    receiver.gate.set()
    async with _listening(receiver.serve) as receiver.port:
        yield receiver
        receiver.gate.set()


@asynccontextmanager
async def mail_receiver() -> AsyncIterator[MailReceiver]:
    receiver = MailReceiver()
    async with _listening(receiver.serve) as receiver.port:
        yield receiver


@asynccontextmanager
async def _listening(handler: Handler) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await handler(reader, writer)
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
