"""Names that several nodes bear: found among many, and told in few words."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from domain.nodes.errors import shown

MAX_NAMED: Final = 5
"""Of names in one text; how many others there are is told."""


def repeated_in(names: Iterable[str]) -> set[str]:
    """Those that stand more than once."""
    seen: set[str] = set()
    return {name for name in names if name in seen or seen.add(name)}  # type: ignore[func-returns-value]


def named(names: Collection[str]) -> str:
    """``'a'``; ``'a' and 'b'``; of many the first ones, sorted, and how many more."""
    told = [shown(name) for name in sorted(names)[:MAX_NAMED]]
    if len(names) > MAX_NAMED:
        told.append(f"{len(names) - MAX_NAMED:,} more")
    *others, last = told
    return f"{', '.join(others)} and {last}" if others else last


def warnings_of(repeated: Collection[str], holds: str) -> list[str]:
    """The warning that a document with these names is worth, or none; ``holds`` says what became of their nodes."""
    if not repeated:
        return []
    stand = f"the name {named(repeated)} stands" if len(repeated) == 1 else f"the names {named(repeated)} stand"
    return [f"{stand} more than once; {holds}"]
