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
    """Sorted by name, of a repeated name the last, without secrets; and what is to be said, likewise."""
    if not masker.is_idle:
        hidden = _Hidden(masker)
        nodes = [hidden.node(each) for each in nodes]
    kept = {node.name: node for node in nodes}
    said = list(warnings)
    if count := len(nodes) - len(kept):
        bear = "1 node bears" if count == 1 else f"{count:,} nodes bear"
        names = named(repeated_in(node.name for node in nodes))
        said.append(f"{bear} a name that another has, too ({names}); of each name the last holds")
    if len(said) > _MAX_WARNINGS:
        said[_MAX_WARNINGS:] = [f"... and {len(said) - _MAX_WARNINGS} more warnings"]
    return by_name(kept.values()), [masker.mask(text) for text in said]


class _Hidden:
    """Nodes with no secret in their names, tags and attributes; tags and names of attributes are looked at once."""

    def __init__(self, masker: Masker) -> None:
        self._mask = masker.mask
        self._words: dict[str, str] = {}

    def node(self, node: Node) -> Node:
        name, tags = self._mask(node.name), sorted({self._word(tag) for tag in node.tags})
        attributes = {self._word(key): self._mask(value) for key, value in node.attributes.items()}
        if (name, tags, attributes) == (node.name, list(node.tags), node.attributes):
            return node
        return msgspec.structs.replace(node, name=name, tags=tags, attributes=attributes)

    def _word(self, text: str) -> str:
        masked = self._words.get(text)
        if masked is None:
            masked = self._words[text] = self._mask(text)
        return masked
