"""Which process groups run, in a file that outlives the runner: one slot each, written once and blanked once."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import structlog

SLOT_BYTES: Final = 512
_BLANK: Final = b" " * (SLOT_BYTES - 1) + b"\n"

log = structlog.get_logger("runner")

Job = tuple[str, str, str]
"""Project, execution, assignment."""


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """A process group that was started for a job."""

    group: int
    at_s: float
    """On the clock since boot: its leader lived then, so whoever has its number and is older is the leader."""
    realm: str
    job: Job


class GroupFile:
    """The groups that run now, and those that an earlier run of this runner left when it was killed.

    The file is locked while the runner lives: whoever holds the lock may end what is noted. A slot costs 2 us to
    write and as much to blank, and needs no sync: the page cache outlives the process, and no process outlives the
    machine. Between the start of a process and its note lie some 10 us in which SIGKILL loses it.
    """

    def __init__(self, path: Path, fd: int | None) -> None:
        self._path = path
        self._fd = fd
        self._realm = realm()
        self._free: list[int] = []
        self._slots = 0
        self.left: Final = [] if fd is None else self._read(fd)

    @classmethod
    def open(cls, path: Path) -> GroupFile:
        """Open and lock it. Where that cannot be done nothing is noted: that is logged, and no reason not to work."""
        try:
            return cls(path, _locked(path))
        except OSError as cause:
            log.warning("groups.not_kept", path=str(path), reason=cause.strerror or str(cause))
            return cls(path, None)

    @contextmanager
    def noting(self, job: Job) -> Iterator[Callable[[int], None]]:
        """A function that notes a group for the time of the block."""
        slots: list[int] = []
        try:
            yield lambda group: slots.extend(self._note(group, job))
        finally:
            for slot in slots:
                self._write(slot, _BLANK)
                self._free.append(slot)

    def forget_left(self) -> None:
        """What was left is dealt with. To be called before anything is noted."""
        self.left.clear()
        if self._fd is not None:
            os.ftruncate(self._fd, 0)

    def close(self) -> None:
        """Remove the file if nothing in it matters any more, and unlock it."""
        if self._fd is None:
            return
        if not self.left and len(self._free) == self._slots:
            self._path.unlink(missing_ok=True)
        os.close(self._fd)
        self._fd = None

    def _note(self, group: int, job: Job) -> list[int]:
        noted = Noted(group=group, at_s=time.clock_gettime(time.CLOCK_BOOTTIME), realm=self._realm, job=job)
        data = msgspec.json.encode(noted)
        if len(data) >= SLOT_BYTES:
            log.warning("group.not_noted", group=group, reason="the names of its execution are too long")
            return []
        if not self._free:
            self._free.append(self._slots)
            self._slots += 1
        slot = self._free.pop()
        self._write(slot, data.ljust(SLOT_BYTES - 1) + b"\n")
        return [slot]

    def _write(self, slot: int, data: bytes) -> None:
        if self._fd is None:
            return
        try:
            os.pwrite(self._fd, data, slot * SLOT_BYTES)
        except OSError as cause:  # a full disk must not fail the job
            log.warning("group.not_noted", path=str(self._path), reason=cause.strerror)

    def _read(self, fd: int) -> list[Noted]:
        found: list[Noted] = []
        for line in os.pread(fd, os.fstat(fd).st_size, 0).split(b"\n"):
            if line.strip(b" \0"):
                try:
                    found.append(msgspec.json.decode(line, type=Noted))
                except msgspec.MsgspecError as cause:
                    log.warning("group.not_understood", path=str(self._path), reason=str(cause))
        return found


def realm() -> str:
    """Name this boot and this namespace of process ids: a number from another means nothing here."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _locked(path: Path) -> int:
    """Open the file and lock it; the one that has this name when that is done, and nobody else's."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            mine = os.fstat(fd)
            if not stat.S_ISREG(mine.st_mode) or mine.st_uid != os.geteuid():
                raise PermissionError(0, "it is there already, and is no file of ours")
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, mine):
                return fd
        except BlockingIOError as cause:
            os.close(fd)
            raise BlockingIOError(cause.errno, "another runner of this id holds it") from cause
        except OSError:
            os.close(fd)
            raise
        os.close(fd)


def _is_at(path: Path, mine: os.stat_result) -> bool:
    """Whether the file is still there: its last holder may have removed it meanwhile."""
    try:
        return os.path.samestat(path.stat(), mine)
    except FileNotFoundError:
        return False
