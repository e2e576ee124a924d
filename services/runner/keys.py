"""The runner's key storage: a directory of files, read at the moment of use and never written."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Final

from domain.discovery.keynames import key_path
from schemas.errors import ErrorCode, RunbusError

MAX_BYTES: Final = 1 << 20


class KeyDirectory:
    """Keys as files: ``keys/db/password`` is the file ``db/password`` below ``directory``. None: no key storage."""

    def __init__(self, directory: str, runner: str) -> None:
        self._directory = Path(directory) if directory else None
        self._runner = runner

    async def read(self, key: str) -> str:
        """The value, one newline at its end taken off.

        Raises ``key_unavailable`` where it is not there, is not to be read, or others than its owner may read it.
        """
        return await asyncio.to_thread(self._read, key)

    def _read(self, key: str) -> str:
        if self._directory is None:
            raise self._error(key, "it has no key storage. Start it with RUNBUS_KEYS_DIR, a directory of key files.")
        parts = key_path(key)
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise self._error(key, "that is no path of a key: write keys/folder/name.")
        try:
            return _text_of(self._directory.joinpath(*parts))
        except (OSError, ValueError) as cause:
            reason = (cause.strerror or str(cause)) if isinstance(cause, OSError) else str(cause)
            raise self._error(key, f"{reason}.") from None

    def _error(self, key: str, why: str) -> RunbusError:
        return RunbusError(
            ErrorCode.KEY_UNAVAILABLE,
            f"key {key[:200]!r} cannot be read on runner {self._runner}: {why}",
            details={"key": key[:200], "runner": self._runner},
        )


def _text_of(path: Path) -> str:
    """A file of its owner only. Raises OSError, and ValueError with the reason."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no file")
        if status.st_mode & 0o077:
            raise ValueError(f"others may read it (mode {status.st_mode & 0o777:04o}): chmod 600")
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
    try:
        return data.decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise ValueError("it is no UTF-8 text") from None
