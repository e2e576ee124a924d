"""The secrets of AWS as folders and keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from domain.keys.metadata import PROBLEM, metadata_of
from domain.keys.paths import is_path
from runbus.plugin import KeyEntry, KeyFailure, KeyStorageError
from services.runner.keystorage.aws.config import AwsConfig, Behaviour
from services.runner.keystorage.aws.content import Content
from services.runner.keystorage.aws.secrets import Secrets
from services.runner.keystorage.entries import below, folder, folders_above, in_order, key_of_value
from services.runner.keystorage.errors import refuse, shown

_UNREAD = {PROBLEM: "the runner may not read it, or it holds no text"}


class SecretsTree:
    """Blocks; raises :class:`KeyStorageError`."""

    def __init__(self, config: AwsConfig) -> None:
        self._config = config
        self._secrets = Secrets(config)

    def read(self, path: str) -> str:
        """The value of a secret, or of a field of the secret above it."""
        content = self._content(path)
        if content.value is None:
            if content.fields is not None:
                refuse(f"{self._config.place}: {shown(path)} has several fields: name one behind a slash",
                       KeyFailure.NO_KEY)  # fmt: skip
            refuse(f"{self._config.place}: {shown(path)} holds no text", KeyFailure.NO_KEY)
        return content.value

    def show(self, path: str) -> KeyEntry:
        """A secret with what AWS says of it, a field, or a folder."""
        if not path:
            return folder("")
        try:
            secret = self._secrets.described(path)
        except KeyStorageError as error:
            return self._field_or_folder(path, error)
        if self._config.storage_behaviour is Behaviour.PLAIN:
            return _told(KeyEntry(path=path), secret)
        content = self._secrets.contents([path]).get(path)
        if content is not None and content.fields is not None:
            return folder(path)
        return _told(_entry(path, content), secret)

    def children(self, path: str, deep: bool) -> list[KeyEntry]:
        """What stands below a folder, or in a secret of several fields."""
        secrets = {key: secret for key, secret in self._secrets.listed(path).items() if is_path(key)}
        folders = {each for key in secrets for each in folders_above(key, path)}
        at_hand = [key for key in secrets if deep or "/" not in (below(key, path) or "")]
        entries = self._entries(at_hand, secrets, deep)
        if not deep:
            folders = {each for each in folders if "/" not in (below(each, path) or "")}
        entries += [folder(each) for each in folders - {each.path for each in entries if each.folder}]
        if path and (fields := self._fields_of(path, may_lack=bool(secrets))):
            known = {each.path for each in entries if not each.folder}
            entries += [each for each in _fields(path, fields) if each.path not in known]
        return in_order(entries)

    def check(self) -> None:
        """Ask for one name; where the runner may read and not list, it has been let in all the same."""
        try:
            self._secrets.listed("", 1)
        except KeyStorageError as error:
            if error.reason is not KeyFailure.FORBIDDEN:
                raise

    def close(self) -> None:
        """Let go of connections."""
        self._secrets.close()

    def _content(self, path: str) -> Content:
        """Of a secret, or of a field of the one above."""
        try:
            return self._secrets.content(path)
        except KeyStorageError as error:
            # A policy may hide what is not there, too.
            if error.reason not in (KeyFailure.NOT_FOUND, KeyFailure.FORBIDDEN) or not self._may_be_field(path):
                raise
            missing = error
        above, _, field = path.rpartition("/")
        try:
            fields = self._secrets.content(above).fields or {}
        except KeyStorageError as error:
            if error.reason not in (KeyFailure.NOT_FOUND, KeyFailure.FORBIDDEN):
                raise
            raise missing from None
        if field not in fields:
            raise missing
        return Content(fields[field])

    def _may_be_field(self, path: str) -> bool:
        return "/" in path and self._config.storage_behaviour is Behaviour.VAULT

    def _field_or_folder(self, path: str, error: KeyStorageError) -> KeyEntry:
        if error.reason not in (KeyFailure.NOT_FOUND, KeyFailure.FORBIDDEN):
            raise error
        if self._may_be_field(path):
            above, _, field = path.rpartition("/")
            content = self._secrets.contents([above]).get(above)
            if content is not None and field in (content.fields or {}):
                return key_of_value(path, (content.fields or {})[field])
        if self._secrets.listed(path):
            return folder(path)
        raise error

    def _entries(self, paths: list[str], secrets: Mapping[str, Any], deep: bool) -> list[KeyEntry]:
        if self._config.storage_behaviour is Behaviour.PLAIN:
            return [_told(KeyEntry(path=path), secrets[path]) for path in paths]
        contents = self._secrets.contents(paths)
        entries: list[KeyEntry] = []
        for path in paths:
            content = contents.get(path)
            if content is None or content.fields is None:
                entries.append(_told(_entry(path, content), secrets[path]))
                continue
            entries.append(folder(path))
            if deep:
                entries += [each for each in _fields(path, content.fields) if each.path not in secrets]
        return entries

    def _fields_of(self, path: str, *, may_lack: bool) -> dict[str, str]:
        """The fields of the secret of a folder's own path. ``may_lack``: other secrets make the folder."""
        content = None
        if self._config.storage_behaviour is Behaviour.VAULT:
            content = self._secrets.contents([path]).get(path)
        fields = content.fields if content is not None else None
        if fields is None and not may_lack:
            why = "is a key, and no folder" if content is not None else "is no folder there"
            refuse(f"{self._config.place}: {shown(path)} {why}", KeyFailure.NOT_FOUND)
        return fields or {}


def _entry(path: str, content: Content | None) -> KeyEntry:
    if content is None or content.value is None:
        return KeyEntry(path=path, meta=dict(_UNREAD))
    return key_of_value(path, content.value)


def _fields(path: str, fields: Mapping[str, str]) -> list[KeyEntry]:
    return [key_of_value(f"{path}/{name}", value) for name, value in fields.items() if is_path(f"{path}/{name}")]


def _told(entry: KeyEntry, secret: Mapping[str, Any]) -> KeyEntry:
    """With times and the ARN. Descriptions and tags are left out: people write all sorts of things there."""
    created_at, modified_at = _time(secret.get("CreatedDate")), _time(secret.get("LastChangedDate"))
    meta = entry.meta | metadata_of(None, created_at=created_at, modified_at=modified_at)
    if arn := secret.get("ARN"):
        meta["aws:arn"] = str(arn)
    if secret.get("RotationEnabled"):
        meta["aws:rotation"] = "true"
    return msgspec.structs.replace(entry, created_at=created_at, modified_at=modified_at, meta=meta)


def _time(value: object) -> datetime | None:
    return value if isinstance(value, datetime) and value.tzinfo is not None else None
