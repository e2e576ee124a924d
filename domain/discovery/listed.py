"""The nodes that a plugin found, as they leave its runner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from domain.context.masking import Masker
from domain.nodes.formats.repeats import named, repeated_in
from domain.nodes.selection import by_name
from schemas.nodes import Node

_MAX_WARNINGS: Final = 100


def listed(nodes: Sequence[Node], warnings: Sequence[str], masker: Masker) -> tuple[list[Node], list[str]]:
    """Sorted by name, of a repeated name the last, attributes without secrets; and what is to be said, likewise."""
    kept = {node.name: node for node in nodes}
    said = list(warnings)
    if count := len(nodes) - len(kept):
        bear = "1 node bears" if count == 1 else f"{count:,} nodes bear"
        names = named(repeated_in(node.name for node in nodes))
        said.append(f"{bear} a name that another has, too ({names}); of each name the last holds")
    if len(said) > _MAX_WARNINGS:
        said[_MAX_WARNINGS:] = [f"... and {len(said) - _MAX_WARNINGS} more warnings"]
    found = by_name(kept.values())
    if not masker.is_idle:
        found = [_masked(node, masker) for node in found]
    return found, [masker.mask(text) for text in said]


def _masked(node: Node, masker: Masker) -> Node:
    attributes = {name: masker.mask(value) for name, value in node.attributes.items()}
    return node if attributes == node.attributes else msgspec.structs.replace(node, attributes=attributes)
