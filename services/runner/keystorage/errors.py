"""Errors of the key storages that several of them have."""

from __future__ import annotations

from typing import NoReturn

from runbus.plugin import KeyFailure, KeyStorageError

_SHOWN_CHARS = 200


def shown(path: str) -> str:
    """A path as errors repeat it."""
    return repr(path[:_SHOWN_CHARS])


def sentence(text: str) -> str:
    """With a full stop at its end, where it has none and is no question."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def refuse(message: str, reason: KeyFailure) -> NoReturn:
    """Raise :class:`KeyStorageError`."""
    raise KeyStorageError(message, reason=reason)
