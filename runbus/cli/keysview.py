"""Keys as people read them: a list, one with its metadata. There is no value to show."""

from __future__ import annotations

from collections.abc import Sequence

import click

from domain.keys.metadata import PROBLEM
from runbus.cli.failure import paint
from runbus.cli.render import Column, ago, moment, print_facts, print_table
from schemas.keys import KeyEntry, KeyList, KeyShown, KeyStorageInfo


def print_keys(found: KeyList, *, root: str) -> None:
    """A table; whose keys they are stands below."""
    if found.keys:
        columns = [Column("PATH", folds=True), Column("TYPE"), Column("BYTES"), Column("CHANGED")]
        print_table(columns, [_row(entry, root) for entry in found.keys])
    else:
        click.echo("No keys there.", err=True)
    if found.runner:
        click.echo(paint(f"seen by runner {found.runner} ({_storages(found.storage)})", dim=True), err=True)


def print_key(shown: KeyShown, *, root: str) -> None:
    """Everything that is known of one."""
    key = shown.key
    print_facts(
        [
            ("path", _path(key, root)),
            ("type", _type(key)),
            ("content", key.type.content_type if key.type else ""),
            ("bytes", _size(key)),
            ("created", moment(key.created_at)),
            ("changed", moment(key.modified_at)),
            ("runner", shown.runner),
            ("storage", _storages(shown.storage)),
            *sorted(key.meta.items()),
        ]
    )


def _row(entry: KeyEntry, root: str) -> list[str]:
    changed = ago(entry.modified_at) if entry.modified_at else ""
    return [_path(entry, root), _type(entry), _size(entry), changed]


def _path(entry: KeyEntry, root: str) -> str:
    """As it may be typed; a folder ends with a slash, and the root has no other name."""
    return f"{root}{entry.path}{'/' if entry.folder and entry.path else ''}"


def _type(entry: KeyEntry) -> str:
    """Providers tell no type of what they cannot read, and some of nothing without reading it."""
    if entry.folder:
        return "folder"
    return str(entry.type or ("unreadable" if PROBLEM in entry.meta else "unknown"))


def _size(entry: KeyEntry) -> str:
    return "" if entry.size_bytes is None else f"{entry.size_bytes:,}"


def _storages(storages: Sequence[KeyStorageInfo]) -> str:
    return ", ".join(f"{each.type}{f' at {each.path}' if each.path else ''}" for each in storages)
