"""``storagePath``: a key's name, in which options and the node may fill in parts that nobody knows yet."""

from __future__ import annotations

import re
from typing import Final

from domain.jobfile.notes import Place, Refused
from domain.jobfile.read.values import quoted, trimmed_text
from domain.keys.paths import MAX_CHARS, KeyPath, checked_path
from schemas.errors import RunbusError

_STARTS: Final = ("keys/", "runner/")
_REFERENCE: Final = re.compile(r"\$\{[^}]*\}")
_PART: Final = "x"
"""Stands for a reference: what it will be is not judged, but what stands around it is."""


def storage_path(place: Place) -> str | None:
    """The path as it is written, if some run could read a key by it."""
    value = trimmed_text(place)
    if not value:
        return value
    path = value.removeprefix("/")
    if not _may_begin_well(path):
        # nor is it shown: whoever takes this field for the value's place has written the secret itself here
        raise Refused("no path of a key; it begins with 'keys/' or 'runner/'")
    try:
        _check(_REFERENCE.sub(_PART, path))
    except RunbusError:
        raise Refused(
            f"{quoted(value)} can never be read; no part of a key's path is empty, '.' or '..', also "
            f"percent-encoded, or has a backslash or what cannot be seen, and all of it has {MAX_CHARS:,} "
            "characters at most"
        ) from None
    return value


def _may_begin_well(path: str) -> bool:
    known, reference, _ = path.partition("${")
    return path.startswith(_STARTS) or (bool(reference) and any(start.startswith(known) for start in _STARTS))


def _check(path: str) -> None:
    """Raises ``key_unavailable``."""
    if path.startswith(_STARTS):
        KeyPath.parse(path)
    else:  # a reference fills in where it begins
        checked_path(path)
