"""Answers of providers, bounded while they are read: in bytes, and in the time that they take."""

from __future__ import annotations

import time
from typing import Any, Final

from services.runner.keystorage.threads import current

MAX_BYTES: Final = 4 << 20
"""Of one answer. No provider takes a value of more than 1 MiB; a listing of 40,000 names fits."""
_CHUNK_BYTES: Final = 65536


class AnswerTooLargeError(Exception):
    """There are more than ``MAX_BYTES``."""


class AnswerTooSlowError(Exception):
    """It comes, and not to its end in time."""


def body_of(response: Any, until_s: float, *, decode: bool) -> bytes:
    """The body of an answer of urllib3 that is yet to be read; ``until_s``: on the monotonic clock.

    Raises :class:`AnswerTooLargeError`, :class:`AnswerTooSlowError`, and what urllib3 raises; then the connection
    is closed.
    """
    data = bytearray()
    try:
        _read(response, data, until_s, decode)
    except BaseException:
        response.close()
        # The traceback holds this frame, and would hold what has come, as long as anybody has the error.
        data.clear()
        raise
    response.release_conn()
    response.close()  # where it broke off, it still holds the socket
    return bytes(data)


def _read(response: Any, data: bytearray, until_s: float, decode: bool) -> None:
    # Whatever has come, at once: a read of a whole chunk would wait for it, however slowly it comes.
    while chunk := response.read1(_CHUNK_BYTES, decode_content=decode):
        data += chunk
        if len(data) > MAX_BYTES:
            raise AnswerTooLargeError
        if time.monotonic() > until_s:
            raise AnswerTooSlowError


def watched(pool: Any) -> Any:
    """A class of connection pools of urllib3 whose connections can be closed from another thread.

    See :class:`services.runner.keystorage.threads.Call`. Bytes that drip would keep a read of a line going for ever.
    """

    class Connection(pool.ConnectionCls):  # type: ignore[misc]
        def _new_conn(self) -> Any:
            sock = super()._new_conn()
            try:
                _watch(sock)
            except ConnectionAbortedError:
                sock.close()
                raise
            return sock

        def getresponse(self, *args: Any, **options: Any) -> Any:
            _watch(self.sock)
            return super().getresponse(*args, **options)

    class Pool(pool):  # type: ignore[misc]
        ConnectionCls = Connection

    return Pool


def _watch(sock: Any) -> None:
    call = current()
    if call is not None and sock is not None:
        call.watch(sock)
