"""Settings of the registry."""

from __future__ import annotations

import msgspec

from bus.logs import LogFormat
from domain.fleet import Clocks


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """``RUNBUS_<FIELD>`` each."""

    nats_url: str = "nats://127.0.0.1:4222"
    prefix: str = "rb"
    connect_wait_s: float = 30.0
    replicas: int = 1
    beat_interval_s: float = 5.0
    unknown_after_s: float = 30.0
    down_after_s: float = 120.0
    log_level: str = "info"
    log_format: LogFormat = "auto"

    @property
    def clocks(self) -> Clocks:
        """The two clocks of a silent runner."""
        return Clocks(
            beat_interval_s=self.beat_interval_s,
            unknown_after_s=self.unknown_after_s,
            down_after_s=self.down_after_s,
        )
