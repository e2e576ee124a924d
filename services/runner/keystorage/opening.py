"""The key storages of a runner, as its settings and its environment say them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from runbus.plugin import KeyStorageError
from schemas.errors import ErrorCode, RunbusError
from services.runner.inventory import PluginInventory
from services.runner.keystorage.configuration import storages_of
from services.runner.keystorage.guarded import RunnerKeys
from services.runner.settings import RunnerSettings


class OpenStorage(NamedTuple):
    """All keys that a runner can read, and what no log may show because they are read with it."""

    keys: RunnerKeys
    secrets: list[str]
    variables: frozenset[str]
    """Of the environment: keys themselves, or what a provider is asked with. Jobs are not given them."""


def open_storage(
    settings: RunnerSettings, plugins: PluginInventory, env: Mapping[str, str] = os.environ
) -> OpenStorage:
    """Connects to nothing yet. Raises ``invalid_message`` that names the file and line, or the variable."""
    named = {"RUNBUS_KEY_STORAGE": settings.key_storage, "RUNBUS_KEYS_DIR": settings.keys_dir}
    try:
        keys = RunnerKeys(storages_of({**env, **named}, plugins.storages), plugins.storages)
    except KeyStorageError as error:
        raise RunbusError(
            ErrorCode.INVALID_MESSAGE,
            f"the key storage of this runner: {error.message}.",
            details={"reason": error.reason},
        ) from None
    variables = frozenset(name for storage in keys.opened for name in getattr(storage, "variables", ()))
    return OpenStorage(keys, keys.secrets, variables)
