"""Where the centre's master key comes from, and where the next one does while keys are brought under it.

A file has its successor beside it (``master.key.new``); ``RUNBUS_MASTER_KEY`` has it in ``RUNBUS_NEW_MASTER_KEY``.
A process knows both, and takes whichever the file of keys says: so nobody has to be restarted at any one moment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

import structlog

from schemas.errors import RunbusError
from services.keyproxy.masterkey import (
    DEFAULT_NAME,
    ENV_NAME,
    FILE_ENV_NAME,
    NEW_ENV_NAME,
    MasterFault,
    MasterKey,
    fault,
    make_master_key,
    parse_master_key,
    read_master_key,
)
from services.keyproxy.settings import KEYS_NAME

log = structlog.get_logger("keyproxy")


class MasterKeys(Protocol):
    """The master key in force and, where there is one, the next."""

    @property
    def place(self) -> str:
        """Where the one in force is: a path, or the name of a variable."""

    @property
    def remedy(self) -> str:
        """What to do where a key is missing here that the file of keys is under; ends a text."""

    def read(self) -> list[MasterKey]:
        """At the start: first that of the settings. Raises ``invalid_message`` where it cannot be used."""

    def again(self) -> list[MasterKey]:
        """What can be read now; what cannot is logged."""

    def pair(self) -> tuple[MasterKey, MasterKey]:
        """The one that a rotation begins with, and the one that it ends with. Raises ``invalid_message``."""

    def settle(self) -> str:
        """Every key is under the new one: put it in place of the old one; what is left to do, or nothing."""


class FileMasterKeys:
    """In a file; the next one is made beside it, and takes its place by one rename."""

    def __init__(self, path: Path, *, make: bool = False) -> None:
        self.path: Final = path
        self.new_path: Final = path.with_name(f"{path.name}.new")
        self._make = make
        """Whether one is made at the first start, in the data directory."""

    @property
    def place(self) -> str:
        """See :class:`MasterKeys`."""
        return str(self.path)

    @property
    def remedy(self) -> str:
        """See :class:`MasterKeys`."""
        return (
            f"which is neither in {self.path} nor in {self.new_path}, or cannot be read there: put it into one of "
            "them; nothing has to be restarted."
        )

    def read(self) -> list[MasterKey]:
        """See :class:`MasterKeys`."""
        if self._is_first():
            _made_once(self.path)
        return [read_master_key(self.path), *_readable(self.new_path)]

    def _is_first(self) -> bool:
        """Made beside a file of keys, a master key would open none of them, and hide that the right one is gone."""
        if not self._make or self.path.exists() or self.new_path.exists():
            return False
        keys = self.path.with_name(KEYS_NAME)
        return not keys.exists() or not keys.stat().st_size

    def again(self) -> list[MasterKey]:
        """See :class:`MasterKeys`."""
        new = _readable(self.new_path)  # first: if it takes the other's place meanwhile, it is found there
        return _readable(self.path) + new

    def pair(self) -> tuple[MasterKey, MasterKey]:
        """See :class:`MasterKeys`."""
        old = read_master_key(self.path)
        if self.new_path.exists():  # of a rotation that was cut short, or put there by whoever makes the keys
            return old, read_master_key(self.new_path)
        return old, make_master_key(self.new_path, owner=self.path.stat())

    def settle(self) -> str:
        """See :class:`MasterKeys`."""
        try:
            self.new_path.replace(self.path)
        except OSError as cause:  # a directory that something else fills: a mounted secret
            return (
                f"{self.path} cannot be written ({cause.strerror}): put the new master key, that of {self.new_path}, "
                "there; until then leave it where it is."
            )
        return ""


class EnvironmentMasterKeys:
    """In the environment of the process, which nobody can change while it runs."""

    def __init__(self, text: str, new_text: str) -> None:
        self._key = parse_master_key(text, ENV_NAME)
        self._new = parse_master_key(new_text, NEW_ENV_NAME) if new_text.strip() else None

    @property
    def place(self) -> str:
        """See :class:`MasterKeys`."""
        return ENV_NAME

    @property
    def remedy(self) -> str:
        """See :class:`MasterKeys`."""
        return f"which is neither in {ENV_NAME} nor in {NEW_ENV_NAME}: start the keyproxy with it in one of them."

    def read(self) -> list[MasterKey]:
        """See :class:`MasterKeys`."""
        return [self._key, *([self._new] if self._new else [])]

    def again(self) -> list[MasterKey]:
        """See :class:`MasterKeys`."""
        return []

    def pair(self) -> tuple[MasterKey, MasterKey]:
        """See :class:`MasterKeys`."""
        if self._new is None:
            raise fault(
                MasterFault.MISSING,
                f"the master key is in {ENV_NAME}, so the new one is to be in {NEW_ENV_NAME}, here and (before) in "
                "the environment of every keyproxy: 'openssl rand -base64 32' makes one.",
            )
        return self._key, self._new

    def settle(self) -> str:
        """See :class:`MasterKeys`."""
        return (
            f"Give the new master key as {ENV_NAME} from now on, and take {NEW_ENV_NAME} away; a keyproxy that has "
            f"both goes on until its next restart. Keyproxies started without {NEW_ENV_NAME} cannot read any more: "
            f"restart them with the new master key as {ENV_NAME}."
        )


def master_keys_of(*, text: str, new_text: str, file: str, data_dir: str, make: bool = True) -> MasterKeys:
    """Of the settings; without any, ``DATA_DIR/master.key``, which is made at the first start (``make``).

    Raises ``invalid_message`` where it is given twice, or cannot be used.
    """
    if text and file:
        raise fault(MasterFault.TWO, f"both {ENV_NAME} and {FILE_ENV_NAME} give a master key: take one of them away.")
    if text:
        return EnvironmentMasterKeys(text, new_text)
    if new_text:
        raise fault(
            MasterFault.TWO,
            f"{NEW_ENV_NAME} goes with {ENV_NAME} only: a master key in a file has the next one beside it, which "
            "'runbus keys rotate' makes. Take it away.",
        )
    if file:
        return FileMasterKeys(Path(file))
    return FileMasterKeys(Path(data_dir) / DEFAULT_NAME, make=make)


def _made_once(path: Path) -> None:
    try:
        make_master_key(path)
    except RunbusError as error:
        if error.details.get("reason") != MasterFault.EXISTS:  # another copy has just made it
            raise


def _readable(path: Path) -> list[MasterKey]:
    try:
        return [read_master_key(path)]
    except RunbusError as error:
        if error.details.get("reason") != MasterFault.MISSING:
            log.warning("master_key.not_read", file=str(path), error=error.message)
        return []
