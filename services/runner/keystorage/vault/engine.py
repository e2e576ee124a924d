"""A KV engine of either version: secrets, folders, and whether the mount is what the settings say."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import msgspec

from services.runner.keystorage.vault.calls import Answer
from services.runner.keystorage.vault.config import VaultConfig
from services.runner.keystorage.vault.meanings import Secret, instant
from services.runner.keystorage.vault.place import Parts, Place
from services.runner.keystorage.vault.refusals import malformed, no_mount, refused, wrong_mount
from services.runner.keystorage.vault.session import Session

_RIGHT_FOR_S: Final = 60.0
"""A mount that was right a moment ago is not asked about for each of a thousand forbidden keys."""


class Engine:
    """What stands in the mount. Raises :class:`KeyStorageError`."""

    def __init__(self, config: VaultConfig) -> None:
        self._config = config
        self._place = Place(config)
        self._session = Session(config)
        self._right_until_s = 0.0

    async def secret(self, parts: Parts) -> Secret | None:
        """A secret; None: there is none, or its newest version is deleted."""
        where = self._place.name(parts)
        answer = await self._get(self._place.secret(parts), where)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        data = (answer.body or {}).get("data")
        if not isinstance(data, dict):
            raise malformed(self._config, where)
        if self._place.version == 1:
            return Secret(fields=data)
        return await self._versioned(data, parts)

    async def names(self, parts: Parts) -> list[str] | None:
        """What a folder holds, folders with a slash at their ends; None: there is no such folder."""
        where = self._place.name(parts)
        answer = await self._get(self._place.folder(parts), where, is_list=True)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        keys = _data(answer).get("keys")
        if not isinstance(keys, list):
            raise malformed(self._config, where)
        return [name for name in keys if isinstance(name, str)]

    async def check_mount(self) -> None:
        """Raises :class:`KeyStorageError` (CONFIGURATION) where the mount is no KV engine, or of the other version.

        A runner that is not allowed to ask learns nothing.
        """
        if time.monotonic() < self._right_until_s:
            return
        mount = self._place.mount
        answer = await self._session.ask(f"/v1/sys/internal/ui/mounts/{quote(mount)}")
        data = _data(answer)
        kind, options = data.get("type"), data.get("options")
        if answer.status != HTTPStatus.OK or not isinstance(kind, str):
            return
        version = 2 if isinstance(options, dict) and str(options.get("version")) == "2" else 1
        if wrong := wrong_mount(self._config, mount, kind, version):
            raise wrong
        self._right_until_s = time.monotonic() + _RIGHT_FOR_S

    async def check(self) -> None:
        """Return where Vault answers and knows the runner, and the mount is right."""
        answer = await self._session.ask("/v1/auth/token/lookup-self")
        # A token need not be allowed to look at itself.
        if answer.body is None or answer.status not in (HTTPStatus.OK, HTTPStatus.FORBIDDEN):
            raise refused(answer, self._config, "its own token")
        await self.check_mount()

    async def _get(self, url: str, where: str, *, is_list: bool = False) -> Answer:
        """An answer of Vault's own, with status 200 or 404; ``where``: the place for people."""
        answer = await self._session.ask(url, is_list=is_list)
        if answer.status == HTTPStatus.NOT_FOUND and answer.says("no handler for route"):
            raise no_mount(self._config, self._place.mount)
        if answer.body is not None and answer.status in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            return answer
        if answer.status == HTTPStatus.FORBIDDEN:
            # A policy for KV 2 does not know the paths of KV 1: the version may be all that is wrong.
            await self.check_mount()
        raise refused(answer, self._config, where)

    def name(self, parts: Parts) -> str:
        """Where something lies, for people."""
        return self._place.name(parts)

    async def close(self) -> None:
        """End the session."""
        await self._session.close()

    async def _versioned(self, data: dict[str, Any], parts: Parts) -> Secret:
        fields, metadata = data.get("data"), data.get("metadata")
        if not isinstance(fields, dict) or not isinstance(metadata, dict):
            await self.check_mount()
            raise malformed(self._config, self._place.name(parts))
        version, created_at = metadata.get("version"), instant(metadata.get("created_time"))
        secret = Secret(
            fields=fields,
            version=version if isinstance(version, int) else None,
            created_at=created_at,
            modified_at=created_at,
        )
        is_later = secret.version is not None and secret.version > 1
        if not (self._config.use_vault_metadata_timestamps and is_later):
            return secret
        # What may not be read, or is gone by now, leaves the version's own times, as in the original.
        of_all = _data(await self._session.ask(self._place.folder(parts)))
        return msgspec.structs.replace(
            secret,
            created_at=instant(of_all.get("created_time")) or created_at,
            modified_at=instant(of_all.get("updated_time")) or created_at,
        )


def _data(answer: Answer) -> dict[str, Any]:
    data = (answer.body or {}).get("data")
    return data if isinstance(data, dict) else {}
