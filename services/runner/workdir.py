"""Private working directories of executions: one each at a time, empty at the start, gone or empty at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import structlog

from schemas.errors import ErrorCode, RunbusError

LOOK_AT: Final = 256
"""How many directories come back before the process table is looked at for all of them."""

log = structlog.get_logger("runner")


def require_writable(parent: str) -> None:
    """Make the directory in which all others are to stand, and write there: at the start, not at the first job.

    Empty: the system's temporary one. Raises ``unavailable`` that says which, why, and what to do.
    """
    shown = parent or "for temporary files"
    try:
        path = Path(parent or tempfile.gettempdir())
        shown = str(path)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="runbus-", dir=path) as directory:
            Path(directory, "file").write_bytes(b"written")
    except (OSError, ValueError) as cause:  # ValueError: a NUL in the path
        raise _unusable(shown, cause) from cause


class WorkDirs:
    """Lends directories out, mode 0700.

    One that comes back empty is lent again (making and removing one takes 0.15 ms on a disk), but only after a look
    at the process table found nobody in it: a background process that an earlier job left there would otherwise
    write among the files of the next. One look serves 256 directories, 0.02 ms each. Not seen are processes of
    other users, and those that hold a directory only by a descriptor.
    """

    def __init__(self, parent: str) -> None:
        self._parent = parent or None
        self._root: Path | None = None
        self._returned: list[Path] = []
        self._free: list[Path] = []

    def lend(self) -> Path:
        """An empty directory. One that someone removed (who clears /tmp) or wrote into meanwhile is not lent.

        Raises ``unavailable`` where none can be made (any more).
        """
        if not self._free and len(self._returned) >= LOOK_AT:
            self._look()
        while self._free:
            if _untouched(kept := self._free.pop()):
                return kept
            shutil.rmtree(kept, onerror=_report)
        try:
            if self._root is None or not self._root.is_dir():
                self._root = Path(tempfile.mkdtemp(prefix="runbus-", dir=self._parent)).resolve()
            return Path(tempfile.mkdtemp(dir=self._root))
        except OSError as cause:
            raise _unusable(self._parent or tempfile.gettempdir(), cause) from cause

    def take_back(self, directory: Path) -> None:
        """Keep it if it is as it was lent; else remove it with all that is in it."""
        if _untouched(directory):
            self._returned.append(directory)
        else:
            shutil.rmtree(directory, onerror=_report)

    def close(self) -> None:
        """Remove everything."""
        self._returned.clear()
        self._free.clear()
        if self._root is not None:
            shutil.rmtree(self._root, onerror=_report)

    def _look(self) -> None:
        """Free what nobody is in."""
        held = _somebodys()
        for directory in self._returned:
            if str(directory) in held:
                shutil.rmtree(directory, onerror=_report)
            else:
                self._free.append(directory)
        self._returned.clear()


def _unusable(path: str, cause: OSError | ValueError) -> RunbusError:
    reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return RunbusError(
        ErrorCode.UNAVAILABLE,
        f"the work directory {path} of this runner cannot be used ({reason}): executions get their private "
        "directories there. Make it writable for the runner's user, see that there is space, or name another one "
        "with RUNBUS_WORK_DIR (--work-dir).",
        details={"setting": "RUNBUS_WORK_DIR", "path": path},
    )


def _untouched(directory: Path) -> bool:
    try:
        with os.scandir(directory) as entries:
            return next(entries, None) is None and directory.stat().st_mode & 0o777 == 0o700
    except OSError:
        return False


def _somebodys() -> set[str]:
    """The working directory of every process that we may look at."""
    found: set[str] = set()
    for pid in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208  (one path for each process is dear)
        try:
            found.add(os.readlink(f"/proc/{pid}/cwd"))  # noqa: PTH115
        except OSError:  # ended meanwhile, or another user's
            continue
    return found


def _report(_function: object, path: str, info: tuple[object, BaseException, object]) -> None:
    if not isinstance(info[1], FileNotFoundError):
        log.warning("work_dir.not_removed", path=path, reason=str(info[1]))
