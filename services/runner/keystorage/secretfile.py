"""Values of settings that stand in files of their own, as containers are given their secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from services.runner.keystorage.settings import wrong

_MAX_BYTES: Final = 64 << 10


def value_of_file(file: str, origin: str) -> str:
    """The content, one newline at its end taken off. Its mode is not looked at: containers' secrets are 0444.

    Raises :class:`runbus.plugin.KeyStorageError`.
    """
    if not Path(file).is_absolute():
        raise wrong(origin, "the file has to be named by an absolute path")
    try:
        with Path(file).open("rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as cause:
        why = cause.strerror if isinstance(cause, OSError) else "no such name"
        raise wrong(origin, f"the file {file[:200]} cannot be read: {why}") from None
    if len(data) > _MAX_BYTES:
        raise wrong(origin, f"the file {file[:200]} is longer than {_MAX_BYTES >> 10} KiB")
    try:
        value = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise wrong(origin, f"the file {file[:200]} is no UTF-8 text") from None
    if not value:
        raise wrong(origin, f"the file {file[:200]} is empty")
    return value
