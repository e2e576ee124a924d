"""Keys as everybody may see them: paths, types and metadata. No message of this module has room for a value."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from schemas.jobs import RunnerSelector
from schemas.states import Instant

PROVIDER_WITHIN_S: Final = 52.0
"""Within how many seconds a runner answers what it is asked of its keys.

The one rule: whoever asks waits a little longer than the one it asks, so that the answer of who knows why arrives. A
provider is given up after 50 s at most, the runner after 52, the keyproxy waits 5 s more for the runner's answer, and
who asks the keyproxy 65 s in all, the search for a runner included.
"""


class KeyType(StrEnum):
    """What a key's value is, by the original's content types ("Keys")."""

    PASSWORD = "password"  # noqa: S105  (a name)
    PRIVATE_KEY = "privateKey"
    PUBLIC_KEY = "publicKey"

    @property
    def content_type(self) -> str:
        """``application/x-rundeck-data-password``, and so on."""
        return _CONTENT_TYPES[self]

    @classmethod
    def of_content_type(cls, text: str) -> KeyType | None:
        """The type that a content type says; None for any other."""
        return next((key_type for key_type, known in _CONTENT_TYPES.items() if known == text.strip().lower()), None)


_CONTENT_TYPES = {
    KeyType.PASSWORD: "application/x-rundeck-data-password",
    KeyType.PRIVATE_KEY: "application/octet-stream",
    KeyType.PUBLIC_KEY: "application/pgp-keys",
}


class KeyEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key, or a folder of keys."""

    path: str
    """Below the storage's root, without ``keys/`` or ``runner/`` before it: ``db/password``; a folder has no slash
    at its end."""
    folder: bool = False
    type: KeyType | None = None
    """None: of a folder, and where finding out would mean to read the value."""
    size_bytes: int | None = None
    created_at: Instant | None = None
    modified_at: Instant | None = None
    meta: dict[str, str] = {}
    """Whatever else the provider says of it, the original's names first (``Rundeck-key-type``)."""


class KeyStorageInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key storage of a runner, and whether it answers."""

    type: str
    """The plugin: ``vault``, ``file``."""
    path: str = ""
    """The folder under which its keys appear; empty: all of them."""
    digest: str = ""
    """Of its configuration without secrets: the same on all runners of a tag set, or a job depends on who has it."""
    problem: str = ""
    """Why it does not answer; empty: it does, or was not asked yet."""
    remark: str = ""
    """What is to be mended though it answers: a variable that is no key."""


class KeyListRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.key_list_request.v1",
):
    """What stands in a folder of keys: of the centre, or of the key storage that the selected runners have.

    Wait 10 s for the centre's, 65 s for a runner's.
    """

    path: str = ""
    """Below ``keys/``; empty: the root."""
    project: str = "default"
    runner: RunnerSelector | None = None
    """Whose key storage; None: the centre's own."""
    deep: bool = False
    """All that is below, not only what stands in the folder itself."""
    limit: int = 1000
    """At most 5000."""
    after: str = ""
    """Go on behind this path: the last one of the page before."""
    user: str = ""


class KeyList(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.key_list.v1"):
    """Keys and folders, sorted by path; ``more``: there are others behind the last one."""

    keys: list[KeyEntry]
    more: bool = False
    runner: str = ""
    """Which runner answered; empty: the centre."""
    storage: list[KeyStorageInfo] = []
    warnings: list[str] = []
    """Runners of the selection that have another key storage, or none; storages that could not be listed."""


class KeyShowRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.key_show_request.v1",
):
    """One key, or folder, by its path. Wait for it as for :class:`KeyListRequest`."""

    path: str
    project: str = "default"
    runner: RunnerSelector | None = None
    """Whose key storage; None: the centre's own."""
    user: str = ""


class KeyShown(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.key_shown.v1"):
    """What is known of a key; never its value."""

    key: KeyEntry
    runner: str = ""
    storage: list[KeyStorageInfo] = []
    warnings: list[str] = []


class KeyBrowseRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.key_browse.v1"):
    """A folder of a runner's key storage: asked on the subject of a tag set, answered by one of its runners."""

    path: str = ""
    project: str = "default"
    deep: bool = False
    limit: int = 1000
    after: str = ""
    user: str = ""
    timeout_s: float = PROVIDER_WITHIN_S
    """After which the runner says that it cannot; with less, a slow provider's answer or reason is lost. Wait 5 s
    longer for the reply."""


class KeyLookRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.key_look.v1"):
    """A key of a runner's key storage, without its value: asked as :class:`KeyBrowseRequest` is."""

    path: str
    project: str = "default"
    user: str = ""
    timeout_s: float = PROVIDER_WITHIN_S


class SealingKeyRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.sealing_key_request.v1",
):
    """What secrets for this service are sealed with."""


class SealingKeyReply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.sealing_key.v1"):
    """An X25519 public key, base64: whoever has it can seal (libsodium's sealed box), only the service can open."""

    public_key: str
    instance: str = ""
    """The copy of the service that can open it; empty: all of them."""


class KeyValue(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.key_value.v1"):
    """What is sealed of a key that is to be stored. It bears its path: sent again, it can change no other key."""

    path: str
    value: bytes
    """In JSON base64."""

    def __repr__(self) -> str:
        return f"KeyValue(path={self.path!r}, …)"


class KeyPutRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.key_put.v1",
):
    """Store a key at the centre, in place of the one of its path."""

    path: str
    sealed: str
    """A ``runbus.key_value.v1``, sealed with the keyproxy's public key."""
    key_type: KeyType | None = None
    """None: guessed from the value."""
    fresh: bool = False
    """Refuse a path that is taken (``already_exists``)."""
    user: str = ""


class KeyStored(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.key_stored.v1"):
    """The key as it is stored now."""

    key: KeyEntry
    created: bool = False


class KeyRemoveRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="runbus.key_remove.v1",
):
    """Remove a key of the centre."""

    path: str
    user: str = ""


class KeyOpenRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.key_open.v1"):
    """A runner needs a key of the centre: for an assignment that it has claimed, or for a node source.

    Exactly one of ``execution`` and ``source`` is given.
    """

    path: str
    runner: str
    instance: str
    project: str
    execution: str = ""
    assignment: str = ""
    source: str = ""


class SealedValue(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.sealed.v1"):
    """A secret, sealed with the public key under which its receiver has registered."""

    sealed: str


class KeyAction(StrEnum):
    """What was done with a key."""

    LIST = "list"
    SHOW = "show"
    READ = "read"
    """Its value was given to a runner, or read by one, to be used."""
    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"


class KeyAccess(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.key_access.v1"):
    """Who did what with which key, and what came of it: the audit of keys. Never a value."""

    at: Instant
    action: KeyAction
    path: str
    """As it is written in a job: ``keys/db/password``, ``runner/db/password``."""
    outcome: str
    """``ok``, or why not: a code of errors, or a ``KeyFailure``."""
    project: str = ""
    user: str = ""
    runner: str = ""
    """Through, or by, which runner."""
    execution: str = ""
    source: str = ""
    """The node source that it was read for."""


class KeyStoreRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.key_store_record.v1"):
    """The file that the centre's keys are in: one of a Runbus, however many keyproxies share it."""

    mark: str
    """Written into the file by the keyproxy that started last: a file that lacks it is another, or an older copy."""
    host: str = ""
    """Where that is, for people."""
    file: str = ""
    """The file's path there."""
    at: Instant
    """When it started."""
