"""The end of an execution's log as text, for mails."""

from __future__ import annotations

import base64
import re
from collections import deque
from typing import Final

from bus.connection import Bus
from runbus.client import Client
from schemas.events import LogEntry
from schemas.subjects import Subjects

LOG_BYTES: Final = 1024 * 1024
_COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_NOT_TEXT: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_CUT: Final = "(the beginning of the log is left out)\n"


async def read_log_end(bus: Bus, subjects: Subjects, project: str, execution: str) -> str:
    """The last 1 MiB of what is stored, without colours. Raises ``unavailable``."""
    pieces: deque[bytes] = deque()
    held_bytes, is_cut = 0, False
    async for piece in Client(bus, subjects).log(project, execution):
        for entry in piece.entries:
            pieces.append(_bytes_of(entry))
            held_bytes += len(pieces[-1])
        while pieces and held_bytes - len(pieces[0]) >= LOG_BYTES:
            held_bytes -= len(pieces.popleft())
            is_cut = True
    whole = b"".join(pieces)
    text = whole[-LOG_BYTES:].decode(errors="replace")
    clean = _NOT_TEXT.sub("", _COLOURS.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))
    return f"{_CUT}{clean}" if is_cut or len(whole) > LOG_BYTES else clean


def _bytes_of(entry: LogEntry) -> bytes:
    return base64.b64decode(entry.base64) if entry.base64 else entry.text.encode()
