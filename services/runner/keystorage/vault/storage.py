"""The calls of a key storage, answered by Vault."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from runbus.plugin import KeyEntry, KeyFailure, KeyStorageError
from services.runner.keystorage.vault.config import StorageBehaviour, VaultConfig
from services.runner.keystorage.vault.engine import Engine
from services.runner.keystorage.vault.faults import shown
from services.runner.keystorage.vault.meanings import Secret, entries_of, field_of, text_of, value_of
from services.runner.keystorage.vault.place import Parts, parts_of
from services.runner.keystorage.vault.tree import Known, Walk


class Storage:
    """One Vault as a key storage. Raises :class:`KeyStorageError`."""

    def __init__(self, config: VaultConfig) -> None:
        self._vault = shown(config)
        self._behaviour = config.storage_behaviour
        self._engine = Engine(config)
        self._known = Known()

    async def read(self, path: str) -> str:
        """The value of a key."""
        parts = self._key(path)
        secret, refusal = await self._tried(parts)
        if secret is not None and (value := value_of(secret, self._behaviour)) is not None:
            return value
        if secret is None and (parent := await self._parent(parts)):
            value = text_of(parent.fields.get(parts[-1]))
            if value is not None:
                return value
        return await self._explain(parts, secret, refusal)

    async def show(self, path: str) -> KeyEntry:
        """A key or a folder, without a value."""
        parts = parts_of(path)
        if not parts:
            await self.children("", deep=False)
            return KeyEntry(path="", folder=True)
        secret, refusal = await self._tried(parts)
        if secret is not None and (entries := entries_of(path, secret, self._behaviour)):
            return entries[0]
        if refusal is None and await self._engine.names(parts) is not None:
            return KeyEntry(path=path, folder=True)
        if secret is None and (parent := await self._parent(parts)):
            field = field_of("/".join(parts[:-1]), parts[-1], parent)
            if field is not None:
                return field
        return await self._explain(parts, secret, refusal)

    async def children(self, path: str, *, deep: bool) -> list[KeyEntry]:
        """What a folder holds, sorted by path."""
        parts = parts_of(path)
        names, fields = await asyncio.gather(self._engine.names(parts), self._fields(parts))
        if names is None and not fields:
            if not parts:
                await self._engine.check_mount()
                return []  # an empty mount, or prefix, is no folder to Vault
            await self._explain_folder(parts)
        walk = Walk(self._engine, self._behaviour, self._known, deep=deep)
        found = await walk.below(parts, names or ())
        taken = {entry.path for entry in found}
        # A secret stands before a field of the same path, as reading finds it.
        found += [field for field in fields if field.path not in taken]
        return sorted(found, key=lambda entry: (entry.path, entry.folder))

    async def check(self) -> None:
        """Return where all is well."""
        await self._engine.check()

    async def close(self) -> None:
        """Let go of everything."""
        await self._engine.close()

    async def _fields(self, parts: Parts) -> list[KeyEntry]:
        """The fields of a folder that is a secret."""
        if not parts or self._behaviour is StorageBehaviour.RUNDECK:
            return []
        try:
            secret = await self._engine.secret(parts)
        except KeyStorageError as error:
            if error.reason is not KeyFailure.FORBIDDEN:
                raise
            return []  # listing the folder is another permission
        return [] if secret is None else entries_of("/".join(parts), secret, self._behaviour)[1:]

    async def _tried(self, parts: Parts) -> tuple[Secret | None, KeyStorageError | None]:
        """A secret; or why it is refused, where a policy may allow only the secret of which it is a field."""
        try:
            return await self._engine.secret(parts), None
        except KeyStorageError as error:
            is_field = self._behaviour is StorageBehaviour.VAULT and len(parts) > 1
            if error.reason is not KeyFailure.FORBIDDEN or not is_field:
                raise
            return None, error

    async def _parent(self, parts: Parts) -> Secret | None:
        """The secret of which the last part may be a field."""
        if len(parts) < 2 or self._behaviour is StorageBehaviour.RUNDECK:
            return None
        return await self._engine.secret(parts[:-1])

    def _key(self, path: str) -> Parts:
        parts = parts_of(path)
        if not parts:
            raise KeyStorageError("the empty path is the root folder, and no key", reason=KeyFailure.NO_KEY)
        return parts

    async def _explain(self, parts: Parts, secret: Secret | None, refusal: KeyStorageError | None) -> NoReturn:
        """Say why there is no key. Raises :class:`KeyStorageError` always."""
        if refusal is not None:
            raise refusal
        name = f"{self._engine.name(parts)} of {self._vault}"
        if secret is None:
            await self._engine.check_mount()
            text = f"there is no {name}, or not any more. Correct the path; the listing has what there is"
            raise KeyStorageError(text, reason=KeyFailure.NOT_FOUND)
        if self._behaviour is StorageBehaviour.RUNDECK:
            text = f"{name} has no field data, so it is no key. Is it one of storageBehaviour vault?"
        elif secret.fields:
            text = f"{name} has {len(secret.fields)} fields, or an empty one: it is a folder. Name one of its fields"
        else:
            text = f"{name} is a secret without fields, and no key. Write a field into it"
        raise KeyStorageError(text, reason=KeyFailure.NO_KEY)

    async def _explain_folder(self, parts: Parts) -> NoReturn:
        secret = await self._engine.secret(parts)
        if secret is not None:
            text = f"{self._engine.name(parts)} of {self._vault} is no folder, but a secret. Show it instead"
            raise KeyStorageError(text, reason=KeyFailure.NO_KEY)
        await self._explain(parts, None, None)
