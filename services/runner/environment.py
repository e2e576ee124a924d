"""The environment that jobs are given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

_OWN: Final = ("RUNBUS_", "RUNNER_RUNDECK_", "NOTIFY_SOCKET")
"""Ours, those of the original that we take, and systemd's."""


def inherited(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The runner's environment without its own settings."""
    return {key: value for key, value in env.items() if not key.startswith(_OWN)}
