"""Key-value buckets of one message type, read, written on condition, and watched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import msgspec
import nats.errors
import structlog
from nats.js.errors import (
    APIError,
    BucketNotFoundError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
)
from nats.js.kv import KeyValue

from bus.connection import Bus
from bus.follow import Follower
from bus.pull import Delivery
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, RunbusError

T = TypeVar("T", bound=msgspec.Struct)

_DELETES: Final = frozenset({"DEL", "PURGE"})

log = structlog.get_logger("bus")


class StaleRevisionError(Exception):
    """A conditional write was refused: the key has changed since it was read."""

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(f"{bucket}: {key} has changed since it was read")
        self.key = key


class Bucket(Generic[T]):
    """A bucket whose values are messages of one type."""

    def __init__(self, bus: Bus, name: str, message_type: type[T], store: KeyValue) -> None:
        self._bus = bus
        self._store = store
        self._type = message_type
        self.name: Final = name

    @classmethod
    async def open(cls, bus: Bus, name: str, message_type: type[T], *, replicas: int = 1) -> Bucket[T]:
        """Open the bucket, and make it where it is not there yet."""
        try:
            try:
                store = await bus.js.key_value(name)
            except BucketNotFoundError:
                store = await bus.js.create_key_value(bucket=name, history=1, replicas=replicas)
        except (APIError, nats.errors.Error) as cause:
            raise RunbusError(
                ErrorCode.UNAVAILABLE,
                f"bucket {name} cannot be opened ({cause}). Is JetStream on (nats-server -js)?",
                details={"bucket": name},
            ) from cause
        return cls(bus, name, message_type, store)

    async def get(self, key: str) -> tuple[T, int] | None:
        """The value and its revision, or None; read where it is stored. Raises ``unavailable``."""
        try:
            entry = await self._store.get(key)
        except KeyNotFoundError:
            return None
        except (APIError, nats.errors.Error) as cause:
            raise RunbusError(
                ErrorCode.UNAVAILABLE,
                f"bucket {self.name} does not answer ({str(cause) or type(cause).__name__}).",
                details={"bucket": self.name},
            ) from cause
        return decode(entry.value or b"", self._type), entry.revision or 0

    async def put(self, key: str, value: T) -> int:
        """Write, whatever is there; returns the revision."""
        return await self._store.put(key, encode(value))

    async def write(self, key: str, value: T, *, revision: int) -> int:
        """Write if the key still has ``revision`` (0: is not there). Raises :class:`StaleRevisionError`."""
        try:
            if revision == 0:
                return await self._store.create(key, encode(value))
            return await self._store.update(key, encode(value), last=revision)
        except KeyWrongLastSequenceError:
            raise StaleRevisionError(self.name, key) from None

    async def delete(self, key: str) -> None:
        """Remove the key; removing what is not there is no error."""
        await self._store.delete(key)

    def watch(self, on_change: Callable[[str, T | None], Awaitable[None]]) -> Follower:
        """A follower that tells all present values and then every change (None: removed).

        A value that cannot be read is passed over, and logged.
        """
        prefix = f"$KV.{self.name}."

        async def on_message(delivery: Delivery) -> None:
            key = delivery.subject.removeprefix(prefix)
            gone = delivery.headers.get("KV-Operation") in _DELETES
            try:
                value = None if gone else decode(delivery.data, self._type)
            except RunbusError as error:
                log.warning("value.not_understood", bucket=self.name, key=key, error=error.message)
                return
            await on_change(key, value)

        return Follower(self._bus, f"KV_{self.name}", f"{prefix}>", on_message=on_message, last_per_subject=True)
