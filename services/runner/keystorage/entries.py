"""Entries of listings, as all our key storages make them."""

from __future__ import annotations

from collections.abc import Iterable

from domain.keys.metadata import key_type_of, metadata_of, size_of
from runbus.plugin import KeyEntry


def folder(path: str) -> KeyEntry:
    """A folder."""
    return KeyEntry(path=path, folder=True)


def key_of_value(path: str, value: str) -> KeyEntry:
    """A key whose value is at hand, and does not stay: its type and size."""
    key_type, size_bytes = key_type_of(value), size_of(value)
    return KeyEntry(path=path, type=key_type, size_bytes=size_bytes, meta=metadata_of(key_type, size_bytes))


def in_order(entries: Iterable[KeyEntry]) -> list[KeyEntry]:
    """Sorted by path; of a key and a folder that bear one path, the key first."""
    return sorted(entries, key=lambda entry: (entry.path, entry.folder))


def folders_above(path: str, top: str) -> list[str]:
    """The folders that lie between ``top`` (not with it) and a key."""
    parts = path.split("/")[:-1]
    depth = len(top.split("/")) if top else 0
    return ["/".join(parts[:count]) for count in range(depth + 1, len(parts) + 1)]


def below(path: str, top: str) -> str | None:
    """The rest of a path below a folder; None: it is not below it. The empty folder is the root."""
    if not top:
        return path or None
    return path[len(top) + 1 :] or None if path.startswith(f"{top}/") else None
