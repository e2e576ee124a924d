"""``file``: a directory of files on the runner, read at the moment of use and never written."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final, TypeVar

import msgspec

from domain.keys.metadata import PROBLEM, key_type_of, metadata_of
from domain.keys.paths import is_path
from runbus.plugin import KeyEntry, KeyFailure, KeyStorageError
from schemas.version import VERSION
from services.runner.keystorage.entries import folder, in_order
from services.runner.keystorage.errors import refuse, shown
from services.runner.keystorage.threads import Threads

T = TypeVar("T")

MAX_BYTES: Final = 1 << 20
MAX_ENTRIES: Final = 100_000
"""Of one listing."""
_AT_A_TIME: Final = 8
_TOP: Final = 2
_HEAD_BYTES: Final = 4096
"""As much of a file is read to tell its type: a private key has a newline in it, or its first line."""


class FileKeysConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings."""

    directory: str
    """``db/password`` is the file of that name below it."""

    def __post_init__(self) -> None:
        """Refuse what depends on where the runner was started."""
        if not Path(self.directory).is_absolute():
            raise ValueError("directory has to be an absolute path")


class FileKeys:
    """Keys as files of UTF-8, 1 MiB at most; one newline at the end is no part of the value.

    A file that others than its owner may read is refused. A link is followed as long as it stays in the directory (as
    those of a volume of Kubernetes do). Names that begin with a dot are neither shown nor read. A listing reads the
    first 4 KiB of each file to tell its type; a file that cannot be used says why in its metadata, and has no type.
    What is no file (a pipe, a device) is not listed.
    """

    version: ClassVar[str] = VERSION
    config_type: ClassVar[type[FileKeysConfig]] = FileKeysConfig
    secret_settings: ClassVar[frozenset[str]] = frozenset()
    requires: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: FileKeysConfig) -> None:
        self._directory = Path(config.directory)
        self._threads: Threads | None = None

    async def read(self, path: str) -> str:
        """The value. Raises :class:`KeyStorageError`."""
        return await self._in_thread(self._read, path)

    async def show(self, path: str) -> KeyEntry:
        """Type, size and time of a file. Raises :class:`KeyStorageError`."""
        return await self._in_thread(self._show, path)

    async def children(self, path: str, *, deep: bool = False) -> Sequence[KeyEntry]:
        """Files and directories. Raises :class:`KeyStorageError`."""
        return await self._in_thread(self._children, path, deep)

    async def check(self) -> None:
        """Whether the directory can be read. Raises :class:`KeyStorageError`."""
        await self._in_thread(self._check)

    async def close(self) -> None:
        """Let the threads go."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.close()

    async def _in_thread(self, work: Callable[..., T], *args: Any) -> T:
        """Of its own: a disk that hangs (NFS) must not take those that the rest of the runner works with."""
        if self._threads is None:
            self._threads = Threads(_AT_A_TIME, "runbus-keys")
        return await self._threads.run(lambda: work(*args))

    def _read(self, path: str) -> str:
        real = self._real(path)
        if real.is_dir():
            raise self._error(path, "it is a folder, and no key", KeyFailure.NO_KEY)
        try:
            with _opened(self._root(), real) as file:
                data = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as cause:
            raise self._unreadable(path, cause) from None
        if len(data) > MAX_BYTES:
            raise self._error(path, f"it is larger than {MAX_BYTES >> 20} MiB", KeyFailure.TOO_LARGE)
        try:
            return data.decode().removesuffix("\n")
        except UnicodeDecodeError:
            raise self._error(path, "it is no UTF-8 text", KeyFailure.MALFORMED) from None

    def _show(self, path: str) -> KeyEntry:
        if not path:
            self._check()
            return folder("")
        real = self._real(path)
        return folder(path) if real.is_dir() else _entry(self._root(), path, real)

    def _children(self, path: str, deep: bool) -> list[KeyEntry]:
        root = self._root()
        real = self._real(path) if path else root
        if not real.is_dir():
            why = "is a key, and no folder" if real.exists() else "is not there"
            refuse(f"{shown(path)} {why} in {self._directory}", KeyFailure.NOT_FOUND)
        entries: list[KeyEntry] = []
        for entry in self._walked(path, real, deep, (root, real)):
            entries.append(entry)
            if len(entries) > MAX_ENTRIES:
                refuse(
                    f"{self._directory} has more than {MAX_ENTRIES:,} keys below {shown(path)}: ask for one folder",
                    KeyFailure.TOO_LARGE,
                )
        return in_order(entries)

    def _walked(self, path: str, real: Path, deep: bool, above: tuple[Path, ...]) -> Iterator[KeyEntry]:
        """``above``: the root, where the walk began, and what lies between: a link to one of them is not followed."""
        try:
            with os.scandir(real) as scan:
                found = [each for each in scan if not each.name.startswith(".")]
        except OSError as cause:
            if len(above) > _TOP:
                return
            raise self._unreadable(path, cause) from None
        for each in found:
            child = f"{path}/{each.name}" if path else each.name
            target = self._target(each, real, child) if is_path(child) else None
            if target is None:
                continue
            if not target.is_dir():
                if target.is_file():  # a pipe, a socket or a device is no key
                    yield _entry(above[0], child, target)
                continue
            yield folder(child)
            if deep and target not in above:
                yield from self._walked(child, target, deep, (*above, target))

    def _target(self, each: os.DirEntry[str], real: Path, child: str) -> Path | None:
        """Where a name leads; None: nowhere that is read."""
        if not each.is_symlink():
            return real / each.name
        try:
            return self._real(child)
        except KeyStorageError:
            return None

    def _check(self) -> None:
        try:
            os.listdir(self._root())  # noqa: PTH208
        except OSError as cause:
            raise self._unreadable("", cause) from None

    def _root(self) -> Path:
        try:
            root = self._directory.resolve(strict=True)
        except (OSError, RuntimeError) as cause:
            raise self._unreadable("", cause) from None
        if not root.is_dir():
            refuse(f"{self._directory} is no directory: correct the setting directory", KeyFailure.CONFIGURATION)
        return root

    def _real(self, path: str) -> Path:
        """Where a path leads once links are followed; not checked whether it is of a kind that is read."""
        if any(part.startswith(".") for part in path.split("/")):
            raise self._error(path, "names that begin with a dot are not read", KeyFailure.NOT_FOUND)
        root = self._root()
        try:
            real = root.joinpath(path).resolve(strict=True)
        except (OSError, RuntimeError, ValueError) as cause:
            raise self._unreadable(path, cause) from None
        if not real.is_relative_to(root):
            raise self._error(path, "it is a link that leaves the directory", KeyFailure.OUTSIDE)
        return real

    def _unreadable(self, path: str, cause: Exception) -> KeyStorageError:
        if isinstance(cause, FileNotFoundError | NotADirectoryError):
            reason = KeyFailure.NOT_FOUND if path else KeyFailure.CONFIGURATION
        else:
            reason = KeyFailure.FORBIDDEN if isinstance(cause, PermissionError | ValueError) else KeyFailure.FAILED
        why = (cause.strerror or "not to be read") if isinstance(cause, OSError) else str(cause)
        return self._error(path, why[:1].lower() + why[1:], reason)

    def _error(self, path: str, why: str, reason: KeyFailure) -> KeyStorageError:
        which = f"key {shown(path)} of the directory {self._directory}" if path else f"directory {self._directory}"
        return KeyStorageError(f"{which}: {why}", reason=reason)


def _opened(root: Path, real: Path) -> BinaryIO:
    """A file that its owner alone may read, opened without following any link: none has come about meanwhile.

    Raises OSError, and ValueError with the reason.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(root, flags | os.O_DIRECTORY)
    try:
        *folders, name = real.relative_to(root).parts
        for part in folders:
            inner = os.open(part, flags | os.O_DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        opened = os.open(name, flags | os.O_NONBLOCK, dir_fd=descriptor)
    finally:
        os.close(descriptor)
    if fault := _fault(os.fstat(opened)):
        os.close(opened)
        raise ValueError(fault)
    return os.fdopen(opened, "rb")


def _fault(status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "it is no file"
    if status.st_mode & 0o077:
        return f"others may read it (mode {status.st_mode & 0o777:04o}): chmod 600"
    return ""


def _entry(root: Path, path: str, real: Path) -> KeyEntry:
    try:
        with _opened(root, real) as file:
            status = os.fstat(file.fileno())
            head = file.read(_HEAD_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError) as cause:
        why = (cause.strerror or "not to be read") if isinstance(cause, OSError) else str(cause)
        return KeyEntry(path=path, meta={PROBLEM: why})
    key_type = key_type_of(head.removesuffix("\n"))
    modified_at = datetime.fromtimestamp(status.st_mtime, UTC)
    return KeyEntry(
        path=path,
        type=key_type,
        size_bytes=status.st_size,
        modified_at=modified_at,
        meta=metadata_of(key_type, status.st_size, modified_at=modified_at),
    )
