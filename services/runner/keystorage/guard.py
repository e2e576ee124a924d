"""One storage of a runner with a guard before it: a deadline, typed errors, and no secret in what is said."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec
import structlog

from domain.context.masking import Masker
from domain.keys.paths import is_path
from runbus.plugin import KeyEntry, KeyFailure, KeyStorage, KeyStorageError
from schemas.keys import KeyStorageInfo
from schemas.states import Instant
from services.runner.foreign import is_cancelled, name_of, place_of
from services.runner.keystorage.entries import in_order
from services.runner.keystorage.guardwords import OwnWords, is_outside, open_settings
from services.runner.keystorage.settings import StorageSettings, converted, digest_of, secrets_of

log = structlog.get_logger("runner")

MAX_BYTES: Final = 1 << 20
"""Of a value."""
T = TypeVar("T")


class StorageHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a storage answers."""

    provider: str
    path: str = ""
    ok: bool = False
    problem: str = ""
    """Why not; empty as long as it was not asked."""
    remark: str = ""
    """What is to be mended though it answers."""
    reason: KeyFailure | None = None
    checked_at: Instant | None = None


class GuardedStorage:
    """Nothing but :class:`KeyStorageError` comes out of it, and nothing takes longer than the deadline."""

    def __init__(self, settings: StorageSettings, plugin: type[KeyStorage], *, deadline_s: float) -> None:
        """Raises :class:`KeyStorageError` (``configuration``)."""
        config = converted(settings, plugin)
        self.settings = settings
        self.digest = digest_of(settings, plugin)
        self.secrets = secrets_of(settings, plugin)
        self.health = StorageHealth(provider=settings.type, path=settings.path)
        self._masker = Masker(self.secrets)
        self._is_outside = is_outside(plugin)
        self._words = OwnWords(plugin, open_settings(config, plugin.secret_settings))
        self._place = "" if self._is_outside else str(getattr(config, "place", ""))
        """How texts call the provider: with its address. Of an outside plugin, ``place`` may be anything."""
        self._deadline_s = deadline_s
        self.storage = self._made(plugin, config)

    @property
    def path(self) -> str:
        """The folder under which its keys appear."""
        return self.settings.path

    @property
    def info(self) -> KeyStorageInfo:
        """What the heartbeat says of it."""
        return KeyStorageInfo(
            type=self.settings.type, path=self.path, digest=self.digest, problem=self.health.problem,
            remark=self.health.remark,
        )  # fmt: skip

    async def read(self, path: str) -> str:
        """A value: text, of 1 MiB at most. Raises :class:`KeyStorageError`."""
        value: Any = await self._asked(lambda: self.storage.read(path), path)
        if not isinstance(value, str):
            raise self._error(path, "its plugin returned no text", KeyFailure.MALFORMED)
        if len(value) > MAX_BYTES or len(value.encode("utf-8", "surrogatepass")) > MAX_BYTES:
            raise self._error(path, f"it is larger than {MAX_BYTES >> 20} MiB", KeyFailure.TOO_LARGE)
        return value

    async def show(self, path: str) -> KeyEntry:
        """One entry. Raises :class:`KeyStorageError`."""

        async def shown() -> KeyEntry:
            return self._mounted(await self.storage.show(path))

        return await self._asked(shown, path)

    async def children(self, path: str, *, deep: bool) -> list[KeyEntry]:
        """Entries, sorted, with paths that a key can have. Raises :class:`KeyStorageError`."""

        async def listed() -> list[KeyEntry]:
            return await asyncio.to_thread(self._sound, await self.storage.children(path, deep=deep))

        return await self._asked(listed, path)

    async def check(self) -> StorageHealth:
        """Ask it whether it answers; never raises."""
        try:
            await self._asked(lambda: self.storage.check(), "")  # noqa: PLW0108  (it may have none)
        except KeyStorageError as error:
            health = StorageHealth(
                provider=self.settings.type, path=self.path, problem=error.message, reason=error.reason,
                checked_at=datetime.now(UTC),
            )  # fmt: skip
        else:
            health = StorageHealth(
                provider=self.settings.type, path=self.path, ok=True, checked_at=datetime.now(UTC),
                remark="" if self._is_outside else str(getattr(self.storage, "remark", "")),
            )  # fmt: skip
        self.health = health
        return health

    async def close(self) -> None:
        """Close it; what goes wrong is logged."""
        try:
            await self._asked(lambda: self.storage.close(), "")  # noqa: PLW0108  (it may have none)
        except KeyStorageError as error:
            log.warning("keys.not_closed", storage=self.settings.label, problem=error.message)

    def _made(self, plugin: type[KeyStorage], config: Any) -> KeyStorage:
        make: Callable[[Any], KeyStorage] = plugin
        try:
            return make(config)
        except BaseException as cause:  # noqa: BLE001  (a foreign plugin may raise anything)
            raise self._failed("", cause) from None

    async def _asked(self, call: Callable[[], Awaitable[T]], path: str) -> T:
        limit = asyncio.timeout(self._deadline_s)
        try:
            async with limit:
                return await call()
        except BaseException as cause:  # noqa: BLE001  (KeyboardInterrupt would end the runner, and tell its text)
            if isinstance(cause, TimeoutError) and limit.expired():
                text = f"{self._place or 'it'} had not answered after {self._deadline_s:g} s. Is the provider up?"
                raise self._error(path, text, KeyFailure.TIMEOUT) from None
            if isinstance(cause, asyncio.CancelledError) and is_cancelled():
                raise asyncio.CancelledError from None
            raise self._failed(path, cause) from None

    def _failed(self, path: str, cause: BaseException) -> KeyStorageError:
        """The error of an exception: its own where it is one, without what it must not tell."""
        told = vars(cause) if isinstance(cause, KeyStorageError) else {}
        message, reason = told.get("message"), told.get("reason")
        if not isinstance(message, str) or not isinstance(reason, KeyFailure):
            return self._foreign(path, cause)
        message = self._masker.mask(message)
        if self._is_outside:
            log.debug("keys.refused", storage=self.settings.label, reason=reason, at=place_of(cause))
            message = self._words.told(message, path)
        return KeyStorageError(message, reason=reason)

    def _foreign(self, path: str, cause: BaseException) -> KeyStorageError:
        """The exception's own text may hold a value: neither the error nor the log has it, but the place."""
        name = name_of(cause)
        log.error("keys.failed", storage=self.settings.label, error=name, at=place_of(cause))
        return self._error(path, f"its plugin failed ({name}); the runner's log says where", KeyFailure.FAILED)

    def _error(self, path: str, why: str, reason: KeyFailure) -> KeyStorageError:
        key = f": key {path[:200]!r}" if path else ""
        return KeyStorageError(f"{self.settings.label}{key}: {why}", reason=reason)

    def _sound(self, found: Sequence[KeyEntry]) -> list[KeyEntry]:
        return in_order(self._mounted(entry) for entry in found if is_path(entry.path))

    def _mounted(self, entry: KeyEntry) -> KeyEntry:
        if self._is_outside:
            entry = self._checked(entry)
        if not self.path:
            return entry
        return msgspec.structs.replace(entry, path=f"{self.path}/{entry.path}".removesuffix("/"))

    def _checked(self, entry: KeyEntry) -> KeyEntry:
        """An entry of an outside plugin, without what that is asked with. Raises where it is none."""
        entry = msgspec.convert(msgspec.to_builtins(entry), KeyEntry)
        mask = self._masker.mask
        return msgspec.structs.replace(
            entry, path=mask(entry.path), meta={mask(name): mask(value) for name, value in entry.meta.items()}
        )  # fmt: skip
