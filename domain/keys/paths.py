"""Names of keys, and which of them are none ("Keys")."""

from __future__ import annotations

from enum import StrEnum
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from schemas.errors import ErrorCode, RunbusError

MAX_CHARS: Final = 1024
"""Of a name, with what stands before it."""
SHOWN_CHARS: Final = 200
OUTSIDE: Final = "outside"
"""The reason in ``details``: as key storages name it."""
_KEYS: Final = "keys"
_RUNNER: Final = "runner"
_PROJECT: Final = "project"
_HOW_CENTRE: Final = "write keys/folder/name"
_HOW_RUNNER: Final = "write runner/folder/name"
_HOW_ANY: Final = f"{_HOW_CENTRE}, or runner/folder/name"


class KeyPlace(StrEnum):
    """Whose key storage a key stands in."""

    CENTRE = "centre"
    RUNNER = "runner"


class KeyPath(msgspec.Struct, frozen=True):
    """A key by its name in a job: ``keys/db/password`` or ``runner/db/password``."""

    place: KeyPlace
    path: str
    """Below the storage's root: ``db/password``."""

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """As it is written in a job."""
        return f"{_KEYS if self.place is KeyPlace.CENTRE else _RUNNER}/{self.path}"

    @property
    def project(self) -> str:
        """The project that a key is for, ``P`` of ``keys/project/P/…``; empty: any."""
        first, _, rest = self.path.partition("/")
        project, slash, _ = rest.partition("/")
        return project if first == _PROJECT and slash else ""

    @classmethod
    def parse(cls, name: str, wanted: KeyPlace | None = None) -> KeyPath:
        """Read a name; ``runner/keys/a`` is ``runner/a``. Raises ``key_unavailable`` with the reason ``outside``.

        What begins with neither ``keys/`` nor ``runner/`` is not repeated in the error: it may be the secret itself.

        ``wanted``: where a key of the caller's can stand, which is all that the error advises to write; None: in
        either place. A good name of the other place is read all the same: why that will not do, the caller knows.
        """
        how = _how(wanted)
        if not is_key_name(name):
            raise outside("", f"what is given is no name of a key (it is not shown: it may be a secret): {how}")
        if len(name) > MAX_CHARS:
            raise outside(name, f"its name has {len(name)} characters, {MAX_CHARS} at most")
        place = KeyPlace.CENTRE if name.startswith(f"{_KEYS}/") else KeyPlace.RUNNER
        path = name.removeprefix(f"{_RUNNER}/").removeprefix(f"{_KEYS}/")
        if fault := _fault(path):
            raise outside(name, f"{fault}: {how}")
        return cls(place, path)


def is_key_name(text: str) -> bool:
    """Whether a text is meant to name a key: whether it is a good one is another matter."""
    return text.startswith((f"{_KEYS}/", f"{_RUNNER}/"))


def centre_path(text: str) -> KeyPath:
    """A key of the centre, ``keys/`` before it or not. Raises ``key_unavailable`` with the reason ``outside``."""
    if text.startswith(f"{_RUNNER}/"):
        raise outside(text, f"it is a key of a runner, and the centre has none of those: {_HOW_CENTRE}")
    return KeyPath(KeyPlace.CENTRE, checked_path(text.removeprefix(f"{_KEYS}/")))


def folder_path(text: str, place: KeyPlace = KeyPlace.CENTRE) -> str:
    """A folder's path below the root, whatever it is called by: ``db``, ``keys/db/``, of a runner's ``runner/db``.

    Empty: the root. Raises ``key_unavailable`` with the reason ``outside``.
    """
    path = text.removesuffix("/")
    for before in (_RUNNER, _KEYS) if place is KeyPlace.RUNNER else (_KEYS,):
        path = "" if path == before else path.removeprefix(f"{before}/")
    return checked_path(path, is_folder=True)


def checked_path(path: str, *, is_folder: bool = False) -> str:
    """A path below the root of a key storage, as it is. A folder's may be empty: the root.

    Raises ``key_unavailable`` with the reason ``outside``.
    """
    if is_folder and not path:
        return path
    if len(path) > MAX_CHARS:
        raise outside(path, f"its path has {len(path)} characters, {MAX_CHARS} at most")
    if fault := _fault(path):
        raise outside(path, f"{fault}: write folder/name")
    return path


def is_path(path: str) -> bool:
    """Whether a key could bear this path: what a provider has under any other is not shown."""
    return len(path) <= MAX_CHARS and not _fault(path)


def outside(key: str, why: str) -> RunbusError:
    """The error of a name that is none. ``key``: what may be shown of it."""
    shown = key[:SHOWN_CHARS]
    which = f"key {shown!a}" if key else "a key"
    return RunbusError(
        ErrorCode.KEY_UNAVAILABLE, f"{which} cannot be used: {why}.", details={"key": shown, "reason": OUTSIDE}
    )


def _how(wanted: KeyPlace | None) -> str:
    if wanted is None:
        return _HOW_ANY
    return _HOW_CENTRE if wanted is KeyPlace.CENTRE else _HOW_RUNNER


def _fault(path: str) -> str:
    """What is wrong with a path; empty: nothing."""
    if fault := _plain_fault(path):
        return fault
    slashes = path.count("/")
    for decoded in _decodings(path):
        if decoded is None:
            return "it has a percent-encoded part that is no text"
        if decoded.count("/") != slashes or (fault := _plain_fault(decoded)):
            return "it has a percent-encoded '/', '.' or the like, which is not taken"
    return ""


def _plain_fault(path: str) -> str:
    # printable are letters, digits, signs and the space: no control characters, none that are not seen, no half pairs
    if not path.isprintable():
        return "it has a control character, or one that cannot be seen"
    if "\\" in path:
        return "it has a backslash"
    parts = path.split("/")
    if "" in parts:
        return "it has an empty part"
    if "." in parts or ".." in parts:
        return "it has the part '.' or '..'"
    return ""


def _decodings(path: str) -> list[str | None]:
    """What a path becomes when it is decoded once, twice, until nothing changes; None at the end: it is no text.

    Each time it gets shorter by two characters at least, so this ends. A provider, or a proxy before it, that decodes
    once more than it should must not see another path than the one that was checked.
    """
    found: list[str | None] = []
    while "%" in path:
        try:
            decoded = unquote_to_bytes(path).decode()
        except UnicodeDecodeError:
            return [*found, None]
        if decoded == path:
            break
        found.append(decoded)
        path = decoded
    return found
