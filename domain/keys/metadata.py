"""What a key's value is, and what may be told of it: the original's rules and names ("Keys")."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from schemas.keys import KeyType

PROBLEM: Final = "Runbus-problem"
"""In the metadata of a key that is there and cannot be used: why."""
_PRIVATE: Final = re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_PUBLIC: Final = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PUBLIC KEY|---- BEGIN SSH2 PUBLIC KEY|(?:sk-)?(?:ssh|ecdsa-sha2)-\S+ A"
)
_KINDS: Final = {
    KeyType.PRIVATE_KEY: {"Rundeck-key-type": "private"},
    KeyType.PUBLIC_KEY: {"Rundeck-key-type": "public"},
    KeyType.PASSWORD: {"Rundeck-data-type": "password"},
}


def key_type_of(value: str) -> KeyType:
    """What a value looks like: the original's rule, and public keys in the forms of PEM, PGP and OpenSSH.

    The original's: a newline, or the first line of a private key, is a private key; anything else is a password.
    """
    text = value.strip()
    if _PRIVATE.search(text):
        return KeyType.PRIVATE_KEY
    if _PUBLIC.match(text):
        return KeyType.PUBLIC_KEY
    return KeyType.PRIVATE_KEY if "\n" in text else KeyType.PASSWORD


def size_of(value: str) -> int:
    """In bytes, as UTF-8."""
    return len(value.encode("utf-8", "surrogatepass"))


def metadata_of(
    key_type: KeyType | None,
    size_bytes: int | None = None,
    *,
    created_at: datetime | None = None,
    modified_at: datetime | None = None,
) -> dict[str, str]:
    """What the original says of a key of this type and size, under its names. What is not known is left out."""
    found: dict[str, str] = {}
    if key_type is not None:
        found["Rundeck-content-type"] = key_type.content_type
        found |= _KINDS[key_type]
        if key_type is not KeyType.PUBLIC_KEY:
            found["Rundeck-content-mask"] = "content"
    if size_bytes is not None:
        found["Rundeck-content-size"] = str(size_bytes)
    for name, at in (("creation", created_at), ("modify", modified_at)):
        if at is not None:
            found[f"Rundeck-content-{name}-time"] = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return found
