"""Secure values typed for a run: in the memory of the dispatcher that accepted it, told to the claimant only."""

from __future__ import annotations

from typing import Final

import structlog

from bus.connection import Bus
from schemas.api import SecretsRequest, SecretValues
from schemas.codec import decode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import AssignmentStarted, Event
from schemas.subjects import Subjects

MAX_HELD: Final = 10_000
"""Executions whose values are held at a time: beyond that a run with secure values is refused."""

log = structlog.get_logger("dispatcher")


class SecretKeeper:
    """The secure values of executions that have not ended, by project and execution; never stored anywhere."""

    def __init__(self, bus: Bus, subjects: Subjects, instance: str) -> None:
        self._bus = bus
        self._subjects = subjects
        self._held: dict[tuple[str, str], SecretValues] = {}
        self.instance: Final = instance

    def hold(self, project: str, execution: str, values: SecretValues) -> bool:
        """Keep the values until the execution has ended; False where there are values of it already, which stay.

        Raises ``busy`` beyond 10,000 executions.
        """
        if (project, execution) in self._held:
            return False
        if len(self._held) >= MAX_HELD:
            raise RunbusError(
                ErrorCode.BUSY, f"this dispatcher holds the secure values of {MAX_HELD:,} executions: try later."
            )
        self._held[project, execution] = values
        return True

    def held(self, project: str, execution: str) -> SecretValues | None:
        """The values of an execution, where this dispatcher has them."""
        return self._held.get((project, execution))

    def forget(self, project: str, execution: str) -> None:
        """The execution has ended (a retry of it has a copy of its own), or was not stored."""
        self._held.pop((project, execution), None)

    async def tell(self, request: SecretsRequest) -> SecretValues:
        """Answer the runner that holds the claim. Raises ``unknown_execution`` for anybody else."""
        values = self._held.get((request.project, request.execution))
        claim = await self._claim(request) if values is not None else None
        if values is None or claim is None or (claim.runner, claim.instance) != (request.runner, request.instance):
            log.warning("secrets.refused", execution=request.execution, runner=request.runner)
            raise RunbusError(
                ErrorCode.UNKNOWN_EXECUTION,
                f"execution {request.execution[:80]!r} is not claimed by runner {request.runner[:80]!r}, or its "
                "secure values are gone: run the job again.",
            )
        return values

    async def _claim(self, request: SecretsRequest) -> AssignmentStarted | None:
        subject = self._subjects.events_of_assignment(request.project, request.execution, request.assignment)
        stored = await self._bus.last_message(self._subjects.events_stream, subject)
        event: Event | None = decode(stored.data, Event) if stored else None  # type: ignore[arg-type]
        return event if isinstance(event, AssignmentStarted) else None
