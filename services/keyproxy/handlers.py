"""What the keyproxy answers. Each handler is one verb, and each is told of in the audit, whatever comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from bus.audit import OK, KeyAudit
from bus.sealing import seal
from domain.keys.paths import KeyPath, KeyPlace, is_key_name, outside
from domain.keys.values import refusal_of
from runbus.plugin import KeyFailure
from schemas import catalog
from schemas.api import Done
from schemas.codec import decode
from schemas.errors import ErrorCode, RunbusError
from schemas.keys import (
    KeyAccess,
    KeyAction,
    KeyBrowseRequest,
    KeyList,
    KeyListRequest,
    KeyLookRequest,
    KeyOpenRequest,
    KeyPutRequest,
    KeyRemoveRequest,
    KeyShown,
    KeyShowRequest,
    KeyStored,
    KeyValue,
    SealedValue,
    SealingKeyReply,
    SealingKeyRequest,
)
from services.keyproxy.asking import Asker, answered_by
from services.keyproxy.opening import Opening
from services.keyproxy.sealed import Sealing
from services.keyproxy.store import KeyStore

_CENTRE: Final = "keys/"
_RUNNER: Final = "runner/"

log = structlog.get_logger("keyproxy")


class Handlers:
    """The verbs of keys."""

    def __init__(self, store: KeyStore, asker: Asker, opening: Opening, sealing: Sealing, audit: KeyAudit) -> None:
        self._store = store
        self._asker = asker
        self._opening = opening
        self._sealing = sealing
        self._audit = audit

    async def list_keys(self, request: KeyListRequest) -> KeyList:
        """A page of a folder: of the centre's own keys, or as a runner of the selection sees it."""
        where = _RUNNER if request.runner else _CENTRE
        access = _access(KeyAction.LIST, f"{where}{request.path}", request.user, request.project)
        async with self._told(access) as note:
            path = _below(where, request.path)
            if request.runner is None:
                page = await self._store.children(path, deep=request.deep, limit=request.limit, after=request.after)
                return KeyList(keys=page.entries, more=page.more)
            chosen = await self._asker.choose(request.project, request.runner)
            note.runner = chosen.runner
            browse = KeyBrowseRequest(
                path=path, project=request.project, deep=request.deep, limit=request.limit, after=request.after,
                user=request.user,
            )  # fmt: skip
            answer = await self._asker.ask(chosen, catalog.KEY_BROWSE, browse)
            note.runner = answer.runner
            return answer

    async def show_key(self, request: KeyShowRequest) -> KeyShown:
        """One key without its value."""
        where = _RUNNER if request.runner else _CENTRE
        access = _access(KeyAction.SHOW, f"{where}{request.path}", request.user, request.project)
        async with self._told(access) as note:
            path = _below(where, request.path)
            if request.runner is None:
                return KeyShown(key=await self._store.show(path))
            chosen = await self._asker.choose(request.project, request.runner)
            note.runner = chosen.runner
            look = KeyLookRequest(path=path, project=request.project, user=request.user)
            answer = await self._asker.ask(chosen, catalog.KEY_LOOK, look)
            note.runner = answer.runner
            return answer

    async def put_key(self, request: KeyPutRequest) -> KeyStored:
        """Store a value that was sealed for this service.

        Raises ``key_unavailable`` (``malformed``) for a password that no job could be given.
        """
        access = _access(KeyAction.UPDATE, _told_name(request.path), request.user)
        async with self._told(access) as note:
            if request.fresh:
                note.action = KeyAction.CREATE
            key = _centre_key(request.path)
            sealed = decode(await self._sealing.open(request.sealed), KeyValue)
            if sealed.path != request.path:
                raise outside(request.path, "what is sealed is the value of another key: seal it anew")
            if why := refusal_of(sealed.value, request.key_type):
                raise _unfit(key, why)
            entry, created = await self._store.put(
                key.path, sealed.value, key_type=request.key_type, by=request.user, fresh=request.fresh
            )
            note.action = KeyAction.CREATE if created else KeyAction.UPDATE
            return KeyStored(key=entry, created=created)

    async def remove_key(self, request: KeyRemoveRequest) -> Done:
        """Remove a key. Raises ``key_unavailable`` where there is none."""
        async with self._told(_access(KeyAction.REMOVE, _told_name(request.path), request.user)):
            key = _centre_key(request.path)
            await self._store.remove(key.path)
            return Done()

    async def sealing_key(self, _request: SealingKeyRequest) -> SealingKeyReply:
        """What values are sealed with on their way here."""
        return SealingKeyReply(public_key=await self._sealing.public())

    async def open_key(self, request: KeyOpenRequest) -> SealedValue:
        """The value of a centre's key, sealed to the runner that may have it."""
        access = msgspec.structs.replace(
            _access(KeyAction.READ, _told_name(request.path), "", request.project), runner=request.runner[:80],
            execution=request.execution[:80], source=request.source[:80],
        )  # fmt: skip
        async with self._told(access) as note:
            note.user = await self._opening.user_of(request)
            key = _centre_key(request.path)
            public_key = await self._opening.receiver(request, key)
            return SealedValue(sealed=seal(public_key, await self._store.read(key.path)))

    @asynccontextmanager
    async def _told(self, access: KeyAccess) -> AsyncIterator[_Note]:
        note = _Note(access)
        outcome = OK
        try:
            yield note
        except RunbusError as error:
            outcome = str(error.details.get("reason") or error.code)
            note.refused(error)
            if access.action is KeyAction.READ:
                log.warning(
                    "key.refused", path=access.path, runner=access.runner, project=access.project,
                    execution=access.execution, source=access.source, reason=outcome, why=error.message,
                )  # fmt: skip
            raise
        except BaseException:
            outcome = "failed"
            raise
        finally:
            await self._audit.note(note.told(outcome))


class _Note:
    """What turns out only while a request is answered."""

    def __init__(self, access: KeyAccess) -> None:
        self._access = access
        self.runner = access.runner
        self.action = access.action
        self.user = access.user

    def refused(self, error: RunbusError) -> None:
        """Also a refusal tells who answered; and what is refused because of what is there would have been new."""
        self.runner = answered_by(error) or self.runner
        if self.action is KeyAction.UPDATE and error.code is ErrorCode.ALREADY_EXISTS:
            self.action = KeyAction.CREATE

    def told(self, outcome: str) -> KeyAccess:
        return msgspec.structs.replace(
            self._access, outcome=outcome, runner=self.runner, action=self.action, user=self.user[:80]
        )


def _below(where: str, path: str) -> str:
    """The path below the root of a key storage; empty: the root. Raises ``key_unavailable`` (``outside``)."""
    place = KeyPlace.CENTRE if where == _CENTRE else KeyPlace.RUNNER
    return KeyPath.parse(f"{where}{path}", place).path if path else ""


def _told_name(name: str) -> str:
    """What the audit repeats of a name: what is none at all may be the secret itself."""
    return name if is_key_name(name) else ""


def _centre_key(name: str) -> KeyPath:
    key = KeyPath.parse(name, KeyPlace.CENTRE)
    if key.place is not KeyPlace.CENTRE:
        raise outside(name, "it is a key of a runner, which is not the centre's to change: name keys/folder/name")
    return key


def _unfit(key: KeyPath, why: str) -> RunbusError:
    return RunbusError(
        ErrorCode.KEY_UNAVAILABLE,
        f"the value for {key.name} {why}. Nothing was stored.",
        details={"key": key.name, "reason": KeyFailure.MALFORMED.value},
    )


def _access(action: KeyAction, path: str, user: str, project: str = "") -> KeyAccess:
    return KeyAccess(
        at=datetime.now(UTC), action=action, path=path[:1100], outcome="", project=project[:80], user=user[:80]
    )
