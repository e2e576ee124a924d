"""One message of every type of keys."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.keys import (
    KeyAccess,
    KeyAction,
    KeyBrowseRequest,
    KeyEntry,
    KeyList,
    KeyListRequest,
    KeyLookRequest,
    KeyOpenRequest,
    KeyPutRequest,
    KeyRemoveRequest,
    KeyShown,
    KeyShowRequest,
    KeyStorageInfo,
    KeyStored,
    KeyStoreRecord,
    KeyType,
    KeyValue,
    SealedValue,
    SealingKeyReply,
    SealingKeyRequest,
)
from tests.golden.job_samples import AT, EXECUTION, SELECTOR

_entry = KeyEntry(
    path="db/password", type=KeyType.PASSWORD, size_bytes=12, created_at=AT, modified_at=AT,
    meta={"Rundeck-data-type": "password"},
)  # fmt: skip
_folder = KeyEntry(path="db/old", folder=True)
_storage = KeyStorageInfo(type="vault", path="dmz", digest="00ff", problem="sealed")
_PUBLIC: Final = "KPCOxb1BL7jfCRuXP7vnJZFtpvhmZtsz7LLqEyAPNjI="

KEY_SAMPLES: Final[tuple[msgspec.Struct, ...]] = (
    KeyListRequest(path="db", project="web", runner=SELECTOR, deep=True, limit=10, after="db/a", user="ada"),
    KeyList(keys=[_folder, _entry], more=True, runner="a1", storage=[_storage], warnings=["b1 has no key storage"]),
    KeyShowRequest(path="db/password", project="web", runner=SELECTOR, user="ada"),
    KeyShown(key=_entry, runner="a1", storage=[_storage], warnings=["b1 has no key storage"]),
    KeyBrowseRequest(path="db", project="web", deep=True, limit=10, after="db/a", user="ada", timeout_s=5.0),
    KeyLookRequest(path="db/password", project="web", user="ada", timeout_s=5.0),
    SealingKeyRequest(),
    SealingKeyReply(public_key=_PUBLIC),
    KeyPutRequest(path="keys/db/password", sealed="AAAA", key_type=KeyType.PASSWORD, fresh=True, user="ada"),
    KeyValue(path="keys/db/password", value=b"p0"),
    KeyStored(key=_entry, created=True),
    KeyRemoveRequest(path="keys/db/password", user="ada"),
    KeyOpenRequest(
        path="keys/db/password", runner="a1", instance="i1", project="web", execution=EXECUTION, assignment="1",
        source="cloud",
    ),
    SealedValue(sealed="AAAA"),
    KeyAccess(
        at=AT, action=KeyAction.READ, path="keys/db/password", outcome="ok", project="web", user="ada", runner="a1",
        execution=EXECUTION, source="cloud",
    ),
    KeyStoreRecord(mark="00ff00ff00ff00ff", host="centre-1", file="/var/lib/runbus/keys.sqlite", at=AT),
)  # fmt: skip
