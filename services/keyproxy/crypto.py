"""How a key's value is encrypted: AES-256-GCM, under a key that is derived from the master key.

Whatever the file says of a key is bound to its ciphertext: a row that was changed, or exchanged with another, is not
decrypted. The format of both is pinned by a test, as files outlive versions.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec

from bus.sealing import derived_key
from schemas.keys import KeyType
from services.keyproxy.masterkey import MasterKey

NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
ID_BYTES: Final = 16
_FORMAT: Final = b"runbus key 1\n"
_FOR_VALUES: Final = "runbus keyproxy values 1"
_FOR_ID: Final = "runbus keyproxy id 1"


class Bound(msgspec.Struct, frozen=True, array_like=True):
    """What a ciphertext is bound to: all that the file says of its key. Times in µs since 1970."""

    path: str
    type: KeyType
    size_bytes: int
    created_us: int
    created_by: str
    modified_us: int
    modified_by: str
    meta: str
    """JSON, as it stands in the file."""

    def data(self) -> bytes:
        """The associated data: no two of these are alike."""
        return _FORMAT + msgspec.json.encode(self)


class Encrypted(msgspec.Struct, frozen=True):
    """A value as it is stored; ``ciphertext`` is 16 bytes longer than it."""

    nonce: bytes
    ciphertext: bytes


class ForgedError(Exception):
    """The ciphertext, or something it is bound to, is not what was written under this key."""


class DataKey:
    """Encrypts values. Derived, not stored: the file and the master key are all that a backup needs."""

    __slots__ = ("_cipher", "id", "master")

    def __init__(self, master: MasterKey) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  (8 MB)

        self._cipher = AESGCM(derived_key(master.secret, _FOR_VALUES))
        self.id: Final = derived_key(master.secret, _FOR_ID)[:ID_BYTES]
        """Tells which master key it is of, and nothing else of it."""
        self.master: Final = master

    def encrypt(self, value: bytes, bound: Bound) -> Encrypted:
        """Encrypt under a nonce of its own, by chance: of 2**32 values two have the same at less than 1 in 2**32."""
        nonce = os.urandom(NONCE_BYTES)
        return Encrypted(nonce, self._cipher.encrypt(nonce, value, bound.data()))

    def decrypt(self, encrypted: Encrypted, bound: Bound) -> bytes:
        """The value. Raises :class:`ForgedError`."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415

        try:
            return self._cipher.decrypt(encrypted.nonce, encrypted.ciphertext, bound.data())
        except (InvalidTag, ValueError):  # ValueError: a nonce of another length, or hardly any ciphertext
            raise ForgedError from None

    def __repr__(self) -> str:
        return f"DataKey(id={self.id.hex()!r}, origin={self.master.origin!r})"
