"""All keys that a runner can read, whatever storages they stand in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from domain.keys.paths import checked_path
from runbus.plugin import KeyEntry, KeyFailure, KeyStorage, KeyStorageError
from schemas.errors import RunbusError
from schemas.keys import KeyStorageInfo
from services.runner.keystorage.entries import below, folder, folders_above, in_order
from services.runner.keystorage.flights import Flights
from services.runner.keystorage.guard import GuardedStorage, StorageHealth
from services.runner.keystorage.settings import Plugins, StorageSettings, plugin_type

DEADLINE_S: Final = 20.0
NO_STORAGE: Final = (
    "this runner has no key storage: start it with RUNBUS_KEY_STORAGE, a file that says where its keys are, or with "
    "RUNBUS_KEYS_DIR, a directory of key files"
)


class _Found(NamedTuple):
    storage: GuardedStorage
    path: str
    """In the storage."""


class RunnerKeys:
    """Finds the storage of a path (the longest mount wins) and asks it.

    Nothing is kept: those who read the same key at the same time share one answer, the next one asks anew.

    Raises :class:`KeyStorageError`, and nothing else; the texts hold no value and no secret setting.
    """

    def __init__(
        self,
        storages: Sequence[StorageSettings],
        plugins: Plugins,
        *,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """``storages`` bear different paths. Raises ``configuration``."""
        self._storages = [
            GuardedStorage(each, plugins[plugin_type(each.type, plugins, each.origin)], deadline_s=deadline_s)
            for each in sorted(storages, key=lambda settings: settings.path)
        ]
        self._flights = Flights()

    @property
    def opened(self) -> list[KeyStorage]:
        """The plugins' instances, by path."""
        return [each.storage for each in self._storages]

    @property
    def secrets(self) -> list[str]:
        """What the providers themselves are asked with: no log may show it."""
        return [secret for storage in self._storages for secret in storage.secrets]

    @property
    def variables(self) -> frozenset[str]:
        """Of the environment: keys themselves, or what a provider is asked with. Jobs are not given them."""
        return frozenset(name for storage in self.opened for name in getattr(storage, "variables", ()))

    @property
    def infos(self) -> list[KeyStorageInfo]:
        """What the heartbeat says, by path."""
        return [each.info for each in self._storages]

    @property
    def health(self) -> list[StorageHealth]:
        """As the last :meth:`check` found them, by path."""
        return [each.health for each in self._storages]

    async def read(self, path: str) -> str:
        """The value of a key, to be held in memory only."""
        _checked(path)
        found = self._find(path)
        if not found.path:
            raise KeyStorageError(f"{path!r} is a folder, and no key", reason=KeyFailure.NO_KEY)
        return await self._flights.join(path, lambda: found.storage.read(found.path))

    async def show(self, path: str) -> KeyEntry:
        """What is known of a key or folder, without its value."""
        _checked(path, is_folder=True)
        self._require_any()
        if not path or self._mounts_below(path) or any(each.path == path for each in self._storages):
            return folder(path)
        found = self._find(path)
        return await found.storage.show(found.path)

    async def children(self, path: str, *, deep: bool = False) -> list[KeyEntry]:
        """What stands in a folder, sorted by path; storages that are mounted below it are folders of it.

        ``deep`` asks all of them, at the same time; one that fails fails it.
        """
        _checked(path, is_folder=True)
        self._require_any()
        mounts = self._mounts_below(path)
        asked = [_Found(each, "") for each in mounts] if deep else []
        owner = self._owner(path)
        if owner is not None:
            asked.append(owner)
        elif not mounts:
            self._find(path)
        answers = await asyncio.gather(
            *(self._listed(each, deep, may_lack=bool(mounts) and each is owner) for each in asked)
        )
        folders = {above for each in mounts for above in [*folders_above(each.path, path), each.path]}
        if not deep:
            folders = {each for each in folders if "/" not in (below(each, path) or "")}
        entries = [entry for answer in answers for entry in answer if not (entry.folder and entry.path in folders)]
        return in_order([*entries, *(folder(each) for each in folders)])

    async def check(self) -> list[StorageHealth]:
        """Ask every storage whether it answers, all at the same time; never raises."""
        return list(await asyncio.gather(*(each.check() for each in self._storages)))

    async def close(self) -> None:
        """End what is under way, and let go of every connection."""
        await self._flights.end()
        await asyncio.gather(*(each.close() for each in self._storages))

    async def _listed(self, asked: _Found, deep: bool, *, may_lack: bool) -> list[KeyEntry]:
        """Of one storage, without what another one, mounted below, hides.

        ``may_lack``: the folder is there for the mounts below it, whether or not this storage has it, too.
        """
        try:
            entries = await asked.storage.children(asked.path, deep=deep)
        except KeyStorageError as error:
            if may_lack and error.reason is KeyFailure.NOT_FOUND:
                return []
            raise
        hiding = [each for each in self._storages if len(each.path) > len(asked.storage.path)]
        return [entry for entry in entries if not any(_is_in(entry.path, each.path) for each in hiding)]

    def _find(self, path: str) -> _Found:
        self._require_any()
        found = self._owner(path)
        if found is None:
            mounts = ", ".join(each.path for each in self._storages)
            raise KeyStorageError(
                f"no key storage of this runner has {path[:200]!r}: its keys begin with {mounts}",
                reason=KeyFailure.NO_KEY_STORAGE,
            )
        return found

    def _owner(self, path: str) -> _Found | None:
        fitting = [each for each in self._storages if not each.path or _is_in(path, each.path)]
        if not fitting:
            return None
        longest = max(fitting, key=lambda storage: len(storage.path))
        return _Found(longest, below(path, longest.path) or "")

    def _mounts_below(self, path: str) -> list[GuardedStorage]:
        return [each for each in self._storages if below(each.path, path) is not None]

    def _require_any(self) -> None:
        if not self._storages:
            raise KeyStorageError(NO_STORAGE, reason=KeyFailure.NO_KEY_STORAGE)


def _is_in(path: str, mount: str) -> bool:
    return path == mount or below(path, mount) is not None


def _checked(path: str, *, is_folder: bool = False) -> None:
    try:
        checked_path(path, is_folder=is_folder)
    except RunbusError as error:
        raise KeyStorageError(error.message.removesuffix("."), reason=KeyFailure.OUTSIDE) from None
