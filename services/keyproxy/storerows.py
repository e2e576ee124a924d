"""Rows of the file of keys: what they say as entries, what a ciphertext is bound to, and the errors about them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec

from domain.keys.metadata import metadata_of
from runbus.plugin import KeyFailure
from schemas.errors import ErrorCode, RunbusError
from schemas.keys import KeyEntry, KeyType
from services.keyproxy.crypto import Bound, ForgedError

COLUMNS: Final = "path, type, size_bytes, created_us, created_by, modified_us, modified_by, meta"
"""As :class:`Bound` has them, and as :func:`entry_of` and :func:`bound_of` take them."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
"""Added to the epoch, a third faster than ``fromtimestamp``, which is most of what an entry costs."""
_TYPES: Final[dict[str, KeyType]] = {each.value: each for each in KeyType}


def now_us() -> int:
    """The time, in µs since 1970."""
    return time.time_ns() // 1000


def bound_of(row: Sequence[Any]) -> Bound:
    """What a key's ciphertext is bound to, of its ``COLUMNS``. Raises :class:`ForgedError` for other ones."""
    try:
        return msgspec.convert(tuple(row), Bound)
    except msgspec.ValidationError:
        raise ForgedError from None


def created_of(row: Sequence[Any]) -> tuple[int, str]:
    """When (µs since 1970) and by whom a key was stored first; now, by nobody, where the row was tampered with."""
    try:
        bound = bound_of(row)
    except ForgedError:
        return now_us(), ""
    return bound.created_us, bound.created_by


def entry_of(row: Sequence[Any]) -> KeyEntry:
    """A key or a folder, of its ``COLUMNS``. Of a row that was tampered with, the path alone: it hides no others."""
    path, word, size_bytes, created_us, created_by, modified_us, modified_by, meta = row
    if word is None:
        return KeyEntry(path=path, folder=True)
    try:
        key_type = _TYPES[word]
        created_at = _EPOCH + created_us * _US
        return KeyEntry(
            path=path,
            type=key_type,
            size_bytes=size_bytes,
            created_at=created_at,
            modified_at=created_at if modified_us == created_us else _EPOCH + modified_us * _US,
            meta=_about(key_type, created_by, modified_by, meta),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return KeyEntry(path=path)


@lru_cache(maxsize=1024)
def _about(key_type: KeyType, created_by: str, modified_by: str, meta: str) -> dict[str, str]:
    """Most keys of a site share theirs, so a listing of thousands makes few."""
    about = metadata_of(key_type)
    if created_by:
        about["Rundeck-auth-created-username"] = created_by
    if modified_by:
        about["Rundeck-auth-modified-username"] = modified_by
    return about | msgspec.json.decode(meta, type=dict[str, str])


def not_found(path: str) -> RunbusError:
    """There is neither a key nor a folder."""
    return _unavailable(path, KeyFailure.NOT_FOUND, "is not there: 'runbus keys list' shows what is.")


def is_folder(path: str) -> RunbusError:
    """A key was asked for."""
    return _unavailable(path, KeyFailure.NO_KEY, "is a folder: name a key that is in it.")


def is_key(path: str) -> RunbusError:
    """A folder was asked for."""
    return _unavailable(path, KeyFailure.NOT_FOUND, "is a key and no folder: 'runbus keys show' shows it.")


def forged(path: str) -> RunbusError:
    """It cannot be decrypted under the key that it is said to be under."""
    return _unavailable(
        path, KeyFailure.MALFORMED, "was damaged, or changed by something else than Runbus, in the file of the "
        "centre's keys: store it again ('runbus keys put'), or remove it.",
    )  # fmt: skip


def other_master(path: str, remedy: str) -> RunbusError:
    """It is, or is to be, under a master key that this process cannot get; ``remedy`` goes on with what to do."""
    return _unavailable(
        path, KeyFailure.FAILED, "cannot be read or stored: the centre's keys are under another master key by now "
        f"('runbus keys rotate'), {remedy or 'which is not known here.'}",
    )  # fmt: skip


def too_large(path: str, size_bytes: int, limit_bytes: int) -> RunbusError:
    """More than a key may hold."""
    return RunbusError(
        ErrorCode.TOO_LARGE,
        f"the value for {_name(path)} has {size_bytes:,} bytes, and a key holds {limit_bytes:,} at most.",
        details={"key": _name(path), "reason": KeyFailure.TOO_LARGE.value},
    )


def conflict(path: str, other: str) -> RunbusError:
    """A key would stand where a folder is, or below a key."""
    if path == other:
        why = "is a folder that holds keys: give the key another name."
    else:
        why = f"cannot be stored, as keys/{other[:200]} is a key and no folder: give it another path."
    return _taken(path, why)


def taken(path: str) -> RunbusError:
    """A new key was wanted, and there is one."""
    return _taken(path, "exists: name another, or change that one (without --new).")


def _taken(path: str, why: str) -> RunbusError:
    return RunbusError(ErrorCode.ALREADY_EXISTS, f"{_name(path)} {why}", details={"key": _name(path)})


def _unavailable(path: str, reason: KeyFailure, why: str) -> RunbusError:
    name = _name(path)
    return RunbusError(ErrorCode.KEY_UNAVAILABLE, f"{name} {why}", details={"key": name, "reason": reason.value})


def _name(path: str) -> str:
    return f"keys/{path[:200]}"
