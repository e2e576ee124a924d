"""The time zone of schedules that name none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import structlog

from domain.schedule import zone_of
from domain.schedule.zones import DEFAULT_ZONE
from schemas.errors import RunbusError

_LOCALTIME: Final = Path("/etc/localtime")
_DATABASE: Final = "zoneinfo/"

log = structlog.get_logger("dispatcher")


def zone_in_force(setting: str) -> str:
    """The name that was set (raises ``invalid_job`` where it is not known), else that of this machine, else UTC."""
    if setting:
        zone_of(setting)
        return setting
    found = _of_this_machine()
    try:
        zone_of(found)
    except RunbusError as error:
        log.warning("schedules.zone_not_known", zone=found, used=DEFAULT_ZONE, error=error.message)
        return DEFAULT_ZONE
    return found


def _of_this_machine() -> str:
    """By ``TZ`` or where ``/etc/localtime`` leads to: the two places where Linux keeps a name."""
    named = os.environ.get("TZ", "").removeprefix(":")
    if named and not named.startswith("/"):
        return named
    path = str(_LOCALTIME.resolve())
    return path.partition(_DATABASE)[2] or DEFAULT_ZONE
