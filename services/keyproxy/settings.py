"""Settings of the keyproxy."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from bus.logs import LogFormat

KEYS_NAME: Final = "keys.sqlite"
"""Of the file of the centre's keys, in the data directory."""


class KeyproxySettings(msgspec.Struct, frozen=True, kw_only=True):
    """``RUNBUS_<FIELD>`` each."""

    nats_url: str = "nats://127.0.0.1:4222"
    prefix: str = "rb"
    data_dir: str = "runbus-data"
    """Where the file of the centre's keys is."""
    master_key_file: str = ""
    """A file of 32 bytes in base64, its owner's only: encrypts every key. Made in the data directory where neither
    this nor ``master_key`` is given."""
    master_key: str = ""
    """The same, itself."""
    new_master_key: str = ""
    """The one that is to follow ``master_key``: known beside it until ``runbus keys rotate`` has come to its end."""
    keys_take_over: str = ""
    """The mark of the file of keys that is lost for good, and whose place this one takes: once, as marks change."""
    connect_wait_s: float = 30.0
    replicas: int = 1
    ack_wait_s: float = 30.0
    """The lease of an assignment, as the dispatcher has it: a tag set that is new gets its consumer here."""
    log_level: str = "info"
    log_format: LogFormat = "auto"

    @property
    def keys_path(self) -> Path:
        """The file of the centre's keys."""
        return Path(self.data_dir) / KEYS_NAME
