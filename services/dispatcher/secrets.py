"""Secure values typed for a run: in the memory of the dispatcher that accepted it, sealed to the claimant only."""

from __future__ import annotations

from typing import Final

import msgspec
import structlog

from bus.bucket import Bucket
from bus.connection import Bus
from bus.sealing import SealingKey, seal
from schemas.api import RunRequest, SealedOptions, SecretsRequest, SecretValues
from schemas.codec import decode, encode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import AssignmentStarted, Event
from schemas.keys import SealedValue, SealingKeyReply, SealingKeyRequest
from schemas.runners import RunnerRecord
from schemas.subjects import Subjects

MAX_HELD: Final = 10_000
"""Executions whose values are held at a time: beyond that a run with secure values is refused."""

log = structlog.get_logger("dispatcher")


class SecretKeeper:
    """The secure values of executions that have not ended, by project and execution; never stored anywhere."""

    def __init__(self, bus: Bus, subjects: Subjects, instance: str, runners: Bucket[RunnerRecord]) -> None:
        self._bus = bus
        self._subjects = subjects
        self._runners = runners
        self._held: dict[tuple[str, str], SecretValues] = {}
        self._sealing = SealingKey.make()
        self.instance: Final = instance

    async def sealing_key(self, _request: SealingKeyRequest) -> SealingKeyReply:
        """What options are sealed with for this copy."""
        return SealingKeyReply(public_key=self._sealing.public, instance=self.instance)

    def opened(self, request: RunRequest) -> RunRequest:
        """The request with its sealed options among the others. Raises ``invalid_option`` where they do not open."""
        if not request.sealed_options:
            return request
        if not request.id:
            raise RunbusError(
                ErrorCode.INVALID_OPTION, "sealed options need an id of your own: name it in the request, and sealed."
            )
        sealed = self._read(request.sealed_options)
        if (sealed.id, sealed.project, sealed.job) != (request.id, request.project, request.job):
            raise RunbusError(
                ErrorCode.INVALID_OPTION,
                "the sealed options are those of another run: they have to name the id, project and job of the "
                "request that they come with.",
            )
        return msgspec.structs.replace(request, options={**request.options, **sealed.options}, sealed_options="")

    def _read(self, sealed: str) -> SealedOptions:
        try:
            data = self._sealing.open(sealed)
        except RunbusError as error:
            raise RunbusError(
                ErrorCode.INVALID_OPTION,
                "the sealed options cannot be opened by this dispatcher: ask for its sealing key again, seal them "
                "with it, and send the request to the instance that the answer names.",
                details={"instance": self.instance, **error.details},
            ) from None
        try:
            return decode(data, SealedOptions)
        except RunbusError as error:
            raise RunbusError(
                ErrorCode.INVALID_OPTION, f"the sealed options can be opened, but are {error.message}"
            ) from None

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

    async def tell(self, request: SecretsRequest) -> SealedValue:
        """Answer the runner that holds the claim, sealed to it. Raises ``unknown_execution`` for anybody else."""
        values = self._held.get((request.project, request.execution))
        claim = await self._claim(request) if values is not None else None
        if values is None or claim is None or (claim.runner, claim.instance) != (request.runner, request.instance):
            log.warning("secrets.refused", execution=request.execution, runner=request.runner)
            raise RunbusError(
                ErrorCode.UNKNOWN_EXECUTION,
                f"execution {request.execution[:80]!r} is not claimed by runner {request.runner[:80]!r}, or its "
                "secure values are gone: run the job again.",
            )
        return SealedValue(sealed=seal(await self._sealing_key_of(claim), encode(values)))

    async def _sealing_key_of(self, claim: AssignmentStarted) -> str:
        """As the registry knows it, whatever the request says. Raises ``unknown_runner``."""
        record = await self._runners.get(claim.runner)
        if record is None or record[0].instance != claim.instance or not record[0].sealing_key:
            raise RunbusError(
                ErrorCode.UNKNOWN_RUNNER,
                f"the registry knows no sealing key of this run of runner {claim.runner}: start the runner again, "
                "and run the job again.",
                details={"runner": claim.runner},
            )
        return record[0].sealing_key

    async def _claim(self, request: SecretsRequest) -> AssignmentStarted | None:
        subject = self._subjects.events_of_assignment(request.project, request.execution, request.assignment)
        stored = await self._bus.last_message(self._subjects.events_stream, subject)
        event: Event | None = decode(stored.data, Event) if stored else None  # type: ignore[arg-type]
        return event if isinstance(event, AssignmentStarted) else None
