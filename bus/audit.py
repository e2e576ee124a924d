"""The audit of keys: told at once, stored by the stream, never waited for by whoever needs the key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from bus.connection import Bus
from bus.streams import ensure_stream
from schemas.errors import RunbusError
from schemas.keys import KeyAccess
from schemas.subjects import Subjects

log = structlog.get_logger("audit")

OK: Final = "ok"


async def make_audit_stream(bus: Bus, subjects: Subjects, *, replicas: int) -> None:
    """Where accesses are kept. Raises ``unavailable``."""
    await ensure_stream(bus, subjects.audit_stream, subjects.key_access("*"), replicas=replicas)


class KeyAudit:
    """Publishes accesses under one author: a runner's id, or ``keyproxy``."""

    def __init__(self, bus: Bus, subjects: Subjects, author: str) -> None:
        self._bus = bus
        self._subject = subjects.key_access(author)

    async def note(self, access: KeyAccess) -> None:
        """Tell of one access, as of now. Where the bus takes nothing, the log of the service keeps it."""
        access = msgspec.structs.replace(access, at=datetime.now(UTC))
        try:
            await self._bus.publish(self._subject, access)
        except RunbusError as error:
            log.warning("audit.not_told", error=error.message, access=msgspec.to_builtins(access))
