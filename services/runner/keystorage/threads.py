"""Threads for what blocks: it can be cut off, and holds up neither others nor the end of the runner.

The threads of an executor are waited for when Python ends, and one that hangs in a read is lost to all others. These
are daemons; a call that nobody waits for any more has its connection closed under it, and its place is free at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from runbus.plugin import KeyFailure, KeyStorageError

T = TypeVar("T")
ItemT = TypeVar("ItemT")

_LEFT_PER_PLACE: Final = 4
"""So many threads that hang where no connection can be closed (a name server, a disk) are put up with."""
_here = threading.local()


class Call:
    """What one caller waits for, in one thread or several, with the connections that it uses at the moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: dict[int, socket.socket] = {}
        self.is_cut = False

    def watch(self, sock: socket.socket) -> None:
        """The calling thread uses this connection from now on. Raises ConnectionAbortedError after :meth:`cut`."""
        with self._lock:
            if self.is_cut:
                raise ConnectionAbortedError
            self._sockets[threading.get_ident()] = sock

    def unwatch(self) -> None:
        """The calling thread uses none: it may be another call's by now."""
        with self._lock:
            self._sockets.pop(threading.get_ident(), None)

    def cut(self) -> None:
        """Shut the connections: whoever reads there reads the end."""
        with self._lock:
            self.is_cut = True
            sockets = list(self._sockets.values())
            self._sockets.clear()
        for each in sockets:
            with contextlib.suppress(OSError):
                # Not that of TLS, which would take the connection's state away from the thread that reads.
                socket.socket.shutdown(each, socket.SHUT_RDWR)


def current() -> Call | None:
    """The call that this thread works for; None: for none that can be cut off."""
    found = getattr(_here, "call", None)
    return found if isinstance(found, Call) else None


class _Job(Generic[T]):
    """Work, and who waits for it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.call = Call()
        self.is_done = False
        self.is_left = False
        self._work = work
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self._loop.create_future()

    def carry_out(self) -> Callable[[], None]:
        """In a thread. Raises nothing; returns what tells the one who waits, in the thread of the event loop."""
        _here.call = self.call
        try:
            return self._settled(self._work())
        except BaseException as cause:  # noqa: BLE001  (whoever waits is told)
            return self._failed(cause)
        finally:
            _here.call = None

    def tell(self, settle: Callable[[], None]) -> None:
        """From a thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(settle)

    def _settled(self, result: T) -> Callable[[], None]:
        return lambda: None if self.future.done() else self.future.set_result(result)

    def _failed(self, cause: BaseException) -> Callable[[], None]:
        error = RuntimeError(type(cause).__name__) if isinstance(cause, StopIteration) else cause
        return lambda: None if self.future.done() else self.future.set_exception(error)


class Threads:
    """As many as ``at_once``, begun when they are needed and kept until :meth:`close`."""

    def __init__(self, at_once: int, name: str) -> None:
        self._at_once = at_once
        self._name = name
        self._places = asyncio.Semaphore(at_once)
        self._changed = threading.Condition()
        self._jobs: deque[_Job[Any]] = deque()
        self._count = 0
        self._idle = 0
        self._left = 0
        self._is_closed = False

    async def run(self, work: Callable[[], T], *, within_s: float | None = None) -> T:
        """What ``work`` returns, or raises, in a thread.

        Cancelled, or after ``within_s`` (TimeoutError), it is cut off and left behind. Raises
        :class:`KeyStorageError` where too many that were left behind still hang.
        """
        async with self._places:
            job = _Job(work)
            self._begin(job)
            try:
                async with asyncio.timeout(within_s):
                    return await job.future
            finally:
                self._leave(job)

    def close(self) -> None:
        """End those that wait for work; one that works ends afterwards."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _begin(self, job: _Job[Any]) -> None:
        with self._changed:
            if self._left >= _LEFT_PER_PLACE * self._at_once:
                text = f"{self._left} earlier calls still hang: a disk or a name server does not answer the runner"
                raise KeyStorageError(text, reason=KeyFailure.TIMEOUT)
            self._jobs.append(job)
            if self._idle >= len(self._jobs):
                self._changed.notify()
                return
            self._count += 1
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _leave(self, job: _Job[Any]) -> None:
        with self._changed:
            if job.is_done:
                return
            if job in self._jobs:
                self._jobs.remove(job)
                return
            job.is_left = True
            self._left += 1
        job.call.cut()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            settle = job.carry_out()
            with self._changed:
                job.is_done = True
                self._left -= job.is_left
            job.tell(settle)
            del job, settle  # a thread that waits holds no value

    def _next(self) -> _Job[Any] | None:
        with self._changed:
            self._idle += 1
            while not (self._jobs or self._is_closed or self._count - self._left > self._at_once):
                self._changed.wait()
            self._idle -= 1
            if self._jobs:
                return self._jobs.popleft()
            self._count -= 1
            return None


def spread(work: Callable[[ItemT], T], items: Sequence[ItemT], at_once: int) -> list[T]:
    """The results for all items, in their order, worked out by threads of their own for the call of this one.

    Raises what the first of them that fails raises; the rest is not begun.
    """
    call = current() or Call()
    waiting = deque(enumerate(items))
    found: dict[int, T] = {}
    faults: list[BaseException] = []

    def carry_out() -> None:
        _here.call = call
        while not faults:
            try:
                number, item = waiting.popleft()
            except IndexError:
                return
            try:
                found[number] = work(item)
            except BaseException as cause:  # noqa: BLE001  (raised again in the thread that waits)
                faults.append(cause)

    threads = [threading.Thread(target=carry_out, daemon=True) for _ in range(min(at_once, len(items)))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if faults:
        raise faults[0]
    return [found[number] for number in range(len(items))]
