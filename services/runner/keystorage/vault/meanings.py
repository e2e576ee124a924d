"""What a secret of Vault is as a key, by the two storage behaviours of the original. No entry holds a value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from runbus.plugin import KeyEntry, KeyType
from services.runner.keystorage.vault.config import StorageBehaviour
from services.runner.keystorage.vault.place import is_part

_VALUE: Final = "data"
_TYPE: Final = "Rundeck-content-type"
_SIZE: Final = "Rundeck-content-size"
_CREATED: Final = "Rundeck-content-creation-time"
_MODIFIED: Final = "Rundeck-content-modify-time"
_SHOWN_CHARS: Final = 200
_KINDS: Final[Mapping[KeyType, Mapping[str, str]]] = {
    KeyType.PASSWORD: {"Rundeck-data-type": "password", "Rundeck-content-mask": "content"},
    KeyType.PRIVATE_KEY: {"Rundeck-key-type": "private", "Rundeck-content-mask": "content"},
    KeyType.PUBLIC_KEY: {"Rundeck-key-type": "public"},
}


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret as it was read: its fields, and of KV 2 its version."""

    fields: Mapping[str, Any]
    version: int | None = None
    created_at: datetime | None = None
    modified_at: datetime | None = None

    def __repr__(self) -> str:
        return f"Secret({len(self.fields)} fields)"


def value_of(secret: Secret, behaviour: StorageBehaviour) -> str | None:
    """The value, where the secret is a key."""
    if behaviour is StorageBehaviour.RUNDECK:
        return text_of(secret.fields.get(_VALUE))
    return text_of(next(iter(secret.fields.values()))) if len(secret.fields) == 1 else None


def text_of(value: Any) -> str | None:
    """A field's value: a text as it is, anything else as JSON; None where there is none."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def entries_of(path: str, secret: Secret, behaviour: StorageBehaviour) -> list[KeyEntry]:
    """A key; or a folder, and behind it the fields that are its keys; or nothing, where it is none of both."""
    value = value_of(secret, behaviour)
    if value is not None:
        said = secret.fields if behaviour is StorageBehaviour.RUNDECK else {}
        return [_entry(path, value, said, secret)]
    if behaviour is StorageBehaviour.RUNDECK or len(secret.fields) < 2:
        return []
    fields = [field_of(path, name, secret) for name in sorted(secret.fields) if is_part(name)]
    return [KeyEntry(path=path, folder=True), *(field for field in fields if field is not None)]


def field_of(path: str, name: str, secret: Secret) -> KeyEntry | None:
    """A field of a secret as a key."""
    value = text_of(secret.fields.get(name))
    return None if value is None else _entry(f"{path}/{name}", value, {}, secret)


def instant(text: Any) -> datetime | None:
    """A time as Vault (nanoseconds) and the original (seconds) write it; None for anything else."""
    try:
        found = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _entry(path: str, value: str, said: Mapping[str, Any], secret: Secret) -> KeyEntry:
    key_type = KeyType.of_content_type(str(said.get(_TYPE, ""))) or _guess(value)
    length_bytes = len(value.encode())
    size_bytes = _count(said.get(_SIZE))
    # Fields of other names are somebody's own, and may be secret.
    meta = {name: str(said[name])[:_SHOWN_CHARS] for name in sorted(said) if name.startswith("Rundeck-")}
    meta |= _KINDS[key_type]
    meta.setdefault(_TYPE, key_type.content_type)
    meta.setdefault(_SIZE, str(length_bytes))
    if secret.version is not None:
        meta["vault-version"] = str(secret.version)
    return KeyEntry(
        path=path,
        type=key_type,
        size_bytes=length_bytes if size_bytes is None else size_bytes,
        created_at=instant(said.get(_CREATED)) or secret.created_at,
        modified_at=instant(said.get(_MODIFIED)) or secret.modified_at,
        meta=meta,
    )


def _guess(value: str) -> KeyType:
    """By the value, as the original guesses ("Keys")."""
    is_private = "-----BEGIN RSA PRIVATE KEY-----" in value or "\n" in value
    return KeyType.PRIVATE_KEY if is_private else KeyType.PASSWORD


def _count(text: Any) -> int | None:
    try:
        return msgspec.convert(text, int, strict=False)
    except msgspec.ValidationError:
        return None
