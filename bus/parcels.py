"""What is too large for a message: parked in a stream under a name that tells its digest, for a time.

NATS's own object store would do, but its Python client needs a quarter of a second to get 3 MB (this: 10 ms), waits
for ever for a chunk that has expired, and knows one time to live for all objects (nats-py 2.16).
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import time
import zlib
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Final, TypeVar

import nats.errors
from nats.js.api import RawStreamMsg, StreamConfig
from nats.js.errors import APIError, NotFoundError

from bus.connection import Bus
from schemas.errors import ErrorCode, RunbusError
from schemas.subjects import Subjects

T = TypeVar("T")

DAY_S: Final = 86_400.0
DEFAULT_TTL_S: Final = 7 * DAY_S
MAX_BYTES: Final = 256 << 20
"""Of a parcel, as it was before it was compressed."""
CHUNK_BYTES: Final = 256 << 10
HEADER_CHUNKS: Final = "Runbus-Chunks"
HEADER_BYTES: Final = "Runbus-Bytes"
HEADER_ENCODING: Final = "Runbus-Encoding"
DEFLATE: Final = "deflate"
_HEADER_TTL: Final = "Nats-TTL"
_NAME: Final = re.compile(r"(?P<at>[0-9a-f]{8})-[0-9a-f]{16}-(?P<digest>[0-9a-f]{32})\Z")
_DIGEST_CHARS: Final = 32
_AT_ONCE: Final = 8
"""Chunks on their way at a time."""
_ANSWER_WITHIN_S: Final = 10.0
_SMALL_BYTES: Final = 32 << 10
"""Up to here a thread costs more than it spares."""
_MAX_CHUNKS: Final = 1 << 16
_SAMPLE_BYTES: Final = 64 << 10
_HELPFUL: Final = 0.9
_IN_USE_OTHERWISE: Final = 10058


class Parcels:
    """A store of parcels. A parcel is never changed; whoever has its name can tell whether it is whole."""

    def __init__(self, bus: Bus, bucket: str) -> None:
        self._bus = bus
        self.bucket: Final = bucket

    @classmethod
    async def open(cls, bus: Bus, bucket: str, *, ttl_s: float = DEFAULT_TTL_S, replicas: int = 1) -> Parcels:
        """Open the store, and make it where it is not there yet; ``ttl_s`` 0: its parcels stay until removed.

        Raises ``unavailable`` where JetStream is off or refuses. A store that is there keeps the settings it has.
        """
        config = StreamConfig(
            name=bucket,
            subjects=[Subjects.parcel_chunk(bucket, "*", "*")],
            max_age=ttl_s,
            allow_direct=True,
            allow_msg_ttl=True,
            num_replicas=replicas,
        )
        try:
            await bus.js.add_stream(config)
        except (APIError, nats.errors.Error) as cause:
            if not (isinstance(cause, APIError) and cause.err_code == _IN_USE_OTHERWISE):
                raise RunbusError(
                    ErrorCode.UNAVAILABLE,
                    f"store {bucket} cannot be made ({cause}). Is JetStream on (nats-server -js, 2.11 or later)?",
                    details={"store": bucket},
                ) from cause
        return cls(bus, bucket)

    async def put(self, data: bytes, *, ttl_s: float | None = None) -> str:
        """Park ``data``, for less than the store's time where ``ttl_s`` (whole seconds) says so; returns its name.

        It is there once this returns. Raises ``too_large`` above 256 MiB, ``unavailable`` where it is not stored.
        """
        if len(data) > MAX_BYTES:
            raise RunbusError(
                ErrorCode.TOO_LARGE,
                f"{len(data)} bytes are more than a parcel takes: {MAX_BYTES} at most.",
                details={"bytes": len(data), "max_bytes": MAX_BYTES},
            )
        digest, packed = await _aside(len(data), lambda: _pack(data))
        name = f"{int(time.time()):08x}-{secrets.token_hex(8)}-{digest}"
        size = max(1, min(CHUNK_BYTES, self._bus.max_payload_bytes // 2))
        chunks = [packed[start : start + size] for start in range(0, len(packed), size)] or [b""]
        headers = {} if ttl_s is None else {_HEADER_TTL: f"{max(1, int(ttl_s))}s"}
        encoding = {} if packed is data else {HEADER_ENCODING: DEFLATE}
        facts = {HEADER_CHUNKS: str(len(chunks)), HEADER_BYTES: str(len(data)), **encoding}

        async def send(number: int) -> None:
            own = {**headers, **facts} if number == 0 else headers
            await self._append(Subjects.parcel_chunk(self.bucket, name, number), chunks[number], own)

        await _some_at_once(send, range(len(chunks)))
        return name

    async def get(self, name: str) -> bytes:
        """What was parked under a name.

        Raises ``parcel_lost`` where it is not there (any more), or not as it was parked, ``unavailable`` where the
        store does not answer.
        """
        found = _NAME.match(name)
        if not found:
            raise self._lost(name, "is not the name of a parcel")
        first = await self._chunk(name, 0)
        count, size, encoding = _facts(first)
        if not 0 < count <= _MAX_CHUNKS or not 0 <= size <= MAX_BYTES:
            raise self._lost(name, "is damaged")

        async def fetch(number: int) -> bytes:
            return (await self._chunk(name, number)).data or b""

        packed = b"".join([first.data or b"", *await _some_at_once(fetch, range(1, count))])
        data = await _aside(size, lambda: _unpack(packed, size, encoding, found["digest"]))
        if data is None:
            raise self._lost(name, "is damaged")
        return data

    async def remove(self, name: str) -> None:
        """Remove a parcel; one that is not there is no error. Raises ``unavailable``."""
        if _NAME.match(name):
            await self._bus.purge(self.bucket, Subjects.parcel_chunk(self.bucket, name, "*"))

    async def remove_all_but(self, kept: Collection[str], *, older_than_s: float) -> int:
        """Remove what was parked longer ago than that and is not kept; returns how many that were."""
        try:
            info = await self._bus.js.stream_info(self.bucket, subjects_filter=f"{self.bucket}.>")
        except (APIError, nats.errors.Error) as cause:
            raise self._silent(cause) from cause
        names = {subject.split(".")[1] for subject in info.state.subjects or {}}
        before = time.time() - older_than_s
        gone = [name for name in names - set(kept) if (at := _NAME.match(name)) and int(at["at"], 16) < before]
        for name in gone:
            await self.remove(name)
        return len(gone)

    async def _append(self, subject: str, chunk: bytes, headers: dict[str, str]) -> None:
        try:
            await self._bus.js.publish(subject, chunk, timeout=_ANSWER_WITHIN_S, headers=headers or None)
        except (APIError, nats.errors.Error) as cause:
            raise self._silent(cause) from cause

    async def _chunk(self, name: str, number: int) -> RawStreamMsg:
        """A chunk. Any replica may answer; where it does not have it, the leader is asked."""
        subject = Subjects.parcel_chunk(self.bucket, name, number)
        for direct in (True, False):
            try:
                return await self._bus.js.get_last_msg(self.bucket, subject, direct=direct)
            except NotFoundError:
                continue
            except (APIError, nats.errors.Error) as cause:
                raise self._silent(cause) from cause
        raise self._lost(name, "is not there, or not whole; it may have expired, or been removed")

    def _lost(self, name: str, what: str) -> RunbusError:
        return RunbusError(
            ErrorCode.PARCEL_LOST,
            f"parcel {name[:80]!r} in {self.bucket} {what}: ask again for what it held.",
            details={"parcel": name[:80], "store": self.bucket},
        )

    def _silent(self, cause: Exception) -> RunbusError:
        return RunbusError(
            ErrorCode.UNAVAILABLE,
            f"store {self.bucket} does not answer ({str(cause) or type(cause).__name__}).",
            details={"store": self.bucket},
        )


async def _some_at_once(work: Callable[[int], Awaitable[T]], numbers: Iterable[int]) -> list[T]:
    """The results in order. What one raises is raised, once the others have ended."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def limited(number: int) -> T:
        async with free:
            return await work(number)

    results = await asyncio.gather(*map(limited, numbers), return_exceptions=True)
    done: list[T] = []
    for each in results:
        if isinstance(each, BaseException):
            raise each
        done.append(each)
    return done


async def _aside(size_bytes: int, work: Callable[[], T]) -> T:
    """In a thread, where it takes longer than that: hashing and packing let others run meanwhile."""
    return work() if size_bytes <= _SMALL_BYTES else await asyncio.to_thread(work)


def _facts(first: RawStreamMsg) -> tuple[int, int, str]:
    """Number of chunks, bytes and encoding; zeros where the first chunk does not tell."""
    headers = first.headers or {}
    try:
        return int(headers[HEADER_CHUNKS]), int(headers[HEADER_BYTES]), headers.get(HEADER_ENCODING, "")
    except (KeyError, ValueError):
        return 0, 0, ""


def _pack(data: bytes) -> tuple[str, bytes]:
    """Digest and data, compressed where a sample of it says that this helps."""
    sample = data[:_SAMPLE_BYTES]
    helps = len(zlib.compress(sample, 1)) < len(sample) * _HELPFUL
    return _digest(data), zlib.compress(data, 1) if helps else data


def _unpack(packed: bytes, size: int, encoding: str, digest: str) -> bytes | None:
    """The data; None where it is not what it was. No more is inflated than there should be."""
    data = packed
    if encoding == DEFLATE:
        try:
            data = zlib.decompressobj().decompress(packed, size + 1)
        except zlib.error:
            return None
    return data if len(data) == size and _digest(data) == digest else None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGEST_CHARS]
