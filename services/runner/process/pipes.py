"""The three pipes of a child process: output read with back-pressure, input written without deadlock."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from typing import Final

from services.runner.process.spawn import Spawned

READ_BYTES: Final = 128 * 1024
"""Read at a time, and what an output pipe is made to hold: each piece costs its share, however large it is."""
FULL_BYTES: Final = 64 * 1024
"""What a pipe holds by default on Linux: who reads so much reads more slowly than the child writes."""
FULL_READS: Final = 4
"""So many full pipes are read in a row before the other stream and the rest of the loop get their turn."""


class Stream(StrEnum):
    """Where a chunk of output was written."""

    STDOUT = "stdout"
    STDERR = "stderr"


OutputConsumer = Callable[[Stream, bytes], Awaitable[None]]
"""Takes the output chunk by chunk; while it is busy, nothing more is read and the child waits at its full pipe.

It must let itself be cancelled: that is how a timeout or an abort gives up on it."""


class Pipes:
    """Reads stdout and stderr by turns of their readiness, one chunk at a time, and feeds stdin in the background.

    Readiness is queued, not data: a pipe that became readable is not looked at until the consumer has taken what
    came before. So a single chunk is held, and the loop gets its turn between any two.
    """

    def __init__(self, spawned: Spawned, stdin: bytes | None, *, on_output: OutputConsumer) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_output = on_output
        self._outputs = {Stream.STDOUT: spawned.stdout, Stream.STDERR: spawned.stderr}
        self._ready: deque[Stream] = deque()
        self._waiter: asyncio.Future[bool] | None = None
        self._stdin = spawned.stdin
        self._unsent = memoryview(stdin or b"")
        for stream, fd in self._outputs.items():
            _widen(fd)
            self._listen(stream)
        if self._stdin is not None:
            self._loop.add_writer(self._stdin, self._feed)
            self._feed()

    @property
    def ended(self) -> bool:
        """Both outputs were read to their end, or closed by us."""
        return not self._outputs

    async def pump(self, is_over: Callable[[], bool], *, linger_s: float) -> None:
        """Hand on the output until the process ``is_over`` and its outputs have ended or are quiet for ``linger_s``.

        Whoever makes ``is_over`` true calls :meth:`wake`.
        """
        while True:
            while self._ready:
                await self._hand_on(self._ready.popleft())
            over = is_over()
            if over and self.ended:
                return
            if not await self._woken(linger_s if over else None):
                return

    def wake(self) -> None:
        """Have :meth:`pump` look again."""
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(True)

    def close(self) -> None:
        """Close what is still open."""
        self._close_stdin()
        for fd in self._outputs.values():
            self._loop.remove_reader(fd)
            os.close(fd)
        self._outputs.clear()
        self._ready.clear()

    async def _hand_on(self, stream: Stream) -> None:
        fd = self._outputs[stream]
        for _ in range(FULL_READS):
            try:
                data = os.read(fd, READ_BYTES)
            except BlockingIOError:  # nothing more, or nothing at all: "readable" is no promise
                break
            if not data:
                del self._outputs[stream]
                os.close(fd)
                return
            await self._on_output(stream, data)
            if len(data) < FULL_BYTES:
                break
        self._listen(stream)

    def _listen(self, stream: Stream) -> None:
        self._loop.add_reader(self._outputs[stream], self._readable, stream)

    def _readable(self, stream: Stream) -> None:
        self._loop.remove_reader(self._outputs[stream])
        self._ready.append(stream)
        self.wake()

    async def _woken(self, within_s: float | None) -> bool:
        """Wait until there is something to do; False if there was nothing in that time."""
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiter = waiter
        timer = None if within_s is None else self._loop.call_later(within_s, _give_up, waiter)
        try:
            return await waiter
        finally:
            if timer:
                timer.cancel()

    def _feed(self) -> None:
        """Write what the child's standard input takes now; a child that does not want it is no error."""
        if self._stdin is None:
            return
        try:
            self._unsent = self._unsent[os.write(self._stdin, self._unsent) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._unsent = memoryview(b"")
        if not self._unsent:
            self._close_stdin()

    def _close_stdin(self) -> None:
        if self._stdin is not None:
            self._loop.remove_writer(self._stdin)
            os.close(self._stdin)
            self._stdin = None


def _widen(pipe: int) -> None:
    """Let it hold more; one of a user who has many (``pipe-user-pages-soft``), or that is no pipe, stays as it is."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, READ_BYTES)


def _give_up(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)
