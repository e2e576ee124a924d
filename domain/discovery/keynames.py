"""How a setting names a key: ``keys/db/password``, or with ``runner/`` before it ("Keys")."""

from __future__ import annotations

from typing import Final

_PREFIX: Final = "keys/"
_RUNNER: Final = "runner/"


def is_key(value: str) -> bool:
    """Whether a setting names a key."""
    return value.removeprefix(_RUNNER).startswith(_PREFIX)


def key_path(value: str) -> list[str]:
    """The parts of a key's name below ``keys/``."""
    return value.removeprefix(_RUNNER).removeprefix(_PREFIX).split("/")
