"""A key's value, where it is used and when: the runner's own from its storage, the centre's sealed to this runner."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

import msgspec

from bus.audit import OK, KeyAudit
from bus.connection import Bus
from bus.presence import nobody_listens, not_asked, unanswered
from bus.sealing import SealingKey
from domain.keys.paths import KeyPath, KeyPlace
from runbus.plugin import KeyFailure, KeyStorageError
from schemas import catalog
from schemas.errors import ErrorCode, RunbusError
from schemas.keys import KeyAccess, KeyAction, KeyOpenRequest
from schemas.subjects import Subjects
from services.runner.keystorage.guarded import RunnerKeys

CENTRE_WITHIN_S = 10.0


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What a key is read for: an assignment that this runner has claimed, or a node source it is asked for."""

    project: str
    execution: str = ""
    assignment: str = ""
    source: str = ""
    user: str = ""


class ReadsKeys(Protocol):
    """Where values come from."""

    async def read(self, name: str, use: Use) -> str:
        """The value of ``keys/…`` or ``runner/…``, to be held in memory only. Raises ``key_unavailable``."""


class Keys:
    """The values of keys, for one runner. Nothing is kept: each use asks again."""

    def __init__(self, own: RunnerKeys, centre: CentreKeys, audit: KeyAudit, runner: str) -> None:
        self._own = own
        self._centre = centre
        self._audit = audit
        self._runner = runner

    async def read(self, name: str, use: Use) -> str:
        """Of the runner's storage what begins with ``runner/``, of the centre's what begins with ``keys/``."""
        key = KeyPath.parse(name)
        if key.place is KeyPlace.CENTRE:
            return await self._centre.read(key, use)  # the keyproxy tells the audit
        return await self._read_own(key, use)

    async def _read_own(self, key: KeyPath, use: Use) -> str:
        outcome = "cancelled"
        try:
            value = await self._own.read(key.path)
            outcome = OK
        except KeyStorageError as error:
            outcome = error.reason
            raise unavailable(key, self._runner, error) from None
        finally:
            access = KeyAccess(
                at=datetime.now(UTC), action=KeyAction.READ, path=str(key), outcome=outcome, project=use.project,
                user=use.user, runner=self._runner, execution=use.execution, source=use.source,
            )  # fmt: skip
            await self._audit.note(access)
        return value


class OwnKeys:
    """The values of keys where there is no centre: every name is one of the runner's own storage."""

    def __init__(self, own: RunnerKeys, runner: str) -> None:
        self._own = own
        self._runner = runner

    async def read(self, name: str, _use: Use) -> str:
        """``keys/…`` and ``runner/…`` alike. Raises ``key_unavailable``."""
        key = KeyPath.parse(name)
        try:
            return await self._own.read(key.path)
        except KeyStorageError as error:
            raise unavailable(key, self._runner, error) from None


class CentreKeys:
    """Asks the keyproxy, which looks whether this runner may, and seals the answer to it."""

    def __init__(self, bus: Bus, subjects: Subjects, sealing: SealingKey, runner: str, instance: str) -> None:
        self._bus = bus
        self._subjects = subjects
        self._sealing = sealing
        self._runner = runner
        self._instance = instance

    async def read(self, key: KeyPath, use: Use) -> str:
        """Raises ``key_unavailable``; ``unavailable`` where the file of the centre's keys cannot be used."""
        request = KeyOpenRequest(
            path=str(key), runner=self._runner, instance=self._instance, project=use.project, execution=use.execution,
            assignment=use.assignment, source=use.source,
        )  # fmt: skip
        try:
            answer = await self._bus.call(self._subjects, catalog.KEY_OPEN, request, timeout_s=CENTRE_WITHIN_S)
        except RunbusError as error:
            away = _away(error)
            if away is None:
                raise
            raise unavailable(key, self._runner, away) from None
        try:
            return self._sealing.open(answer.sealed).decode()
        except UnicodeDecodeError:
            binary = KeyStorageError("its value is no UTF-8 text", reason=KeyFailure.MALFORMED)
            raise unavailable(key, self._runner, binary) from None


def _away(error: RunbusError) -> KeyStorageError | None:
    """Why no keyproxy has answered; None: one has, with this error."""
    if unanswered(error):
        text = f"no keyproxy answers within {CENTRE_WITHIN_S:g} s. See its log and its disk, or restart it"
        return KeyStorageError(text, reason=KeyFailure.TIMEOUT)
    if nobody_listens(error):
        text = "no keyproxy is there. Is it running, on this NATS server, with this prefix?"
        return KeyStorageError(text, reason=KeyFailure.UNREACHABLE)
    if not_asked(error):
        text = "the runner is not connected to NATS at the moment, and cannot ask the keyproxy. Run the job again"
        return KeyStorageError(text, reason=KeyFailure.UNREACHABLE)
    return None


def unavailable(key: KeyPath | str, runner: str, error: KeyStorageError) -> RunbusError:
    """The error of a key that cannot be read, or looked at, on a runner."""
    return _refused(f"key {str(key)!r} cannot be read on runner {runner}", str(key), runner, error)


def not_listed(folder: str, runner: str, error: KeyStorageError) -> RunbusError:
    """The error of a folder of keys, ``runner/db`` or ``runner/``, that cannot be listed on a runner."""
    return _refused(f"the keys in {folder!r} cannot be listed on runner {runner}", folder, runner, error)


def _refused(what: str, key: str, runner: str, error: KeyStorageError) -> RunbusError:
    message = error.message if error.message.endswith(("?", "!")) else f"{error.message.removesuffix('.')}."
    return RunbusError(
        ErrorCode.KEY_UNAVAILABLE,
        f"{what}: {message}",
        details={"key": key, "runner": runner, "reason": error.reason},
    )
