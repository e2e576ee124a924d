"""Key storage ``vault``: keys that lie in a KV engine of HashiCorp's Vault, or of what speaks its API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from runbus.plugin import KeyEntry
from services.runner.keystorage.vault.config import SECRET_SETTINGS, VaultConfig

if TYPE_CHECKING:
    from services.runner.keystorage.vault.storage import Storage


class VaultKeyStorage:
    """Reads keys from Vault; see ``services/runner/keystorage/vault/storage.py``."""

    version: ClassVar[str] = "1.0"
    config_type: ClassVar[type[VaultConfig]] = VaultConfig
    secret_settings: ClassVar[frozenset[str]] = SECRET_SETTINGS
    requires: ClassVar[tuple[str, ...]] = ("hvac",)

    def __init__(self, config: VaultConfig) -> None:
        self._config = config
        self._storage: Storage | None = None
        self._opening = asyncio.Lock()

    async def read(self, path: str) -> str:
        """The value of a key. Raises :class:`KeyStorageError`."""
        return await (await self._opened()).read(path)

    async def show(self, path: str) -> KeyEntry:
        """A key or a folder, without a value. Raises :class:`KeyStorageError`."""
        return await (await self._opened()).show(path)

    async def children(self, path: str, *, deep: bool = False) -> Sequence[KeyEntry]:
        """What stands in a folder. Raises :class:`KeyStorageError`."""
        return await (await self._opened()).children(path, deep=deep)

    async def check(self) -> None:
        """Return where Vault lets the runner in, and the mount is right. Raises :class:`KeyStorageError`."""
        await (await self._opened()).check()

    async def close(self) -> None:
        """Give the token back, and close the connections."""
        storage, self._storage = self._storage, None
        if storage is not None:
            await storage.close()

    async def _opened(self) -> Storage:
        async with self._opening:
            if self._storage is None:
                # Modules and certificates are read from disk: not while others wait.
                self._storage = await asyncio.to_thread(self._made)
        return self._storage

    def _made(self) -> Storage:
        from services.runner.keystorage.vault.storage import Storage  # noqa: PLC0415  (an idle runner has none)

        return Storage(self._config)
