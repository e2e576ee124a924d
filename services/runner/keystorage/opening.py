"""The key storages of a runner, as its settings and its environment say them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from runbus.plugin import KeyStorageError
from schemas.errors import ErrorCode, RunbusError
from services.runner.inventory import PluginInventory
from services.runner.keystorage.configuration import storages_of
from services.runner.keystorage.guarded import RunnerKeys
from services.runner.settings import RunnerSettings


def open_storage(
    settings: RunnerSettings, plugins: PluginInventory, env: Mapping[str, str] = os.environ
) -> RunnerKeys:
    """Connects to nothing yet. Raises ``invalid_message`` that names the file and line, or the variable."""
    named = {"RUNBUS_KEY_STORAGE": settings.key_storage, "RUNBUS_KEYS_DIR": settings.keys_dir}
    try:
        storages = storages_of({**env, **named}, plugins.storages)
        return RunnerKeys(storages, plugins.storages, runner=settings.runner_id)
    except KeyStorageError as error:
        raise RunbusError(
            ErrorCode.INVALID_MESSAGE,
            f"the key storage of this runner: {error.message}.",
            details={"reason": error.reason},
        ) from None
