"""How a thread that waits for an answer is made to stop."""

from __future__ import annotations

import contextlib
import socket
import threading
from http.client import HTTPConnection

from runbus.plugin import SourceError, SourceFailure


class Abort:
    """Asked for by the event loop, heeded by the thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_cut = False
        self._connection: HTTPConnection | None = None

    def check(self) -> None:
        """Raises :class:`SourceError` once it was asked for."""
        if self._is_cut:
            raise SourceError("nobody waits for the answer any more", reason=SourceFailure.TIMEOUT)

    def watch(self, connection: HTTPConnection) -> None:
        """The connection that the thread uses from now on. Raises :class:`SourceError`."""
        with self._lock:
            self.check()
            self._connection = connection

    def release(self) -> None:
        """The thread is about to leave: what it does yet is left alone."""
        with self._lock:
            self._connection = None

    def cut(self) -> None:
        """Make the thread stop: what it waits for on the connection ends at once."""
        with self._lock:
            self._is_cut = True
            opened = self._connection.sock if self._connection is not None else None
        if opened is not None:
            with contextlib.suppress(OSError):
                # Not the method of an SSL socket: that one takes the encryption from under the thread that reads.
                socket.socket.shutdown(opened, socket.SHUT_RDWR)
