"""Settings of the nodesource."""

from __future__ import annotations

import msgspec

from bus.logs import LogFormat


class NodesourceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``RUNBUS_<FIELD>`` each."""

    nats_url: str = "nats://127.0.0.1:4222"
    prefix: str = "rb"
    connect_wait_s: float = 30.0
    replicas: int = 1
    ack_wait_s: float = 30.0
    """The lease of an assignment, as the dispatcher has it: a tag set that is new gets its consumer here."""
    log_level: str = "info"
    log_format: LogFormat = "auto"
