"""Settings from the environment: typed, and no misspelt name passes unseen."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast

import msgspec

from schemas.errors import ErrorCode, RunbusError

T = TypeVar("T")

PREFIX: Final = "RUNBUS_"
SHARED: Final = frozenset(
    {
        "NATS_URL", "PREFIX", "DATA_DIR", "LOG_LEVEL", "LOG_FORMAT", "RUNNER_ID", "RUNNER_TAGS", "RUNNER_PROJECTS",
        "RUNNER_LOCAL", "RUNNER_AS_NODE", "MAX_RUNNING", "WORK_DIR", "BEAT_INTERVAL_S", "UNKNOWN_AFTER_S",
        "DOWN_AFTER_S", "ACK_WAIT_S", "GRACE_S", "DRAIN_S", "REPLICAS", "NATS_SERVER", "PROJECT", "USER",
        "CONNECT_WAIT_S", "TIME_ZONE", "SCHEDULE_GRACE_S", "KEYS_DIR",
        "KEY_STORAGE", "KEY_CHECK_S", "MASTER_KEY", "MASTER_KEY_FILE", "NEW_MASTER_KEY", "KEYS_TAKE_OVER",
        "NOTIFY_SECRET", "NOTIFY_RETRY_S", "NOTIFY_TIMEOUT_S", "SERVER_URL", "SMTP_URL", "MAIL_FROM",
    }
)  # fmt: skip
"""Every name any part reads: one environment may serve several parts. Those of tests (``RUNBUS_TEST_…``) are free,
and those of keys (``RUNBUS_KEY_…``), which the runner looks at itself."""


def load(settings_type: type[T], env: Mapping[str, str], **overrides: Any) -> T:
    """Read ``RUNBUS_<FIELD>`` for each field; ``overrides`` (None: not given) go first.

    Raises ``invalid_message`` for a value of the wrong type and for a ``RUNBUS_`` name that no part knows.
    """
    refuse_unknown(env)
    fields = {field.name for field in msgspec.structs.fields(cast("Any", settings_type))}
    values: dict[str, Any] = {name: env[key] for name in fields if (key := PREFIX + name.upper()) in env}
    values.update({name: value for name, value in overrides.items() if value is not None})
    try:
        return msgspec.convert(values, settings_type, strict=False)
    except msgspec.ValidationError as cause:
        raise RunbusError(ErrorCode.INVALID_MESSAGE, f"settings ({PREFIX}… or options): {cause}.") from cause


def refuse_unknown(env: Mapping[str, str]) -> None:
    """Raise for a ``RUNBUS_`` name that no part knows."""
    for key in env:
        name = key.removeprefix(PREFIX)
        if name == key or name in SHARED or name.startswith(("TEST_", "KEY_")):
            continue
        close = difflib.get_close_matches(name, SHARED, n=1)
        hint = f"did you mean {PREFIX}{close[0]}?" if close else "see docs/operations.md for the names."
        raise RunbusError(
            ErrorCode.INVALID_MESSAGE, f"the environment has {key}, which no part of Runbus reads; {hint}"
        )
