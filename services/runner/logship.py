"""From a child's output to the LOGS stream: in order, in bounded memory, soon when quiet and in bulk when busy."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import deque
from typing import Final

import msgspec
import structlog

from bus.connection import Bus
from schemas.codec import encode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import LogChunk, LogEntry

CHUNK_BYTES: Final = 256 * 1024
"""Raw bytes in one message, at most a quarter of what the bus takes (1 MiB by default). As JSON most text takes
hardly more; what takes more than the bus does is sent in parts."""
ENTRY_BYTES: Final = 64
"""What an entry takes besides its text, by the same measure: output may come in pieces of one byte."""
IN_FLIGHT: Final = 4
"""Chunks on their way at a time: the memory a log takes is bounded by this, whatever the child prints."""
_SMALL_BYTES: Final = 4096
_RETRY_S: Final = 0.5

log = structlog.get_logger("runner")


class LogLabel(msgspec.Struct, frozen=True, kw_only=True):
    """What a piece of output belongs to; the fields are those of a ``LogEntry``."""

    stream: str
    step: int
    node: str = ""
    context: str = ""
    level: str = ""
    meta: tuple[tuple[str, str], ...] = ()

    @property
    def size_bytes(self) -> int:
        """What an entry under this label takes besides its text, about."""
        meta = sum(len(name) + len(value) for name, value in self.meta) if self.meta else 0
        return ENTRY_BYTES + len(self.node) + len(self.context) + len(self.level) + meta

    def entry(self, at: float, *, text: str = "", base64: str = "") -> LogEntry:
        """An entry under this label."""
        return LogEntry(
            at=at, stream=self.stream, step=self.step, text=text, base64=base64, node=self.node, context=self.context,
            level=self.level, meta=dict(self.meta),
        )  # fmt: skip


class _Piece:
    """What was written under one label in a row, as it came; only small writes are copied together."""

    __slots__ = ("_parts", "at", "label", "label_bytes")

    def __init__(self, label: LogLabel) -> None:
        self.at = time.time()
        self.label = label
        self.label_bytes = label.size_bytes
        self._parts: deque[bytes | bytearray | memoryview] = deque()

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, data: bytes) -> None:
        last = self._parts[-1] if self._parts else b""
        if isinstance(last, bytearray) and len(last) < _SMALL_BYTES:
            last += data
        else:
            self._parts.append(bytearray(data) if len(data) < _SMALL_BYTES else data)

    def take(self, most_bytes: int) -> bytes:
        taken: list[bytes | bytearray | memoryview] = []
        while self._parts and most_bytes > 0:
            part = self._parts.popleft()
            if len(part) > most_bytes:
                whole = memoryview(part)
                self._parts.appendleft(whole[most_bytes:])
                part = whole[:most_bytes]
            taken.append(part)
            most_bytes -= len(part)
        return b"".join(taken)


class LogShip:
    """The log of one attempt. ``write`` waits while too much is under way; ``finish`` returns when all is stored."""

    def __init__(self, bus: Bus, subject: str, *, attempt: int, msg_id: str) -> None:
        self._bus = bus
        self._subject = subject
        self._attempt = attempt
        self._msg_id = msg_id
        self._pieces: deque[_Piece] = deque()
        self._buffered_bytes = 0
        self._carry: dict[LogLabel, bytes] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._chunk_bytes = min(CHUNK_BYTES, bus.max_payload_bytes // 4)
        self._failure: BaseException | None = None
        self._moved = asyncio.Event()
        self._chunk = 0
        self.last_seq = 0
        """Sequence in the stream of the last chunk that is stored; 0: none."""

    async def write(self, label: LogLabel, data: bytes) -> None:
        """Add output. Returns at once while the bus keeps up."""
        self.put(label, data)
        if self._buffered_bytes >= self._chunk_bytes:
            await self.wait_for_room()

    def put(self, label: LogLabel, data: bytes) -> None:
        """Add output, and be about to ``wait_for_room``."""
        if not data:
            return
        last = self._pieces[-1] if self._pieces else None
        if last is None or (last.label is not label and last.label != label):
            last = _Piece(label)
            self._pieces.append(last)
            self._buffered_bytes += last.label_bytes
        last.add(data)
        self._buffered_bytes += len(data)
        self._send_if_due()

    async def wait_for_room(self) -> None:
        """Wait while too much is under way."""
        while self._buffered_bytes >= self._chunk_bytes:
            self._moved.clear()
            await self._moved.wait()

    async def finish(self) -> int:
        """Send the rest and wait until everything is stored; returns the last sequence (0: there was no output).

        Raises what kept a chunk from being stored for good.
        """
        while self._pieces or self._sending:
            self._send_if_due()
            if self._sending:
                self._moved.clear()
                await self._moved.wait()
        if any(self._carry.values()):
            now = time.time()
            self._send([label.entry(now, base64=base64.b64encode(data).decode())
                        for label, data in self._carry.items() if data])  # fmt: skip
            self._carry.clear()
            await asyncio.gather(*self._sending)
        if self._failure is not None:
            raise self._failure
        return self.last_seq

    def abandon(self) -> None:
        """Give up what is under way: the attempt was superseded, or the process ends."""
        for task in self._sending:
            task.cancel()

    def _send_if_due(self) -> None:
        """Send when nothing is under way (soon), or when a whole chunk is there (in bulk)."""
        while self._pieces and len(self._sending) < IN_FLIGHT:
            if self._sending and self._buffered_bytes < self._chunk_bytes:
                return
            entries = self._take_chunk()
            if entries:
                self._send(entries)

    def _take_chunk(self) -> list[LogEntry]:
        entries: list[LogEntry] = []
        room = self._chunk_bytes
        while self._pieces and room > 0:
            piece = self._pieces[0]
            data = piece.take(room)
            if not piece:
                self._pieces.popleft()
                self._buffered_bytes -= piece.label_bytes
            room -= len(data) + piece.label_bytes
            self._buffered_bytes -= len(data)
            entry = self._entry(piece, data)
            if entry is not None:
                entries.append(entry)
        return entries

    def _entry(self, piece: _Piece, data: bytes) -> LogEntry | None:
        """Text where it is UTF-8; a character cut in two waits for its other half."""
        label = piece.label
        data = self._carry.pop(label, b"") + data
        try:
            return label.entry(piece.at, text=data.decode())
        except UnicodeDecodeError as cause:
            if cause.reason == "unexpected end of data" and len(data) - cause.start < 4:
                self._carry[label] = data[cause.start :]
                head = data[: cause.start]
                return label.entry(piece.at, text=head.decode()) if head else None
        return label.entry(piece.at, base64=base64.b64encode(data).decode())

    def _send(self, entries: list[LogEntry]) -> None:
        data = encode(LogChunk(chunk=self._chunk + 1, attempt=self._attempt, entries=entries))
        if len(data) > self._bus.max_payload_bytes:
            for half in _halves(entries):
                self._send(half)
            return
        self._chunk += 1
        task = asyncio.ensure_future(self._store(data, f"{self._msg_id}.{self._chunk}"))
        self._sending.add(task)
        task.add_done_callback(self._stored)

    def _stored(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if task.cancelled():
            return
        self._failure = self._failure or task.exception()
        self._send_if_due()
        self._moved.set()

    async def _store(self, data: bytes, msg_id: str) -> None:
        """Store one chunk, however long the bus is away; its message id keeps a second try from doubling it."""
        while True:
            try:
                seq = await self._bus.append(self._subject, data, msg_id=msg_id)
            except RunbusError as error:
                if error.code is not ErrorCode.UNAVAILABLE:
                    raise
                log.warning("log.waiting", subject=self._subject, reason=error.message)
                await asyncio.sleep(_RETRY_S)
            else:
                self.last_seq = max(self.last_seq, seq)
                return


def _halves(entries: list[LogEntry]) -> tuple[list[LogEntry], list[LogEntry]]:
    """The same output in two; a single entry is cut in its middle."""
    if len(entries) > 1:
        middle = len(entries) // 2
        return entries[:middle], entries[middle:]
    entry = entries[0]
    text, encoded = len(entry.text) // 2, len(entry.base64) // 8 * 4
    first = msgspec.structs.replace(entry, text=entry.text[:text], base64=entry.base64[:encoded])
    second = msgspec.structs.replace(entry, text=entry.text[text:], base64=entry.base64[encoded:])
    return [first], [second]
