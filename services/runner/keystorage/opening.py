"""The key storages of a runner, as its settings and its environment say them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import structlog

from runbus.plugin import KeyStorageError
from schemas.errors import ErrorCode, RunbusError
from services.runner.inventory import PluginInventory
from services.runner.keystorage.configuration import storages_of
from services.runner.keystorage.environment import keys_in
from services.runner.keystorage.errors import sentence
from services.runner.keystorage.guarded import RunnerKeys
from services.runner.settings import RunnerSettings

_UNUSED: Final = (
    "they are no keys of this runner, as none of its key storages reads them: set "
    "RUNBUS_KEY_STORAGE_TYPE=environment, or take them away"
)

log = structlog.get_logger("runner")


def open_storage(
    settings: RunnerSettings, plugins: PluginInventory, env: Mapping[str, str] = os.environ
) -> RunnerKeys:
    """Connects to nothing yet. Raises ``invalid_message`` that names the file and line, or the variable."""
    named = {"RUNBUS_KEY_STORAGE": settings.key_storage, "RUNBUS_KEYS_DIR": settings.keys_dir}
    try:
        storages = storages_of({**env, **named}, plugins.storages)
        keys = RunnerKeys(storages, plugins.storages, runner=settings.runner_id)
    except KeyStorageError as error:
        raise RunbusError(
            ErrorCode.INVALID_MESSAGE,
            sentence(f"the key storage of this runner: {error.message}"),
            details={"reason": error.reason},
        ) from None
    if unused := [name for name in keys_in(env) if name not in keys.variables]:
        log.warning("keys.unused", variables=unused, advice=_UNUSED)
    return keys
