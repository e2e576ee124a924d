"""The variables of Conjur as folders and keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from domain.keys.metadata import PROBLEM, metadata_of
from domain.keys.paths import is_path
from runbus.plugin import KeyEntry, KeyFailure, KeyStorageError
from services.runner.keystorage.conjur.calls import Answer, Calls, malformed
from services.runner.keystorage.conjur.config import ConjurConfig
from services.runner.keystorage.entries import below, folder, folders_above, in_order, key_of_value
from services.runner.keystorage.errors import refuse, shown

MAX_VARIABLES: Final = 50_000
"""Of one listing."""
_PAGE: Final = 1000
_UNREAD: Final = {PROBLEM: "it has no value, or the runner may not read it"}


class _Variable(msgspec.Struct):
    """What Conjur says of one: ``id`` is ``account:variable:name``."""

    id: str
    created_at: datetime | None = None
    secrets: list[dict[str, Any]] = []


class Variables:
    """Raises :class:`KeyStorageError`."""

    def __init__(self, config: ConjurConfig) -> None:
        self._config = config
        self._calls = Calls(config)

    async def value(self, path: str) -> str:
        """The value of a variable."""
        name = f"{self._config.name_prefix}{path}"
        what = f"variable {name!r}"
        answer = await self._calls.get(f"secrets/{self._config.account}/variable/{quote(name, safe='')}", what)
        return self._text(answer, what)

    async def show(self, path: str) -> KeyEntry:
        """A variable with its type and size, or a folder."""
        if not path:
            return folder("")
        try:
            value = await self.value(path)
        except KeyStorageError as error:
            if error.reason not in (KeyFailure.NOT_FOUND, KeyFailure.FORBIDDEN):
                raise
            found = await self._listed(path)
            if path in found:
                return _told(KeyEntry(path=path, meta=dict(_UNREAD)), found[path])
            if any(below(each, path) for each in found):
                return folder(path)
            raise
        found = await self._listed(path)
        entry = key_of_value(path, value)
        return _told(entry, found[path]) if path in found else entry

    async def children(self, path: str, deep: bool) -> list[KeyEntry]:
        """What stands below a folder."""
        found = {key: each for key, each in (await self._listed(path)).items() if below(key, path) is not None}
        if path and not found:
            refuse(
                f"{self._config.appliance_url}: no folder {shown(path)} with anything that the runner may see",
                KeyFailure.NOT_FOUND,
            )
        folders = {each for key in found for each in folders_above(key, path)}
        entries = [_told(KeyEntry(path=key), each) for key, each in found.items()]
        entries += [folder(each) for each in folders]
        return in_order(each for each in entries if deep or "/" not in (below(each.path, path) or ""))

    async def check(self) -> None:
        """Log in, and ask who we are."""
        await self._calls.login()
        answer = await self._calls.get("whoami", "whoami")
        try:
            msgspec.json.decode(answer.content, type=dict[str, Any])
        except msgspec.DecodeError:
            raise malformed(self._config.appliance_url, "whoami") from None

    async def close(self) -> None:
        """Let go of connections and the token."""
        await self._calls.close()

    async def _listed(self, path: str) -> dict[str, _Variable]:
        """All that the runner may see, by path: Conjur searches for words, not for folders."""
        before = f"{self._config.account}:variable:{self._config.name_prefix}"
        found: dict[str, _Variable] = {}
        offset = 0
        while True:
            page = await self._page(path, offset)
            for each in page:
                key = each.id.removeprefix(before)
                if each.id.startswith(before) and is_path(key):
                    found[key] = each
            offset += len(page)
            if len(page) < _PAGE:
                return found
            if offset >= MAX_VARIABLES:
                where = self._config.appliance_url
                refuse(f"{where} shows more than {MAX_VARIABLES:,} variables: permit less", KeyFailure.TOO_LARGE)

    async def _page(self, path: str, offset: int) -> list[_Variable]:
        query = {"limit": str(_PAGE), "offset": str(offset)}
        what = f"listing {shown(path)}" if path else "listing"
        answer = await self._calls.get(f"resources/{self._config.account}/variable", what, query)
        try:
            return msgspec.json.decode(answer.content, type=list[_Variable], strict=False)
        except msgspec.DecodeError:
            raise malformed(self._config.appliance_url, what) from None

    def _text(self, answer: Answer, what: str) -> str:
        if answer.content_type.partition(";")[0].strip().lower() == "text/html":
            raise malformed(self._config.appliance_url, what)
        try:
            return answer.content.decode()
        except UnicodeDecodeError:
            where = self._config.appliance_url
            raise KeyStorageError(f"{where}: {what} holds no UTF-8 text", reason=KeyFailure.NO_KEY) from None


def _told(entry: KeyEntry, variable: _Variable) -> KeyEntry:
    at = variable.created_at
    if at is None or at.tzinfo is None:
        return entry
    meta = entry.meta | metadata_of(None, created_at=at)
    return msgspec.structs.replace(entry, created_at=at, meta=meta)
