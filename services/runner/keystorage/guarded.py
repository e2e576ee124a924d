"""All keys that a runner can read, whatever storages they stand in."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog

from domain.keys.paths import checked_path
from runbus.plugin import KeyEntry, KeyFailure, KeyStorage, KeyStorageError
from schemas.errors import RunbusError
from schemas.keys import KeyStorageInfo
from services.runner.keystorage.entries import below, folder, folders_above, in_order
from services.runner.keystorage.errors import sentence
from services.runner.keystorage.flights import Flights
from services.runner.keystorage.guard import GuardedStorage, StorageHealth
from services.runner.keystorage.patience import deadline_of
from services.runner.keystorage.settings import Plugins, StorageSettings, converted, plugin_type

log = structlog.get_logger("runner")

_CLOSE_WITHIN_S: Final = 3.0
"""A runner that is told to stop does not wait for a provider that it says good-bye to."""
NO_STORAGE: Final = (
    "this runner has no key storage: start it with RUNBUS_KEY_STORAGE, a file that says where its keys are, or with "
    "RUNBUS_KEYS_DIR, a directory of key files"
)


class _Found(NamedTuple):
    storage: GuardedStorage
    path: str
    """In the storage."""


class Listing(NamedTuple):
    """What stands in a folder."""

    entries: list[KeyEntry]
    """Sorted by path; of a key and a folder that bear one path, the key first."""
    warnings: list[str]
    """Storages that could not be listed, by path and reason."""


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
        deadline_s: float | None = None,
        runner: str = "",
    ) -> None:
        """``storages`` bear different paths; ``runner`` is whose they are, for texts. Raises ``configuration``.

        ``deadline_s``: for every call of every storage; None: as long as the settings of each say.
        """
        self._storages = [
            _guarded(each, plugins[plugin_type(each.type, plugins, each.origin)], deadline_s)
            for each in sorted(storages, key=lambda settings: settings.path)
        ]
        self._flights = Flights()
        self._runner = runner

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
        try:
            return await self._flights.join(path, lambda: found.storage.read(found.path))
        except KeyStorageError as error:
            if error.reason is KeyFailure.NOT_FOUND and self._runner:
                raise KeyStorageError(_with_hint(error.message, path, self._runner), reason=error.reason) from None
            raise

    async def show(self, path: str) -> KeyEntry:
        """What is known of a key or folder, without its value."""
        _checked(path, is_folder=True)
        self._require_any()
        if not path or self._mounts_below(path) or any(each.path == path for each in self._storages):
            return folder(path)
        found = self._find(path)
        return await found.storage.show(found.path)

    async def listing(self, path: str, *, deep: bool = False) -> Listing:
        """What stands in a folder; storages that are mounted below it are folders of it.

        ``deep`` asks all of them, at the same time. What one of them cannot tell is left out and warned of; where
        none can tell anything, that is raised.
        """
        _checked(path, is_folder=True)
        self._require_any()
        mounts = self._mounts_below(path)
        owner = self._owner(path)
        if owner is None and not mounts:
            self._find(path)
        asked = [_Found(each, "") for each in mounts] if deep else []
        asked += [owner] if owner is not None else []
        answers = await asyncio.gather(
            *(self._listed(each, deep, may_lack=bool(mounts) and each is owner) for each in asked)
        )
        found = [entry for answer in answers if isinstance(answer, list) for entry in answer]
        faults = [(each, fault) for each, fault in zip(asked, answers, strict=True) if not isinstance(fault, list)]
        if faults and len(faults) == len(asked) and (deep or not mounts):
            raise faults[0][1]
        folders = _folders_of(mounts, path, deep=deep)
        entries = [entry for entry in found if not (entry.folder and entry.path in folders)]
        return Listing(
            in_order([*entries, *(folder(each) for each in folders)]),
            [_not_listed(each.storage.path, fault) for each, fault in faults],
        )

    async def check(self) -> list[StorageHealth]:
        """Ask every storage whether it answers, all at the same time; never raises."""
        return list(await asyncio.gather(*(each.check() for each in self._storages)))

    async def close(self) -> None:
        """End what is under way, and let go of every connection."""
        await self._flights.end()
        await asyncio.gather(*(_close(each) for each in self._storages))

    async def _listed(self, asked: _Found, deep: bool, *, may_lack: bool) -> list[KeyEntry] | KeyStorageError:
        """Of one storage, without what another one, mounted below, hides; or why not.

        ``may_lack``: the folder is there for the mounts below it, whether or not this storage has it, too.
        """
        try:
            entries = await asked.storage.children(asked.path, deep=deep)
        except KeyStorageError as error:
            return [] if may_lack and error.reason is KeyFailure.NOT_FOUND else error
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


def _guarded(settings: StorageSettings, plugin: type[KeyStorage], deadline_s: float | None) -> GuardedStorage:
    if deadline_s is None:
        deadline_s = deadline_of(converted(settings, plugin))
    return GuardedStorage(settings, plugin, deadline_s=deadline_s)


async def _close(storage: GuardedStorage) -> None:
    try:
        async with asyncio.timeout(_CLOSE_WITHIN_S):
            await storage.close()
    except TimeoutError:
        text = f"its provider had not answered after {_CLOSE_WITHIN_S:g} s"
        log.warning("keys.not_closed", storage=storage.settings.label, problem=text)


def _with_hint(message: str, path: str, runner: str) -> str:
    """A key that is not here may well be on a runner of another tag set: say how to see what is here."""
    folder_path = f"runner/{path.rpartition('/')[0]}"
    if shlex.quote(folder_path) != folder_path:  # advice to be copied and pasted, which this one's quotes would break
        return message
    return (
        f"{sentence(message)} A runner reads its own keys only: "
        f"'runbus keys list {folder_path} --tags @{runner}' shows those of this one"
    )


def _folders_of(mounts: Sequence[GuardedStorage], path: str, *, deep: bool) -> set[str]:
    """The folders that mounts make below a path, themselves among them."""
    folders = {above for each in mounts for above in [*folders_above(each.path, path), each.path]}
    return folders if deep else {each for each in folders if "/" not in (below(each, path) or "")}


def _not_listed(mount: str, fault: KeyStorageError) -> str:
    which = f"below 'runner/{mount}/'" if mount else "that are in no other key storage"
    return f"the keys {which} are not listed ({fault.reason}): {fault.message.removesuffix('.')}"


def _is_in(path: str, mount: str) -> bool:
    return path == mount or below(path, mount) is not None


def _checked(path: str, *, is_folder: bool = False) -> None:
    try:
        checked_path(path, is_folder=is_folder)
    except RunbusError as error:
        raise KeyStorageError(error.message.removesuffix("."), reason=KeyFailure.OUTSIDE) from None
