"""Settings of a dispatcher."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from bus.logs import LogFormat

OWN_SECRETS: Final = frozenset({"RUNBUS_NOTIFY_SECRET", "RUNBUS_SMTP_URL"})
"""Variables with secrets that no other part needs."""


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
    time_zone: str = ""
    """Of schedules that name none; empty: that of the machine. The same for all dispatchers."""
    schedule_grace_s: float = 60.0
    """How late a scheduled run may start; one later than that is recorded as missed, and not run."""
    notify_secret: str = ""
    """Signs webhooks (``X-Runbus-Signature``); unsigned if empty."""
    notify_retry_s: str = "1,5,30,120,600"
    """Seconds between the tries of a delivery; it is given up after the last."""
    notify_timeout_s: float = 10.0
    """How long a receiver may take to answer one try."""
    server_url: str = ""
    """Where people see executions, for links in notifications; no links if empty."""
    smtp_url: str = ""
    """``smtp://user:password@host:port?starttls=always|never|auto``, or ``smtps://…``; no mails if empty."""
    mail_from: str = ""
    """The sender of mails."""
    log_level: str = "info"
    log_format: LogFormat = "auto"

    @property
    def ledger_path(self) -> Path:
        """The ledger's file."""
        return Path(self.data_dir) / "ledger.sqlite"
