"""Fixtures for tests of the Vault key storage against its stand-in. Import them where they are used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio

from services.runner.keystorage.vault import VaultKeyStorage
from services.runner.keystorage.vault.config import VaultConfig
from tests.support.vaultstandin import VaultStandIn, vault_stand_in

Opener = Callable[..., VaultKeyStorage]


@pytest.fixture
def vault() -> Iterator[VaultStandIn]:
    """A stand-in without TLS, its mount ``secret`` empty."""
    with vault_stand_in() as server:
        yield server


@pytest_asyncio.fixture
async def opened(vault: VaultStandIn) -> AsyncIterator[Opener]:
    """Makes key storages by their settings, or a whole configuration; they are closed afterwards."""
    made: list[VaultKeyStorage] = []

    def open_one(config: VaultConfig | None = None, **settings: str) -> VaultKeyStorage:
        storage = VaultKeyStorage(config or vault.config(**settings))
        made.append(storage)
        return storage

    yield open_one
    for storage in made:
        await storage.close()
