"""Secrets on their way over the bus: sealed with a public key, so that its one receiver alone can read them.

libsodium's sealed box (X25519, XSalsa20-Poly1305), which most languages have: 32 bytes of a public key made for this
one text, then the text with its 16 bytes of proof; all of it in base64. A sealed box does not say who sealed it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NoReturn

from schemas.errors import ErrorCode, RunbusError

if TYPE_CHECKING:
    from nacl.public import PrivateKey

KEY_BYTES: Final = 32
OVERHEAD_BYTES: Final = 48
"""How much longer than its value a sealed text is, before base64."""
_PERSON: Final = b"runbus derived 1"
"""BLAKE2's own field for what a hash is for; 16 bytes at most."""


class SealFault(StrEnum):
    """Why something cannot be sealed or opened."""

    PUBLIC_KEY = "public_key"
    """What is to be sealed with is no X25519 public key."""
    NOT_BASE64 = "not_base64"
    TOO_SHORT = "too_short"
    """Cut off, or never sealed."""
    NOT_OPENED = "not_opened"
    """Sealed with another public key, or changed since: nobody can tell which."""


class SealingError(RunbusError):
    """``invalid_message``, with the reason beside it (also in ``details.reason``); it holds nothing of the text."""

    def __init__(self, reason: SealFault, message: str) -> None:
        super().__init__(ErrorCode.INVALID_MESSAGE, message, details={"reason": reason.value})
        self.reason: Final = reason


def derived_key(master: bytes, purpose: str) -> bytes:
    """32 bytes of a master key of 32 bytes, for one purpose: keyed BLAKE2b, from which nothing leads back.

    Raises ValueError where the master key has another length.
    """
    if len(master) != KEY_BYTES:
        raise ValueError(f"a master key has {KEY_BYTES} bytes, this one {len(master)}")
    return hashlib.blake2b(purpose.encode(), key=master, person=_PERSON, digest_size=KEY_BYTES).digest()


class SealingKey:
    """A private key, in memory only: it is not shown, and refuses to be pickled."""

    __slots__ = ("_private", "_public")

    def __init__(self, private: PrivateKey) -> None:
        self._private = private
        self._public = base64.b64encode(bytes(private.public_key)).decode()

    @classmethod
    def make(cls) -> SealingKey:
        """A new one, by chance; it ends with the process."""
        from nacl.public import PrivateKey  # noqa: PLC0415  (2.5 MB and 40 ms that not every part needs)

        return cls(PrivateKey.generate())

    @classmethod
    def derived(cls, master: bytes, purpose: str) -> SealingKey:
        """The one that every copy of a service has which has the master key, today and after a restart."""
        from nacl.public import PrivateKey  # noqa: PLC0415

        return cls(PrivateKey(derived_key(master, purpose)))

    @property
    def public(self) -> str:
        """Whoever has it can seal: 32 bytes, base64."""
        return self._public

    def open(self, sealed: str) -> bytes:
        """The value. Raises :class:`SealingError`."""
        from nacl.exceptions import CryptoError  # noqa: PLC0415
        from nacl.public import SealedBox  # noqa: PLC0415

        data = _bytes_of(sealed, SealFault.NOT_BASE64, "a sealed value is no base64: seal it anew.")
        if len(data) < OVERHEAD_BYTES:
            raise SealingError(
                SealFault.TOO_SHORT,
                f"a sealed value has {len(data)} bytes, and at least {OVERHEAD_BYTES} are needed: it was cut off, "
                "or never sealed.",
            )
        try:
            return SealedBox(self._private).decrypt(data)
        except CryptoError:
            raise SealingError(
                SealFault.NOT_OPENED,
                "a sealed value cannot be opened: it was sealed with another public key, or changed on its way. "
                "Ask for the public key again, and seal the value anew.",
            ) from None

    def __repr__(self) -> str:
        return f"SealingKey(public={self._public!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SealingKey stays in the memory of its process")


def seal(public: str, value: bytes) -> str:
    """Seal a value so that the holder of the private key can open it, and not even the sealer; base64.

    Twice the same value gives two texts. Raises :class:`SealingError`.
    """
    from nacl.exceptions import CryptoError  # noqa: PLC0415
    from nacl.public import PublicKey, SealedBox  # noqa: PLC0415

    wrong = "the public key to seal with is no X25519 key (32 bytes, base64): ask its owner for it again."
    key = _bytes_of(public, SealFault.PUBLIC_KEY, wrong)
    if len(key) != KEY_BYTES:
        raise SealingError(SealFault.PUBLIC_KEY, wrong)
    try:
        sealed = SealedBox(PublicKey(key)).encrypt(value)
    except CryptoError:  # a point of low order, with which everybody could open it
        raise SealingError(SealFault.PUBLIC_KEY, wrong) from None
    return base64.b64encode(sealed).decode()


def _bytes_of(text: str, reason: SealFault, message: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: letters beyond ASCII
        raise SealingError(reason, message) from None
