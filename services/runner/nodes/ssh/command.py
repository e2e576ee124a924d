"""One command on one connection: its output, its end, and ending it."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import asyncssh

from runbus.plugin import ProcessExit, Stream
from services.runner.nodes.marks import environment_of, new_mark, signal_script
from services.runner.nodes.ssh.failures import NothingSentError
from services.runner.nodes.ssh.pool import Link

FULL_BYTES: Final = 256 * 1024
"""So much output is held before no more is read."""
CHUNK_BYTES: Final = 128 * 1024
_HEED_S: Final = 1.0
"""How long a command has to heed a signal that the server passes on, before it is sought by a second command."""
_TAIL_S: Final = 0.25
"""How long its last output may take once it has been ended."""
_KILLED_WITHIN_S: Final = 2.0
_SCRIPT_WITHIN_S: Final = 10.0

Write = Callable[[bytes, Stream], Awaitable[None]]


class ConnectionLostError(Exception):
    """The connection broke after the command was sent and before it was known how it ended."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run and within which limits."""

    line: str = field(repr=False)
    env: Mapping[str, str] | None = field(repr=False)
    """Sent with the command; the server takes what it likes. None: nothing is sent."""
    stdin: bytes = field(default=b"", repr=False)
    """All that it can read; with a terminal nothing is sent."""
    has_pty: bool = False
    grace_s: float = 5.0
    """How long it has between SIGTERM and SIGKILL."""
    linger_s: float = 5.0
    """How long its output has to be quiet after its end before it is taken from a process left in the background."""


class Session(asyncssh.SSHClientSession[bytes]):
    """Collects what a command writes, in order, and how it ends."""

    def __init__(self) -> None:
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None
        self.exit: ProcessExit | None = None
        self.closed = False
        self.cause: Exception | None = None
        self._pieces: deque[tuple[Stream, bytes]] = deque()
        self._held_bytes = 0
        self._is_full = False
        self._wake = asyncio.Event()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """The channel is open; the command has not been sent."""
        self.channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Hold it, and read no more where much is held."""
        stream = Stream.STDERR if datatype == asyncssh.EXTENDED_DATA_STDERR else Stream.STDOUT
        self._pieces.append((stream, data))
        self._held_bytes += len(data)
        if self._held_bytes >= FULL_BYTES and not self._is_full and self.channel is not None:
            self._is_full = True
            self.channel.pause_reading()
        self._wake.set()

    def eof_received(self) -> bool:
        """The channel stays open for the exit status."""
        return True

    def exit_status_received(self, status: int) -> None:
        """It ended by itself."""
        self.exit = ProcessExit(exit_code=status)
        self._wake.set()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: ARG002
        """A signal ended it."""
        self.exit = ProcessExit(exit_code=None, signal=f"SIG{signal.removeprefix('SIG')}")
        self._wake.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more comes."""
        self.closed, self.cause = True, exc
        self._wake.set()

    async def pump(self, write: Write, *, linger_s: float) -> bool:
        """Hand the output on to its end; False where it was still held open and quiet for ``linger_s``."""
        while True:
            while self._pieces:
                stream, data = self._next()
                await write(data, stream)
            if self.closed:
                return True
            self._wake.clear()
            try:
                async with asyncio.timeout(None if self.exit is None else linger_s):
                    await self._wake.wait()
            except TimeoutError:
                return False

    def _next(self) -> tuple[Stream, bytes]:
        """Pieces of one stream that lie next to each other, as one."""
        stream, first = self._pieces.popleft()
        parts, size = [first], len(first)
        while self._pieces and self._pieces[0][0] is stream and size < CHUNK_BYTES:
            parts.append(self._pieces.popleft()[1])
            size += len(parts[-1])
        self._held_bytes -= size
        if self._is_full and self._held_bytes < FULL_BYTES // 2 and self.channel is not None:
            self._is_full = False
            self.channel.resume_reading()
        return stream, parts[0] if len(parts) == 1 else b"".join(parts)


async def run_command(link: Link, command: Command, write: Write) -> ProcessExit:
    """Run it to its end. Cancelled, it ends what runs on the node as far as the server lets it.

    Raises :class:`NothingSentError` and :class:`ConnectionLostError`.
    """
    session, mark = Session(), new_mark()
    env = {} if command.env is None else {**command.env, **environment_of(mark)}
    try:
        await _start(link, session, command, env)
        if not await session.pump(write, linger_s=command.linger_s):
            await write(
                b"A process left in the background still holds the output; what it writes from here on is not "
                b"logged.\n",
                Stream.RUNNER,
            )
    except (NothingSentError, ConnectionLostError):
        raise
    except BaseException:
        await _stop(link, session, command, mark, write)
        raise
    finally:
        if session.channel is not None:
            session.channel.close()
    if session.exit is None:
        raise ConnectionLostError(session.cause or asyncssh.ConnectionLost("the server closed it without a status"))
    return session.exit


async def _start(link: Link, session: Session, command: Command, env: Mapping[str, str]) -> None:
    try:
        channel, _ = await link.connection.create_session(
            lambda: session,
            command.line,
            env=list(env.items()),
            encoding=None,
            request_pty="force" if command.has_pty else False,
            term_type="dumb" if command.has_pty else None,
        )
    except asyncio.CancelledError:
        # A channel that the server may open yet is nobody's: it ends with its connection.
        link.retired = link.retired or session.channel is None
        raise
    except (asyncssh.Error, OSError) as cause:
        if session.channel is None or _is_refusal(cause):
            raise NothingSentError(cause) from cause
        raise ConnectionLostError(cause) from cause
    if not command.has_pty:
        with contextlib.suppress(BrokenPipeError):  # it has ended already, and read nothing: its exit code says how
            channel.write(command.stdin)
        channel.write_eof()


def _is_refusal(cause: BaseException) -> bool:
    """The server has answered that it does not run it."""
    return isinstance(cause, asyncssh.ChannelOpenError)


async def _stop(link: Link, session: Session, command: Command, mark: str, write: Write) -> None:
    """SIGTERM, grace, SIGKILL; a server that passes no signals on is asked by a second command."""
    if session.channel is None or session.closed:
        return
    ended = asyncio.create_task(session.pump(write, linger_s=_TAIL_S))
    try:
        for signal, within_s in (("TERM", command.grace_s), ("KILL", _KILLED_WITHIN_S)):
            session.channel.send_signal(signal)
            if await _ends(ended, min(_HEED_S, within_s)):
                return
            answered = await _signal_by_command(link, mark, signal)
            if await _ends(ended, within_s if answered else 0.0):
                return
            if not answered:
                break
        await write(b"It did not end on SIGKILL, or the server lets nobody end it: it may go on.\n", Stream.RUNNER)
    finally:
        ended.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(ended, return_exceptions=True)
        link.retired = link.retired or session.exit is None


async def _ends(task: asyncio.Task[bool], within_s: float) -> bool:
    done, _ = await asyncio.wait({task}, timeout=within_s)
    return bool(done)


async def _signal_by_command(link: Link, mark: str, signal: str) -> bool:
    """Whether the server answered; one that opens no further session does, and lets nobody do this."""
    script = signal_script(mark, signal, siblings=link.sessions == 1)
    try:
        async with asyncio.timeout(_SCRIPT_WITHIN_S):
            await link.connection.run(f"exec /bin/sh -c {shlex.quote(script)}", stdin=asyncssh.DEVNULL, encoding=None)
    except TimeoutError:
        return False
    except (asyncssh.Error, OSError):
        return not link.connection.is_closed()
    return True
