"""What a runner tells of its key storage to whoever asks its tag set: paths, types and metadata, never a value."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from domain.keys.paths import checked_path
from runbus.plugin import KeyFailure, KeyStorageError
from schemas.errors import RunbusError
from schemas.keys import KeyBrowseRequest, KeyList, KeyLookRequest, KeyShown
from services.runner.keystorage.guarded import RunnerKeys
from services.runner.keyuse import not_listed, unavailable

T = TypeVar("T")

MAX_PAGE = 5000


class _Asked(NamedTuple):
    """What somebody wants to see, for how long, and how it is told that it cannot be."""

    name: str
    timeout_s: float
    refusal: Callable[[str, str, KeyStorageError], RunbusError]


class KeyAnswers:
    """Answers for one runner."""

    def __init__(self, keys: RunnerKeys, runner: str) -> None:
        self._keys = keys
        self._runner = runner

    async def browse(self, request: KeyBrowseRequest) -> KeyList:
        """A page of a folder. Raises ``key_unavailable``."""
        path = checked_path(request.path, is_folder=True)
        asked = _Asked(f"runner/{path}", request.timeout_s, not_listed)
        found = await self._within(asked, self._keys.listing(path, deep=request.deep))
        rest = [entry for entry in found.entries if entry.path > request.after]
        limit = max(1, min(request.limit, MAX_PAGE))
        if len(rest) > limit and rest[limit].path == rest[limit - 1].path:
            limit += 1  # a key and the folder of the same path: the next page, which begins behind it, has neither
        return KeyList(
            keys=rest[:limit], more=len(rest) > limit, runner=self._runner, storage=self._keys.infos,
            warnings=found.warnings,
        )  # fmt: skip

    async def look(self, request: KeyLookRequest) -> KeyShown:
        """One key, or folder. Raises ``key_unavailable``."""
        path = checked_path(request.path, is_folder=True)
        asked = _Asked(f"runner/{path}", request.timeout_s, unavailable)
        entry = await self._within(asked, self._keys.show(path))
        return KeyShown(key=entry, runner=self._runner, storage=self._keys.infos)

    async def _within(self, asked: _Asked, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(asked.timeout_s):
                return await work
        except KeyStorageError as error:
            raise asked.refusal(asked.name, self._runner, error) from None
        except TimeoutError:
            late = KeyStorageError(f"its provider took longer than {asked.timeout_s:g} s", reason=KeyFailure.TIMEOUT)
            raise asked.refusal(asked.name, self._runner, late) from None
