"""Settings of a dispatcher."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bus.logs import LogFormat


class DispatcherSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``RUNBUS_<FIELD>`` each."""

    nats_url: str = "nats://127.0.0.1:4222"
    prefix: str = "rb"
    data_dir: str = "runbus-data"
    """Where the ledger's file is: a read model, made anew from the stream where it is missing."""
    connect_wait_s: float = 30.0
    replicas: int = 1
    ack_wait_s: float = 30.0
    """The lease of an assignment: given to another runner this long after its last renewal."""
    log_level: str = "info"
    log_format: LogFormat = "auto"

    @property
    def ledger_path(self) -> Path:
        """The ledger's file."""
        return Path(self.data_dir) / "ledger.sqlite"
