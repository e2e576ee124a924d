"""The master key of the centre's keys: 32 bytes, from a file of its owner's only or from the environment."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from enum import StrEnum
from pathlib import Path
from typing import Final, NoReturn

from schemas.errors import ErrorCode, RunbusError

KEY_BYTES: Final = 32
DEFAULT_NAME: Final = "master.key"
ENV_NAME: Final = "RUNBUS_MASTER_KEY"
NEW_ENV_NAME: Final = "RUNBUS_NEW_MASTER_KEY"
FILE_ENV_NAME: Final = "RUNBUS_MASTER_KEY_FILE"
_MAX_FILE_BYTES: Final = 4096
_HOW: Final = f"It is {KEY_BYTES} random bytes in base64: 'openssl rand -base64 {KEY_BYTES}' makes one."


class MasterFault(StrEnum):
    """What is wrong with a master key: ``details.reason`` of the errors raised here."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    SHARED = "shared"
    """Others than its owner may read it, or change it."""
    NOT_BASE64 = "not_base64"
    WRONG_LENGTH = "wrong_length"
    TWO = "two"
    """Given twice: which of them counts is nobody's to guess."""
    EXISTS = "exists"
    """One is to be made where one is."""
    OTHER_KEY = "other_key"
    """It is not the one that a file of keys was written under."""


class MasterKey:
    """Whoever has it can read every key of the centre. It is not shown, and refuses to be pickled."""

    __slots__ = ("origin", "secret")

    def __init__(self, secret: bytes, origin: str = "") -> None:
        if len(secret) != KEY_BYTES:
            raise fault(
                MasterFault.WRONG_LENGTH,
                f"the master key in {origin or 'memory'} has {len(secret)} bytes instead of {KEY_BYTES}. {_HOW}",
            )
        self.secret: Final = secret
        self.origin: Final = origin
        """Where it was read, for texts: a path, or the name of a variable."""

    def __repr__(self) -> str:
        return f"MasterKey(origin={self.origin!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a MasterKey stays in the memory of its process")


def fault(reason: MasterFault, message: str) -> RunbusError:
    """An error of the master key, with its reason in ``details``; the message holds nothing of the key."""
    code = ErrorCode.ALREADY_EXISTS if reason is MasterFault.EXISTS else ErrorCode.INVALID_MESSAGE
    return RunbusError(code, message, details={"reason": reason.value})


def parse_master_key(text: str, origin: str) -> MasterKey:
    """32 bytes in base64, white space around them allowed; ``origin`` names where they stood.

    Raises ``invalid_message``, which never repeats the text.
    """
    try:
        secret = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):  # ValueError: letters beyond ASCII
        raise fault(MasterFault.NOT_BASE64, f"the master key in {origin} is no base64. {_HOW}") from None
    return MasterKey(secret, origin)


def read_master_key(path: Path) -> MasterKey:
    """Read the file. Raises ``invalid_message`` where it is missing, readable by others, or holds no such key."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            _refuse_shared(path, os.fstat(descriptor))
            data = file.read(_MAX_FILE_BYTES)
    except FileNotFoundError:
        raise fault(
            MasterFault.MISSING,
            f"there is no master key in {path}: put it there again (a backup has it), name the right file with "
            f"{FILE_ENV_NAME}, or give the key itself as {ENV_NAME}. Without it the keys that were stored cannot be "
            "read.",
        ) from None
    except OSError as cause:
        raise fault(
            MasterFault.UNREADABLE,
            f"the master key in {path} cannot be read ({cause.strerror}): let the user of this service own the file.",
        ) from cause
    return parse_master_key(data.decode("latin-1"), str(path))


def make_master_key(path: Path, owner: os.stat_result | None = None) -> MasterKey:
    """Make a key by chance and store it, mode 0600, on the disk when this returns. Never in place of a file.

    ``owner``: of a file whose user it is to belong to, too, as whoever makes it may be root.

    Killed at any moment, there is either no such file or a whole one. Raises ``already_exists``, and
    ``invalid_message`` where the file cannot be made.
    """
    key = MasterKey(secrets.token_bytes(KEY_BYTES), str(path))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        placed = _place(path, base64.b64encode(key.secret) + b"\n", owner)
    except OSError as cause:
        raise fault(
            MasterFault.UNREADABLE,
            f"the master key {path} cannot be made ({cause.strerror}): name a place that can be written to.",
        ) from cause
    if not placed:
        raise fault(MasterFault.EXISTS, f"{path} exists: a master key is never written over. Name another file.")
    return key


def _refuse_shared(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise fault(MasterFault.UNREADABLE, f"the master key {path} is no file: name one with {FILE_ENV_NAME}.")
    if status.st_mode & 0o077:
        raise fault(
            MasterFault.SHARED,
            f"others may use the master key in {path} (mode {status.st_mode & 0o777:04o}): 'chmod 600 {path}', and "
            "consider whether they have read it: 'runbus keys rotate' puts another in its place.",
        )


def _place(path: Path, data: bytes, owner: os.stat_result | None) -> bool:
    """Write it beside ``path``, then link it there, which unlike a rename fails where there is a file: False then."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if owner is not None and owner.st_uid != os.geteuid():
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
    finally:
        draft.unlink()
    _sync_directory(path.parent)
    return True


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
