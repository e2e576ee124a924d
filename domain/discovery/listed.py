"""The nodes that a plugin found, as they leave its runner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from domain.context.masking import Masker
from domain.nodes.formats.repeats import named, repeated_in
from domain.nodes.selection import by_name
from schemas.nodes import Node

_MAX_WARNINGS: Final = 100
_SLICE: Final = 500
"""Nodes whose texts are looked through at once: for each of them alone that would take a hundred times as long."""
_BETWEEN: Final = "\n\0\n"
"""Between texts that are looked through at once: each begins and ends a line, and no secret goes on in the next."""


def listed(nodes: Sequence[Node], warnings: Sequence[str], masker: Masker) -> tuple[list[Node], list[str]]:
    """Sorted by name, of a repeated name the last, without secrets; and what is to be said, likewise."""
    if not masker.is_idle:
        nodes = list(_hidden(nodes, masker))
    kept = {node.name: node for node in nodes}
    said = list(warnings)
    if count := len(nodes) - len(kept):
        bear = "1 node bears" if count == 1 else f"{count:,} nodes bear"
        names = named(repeated_in(node.name for node in nodes))
        said.append(f"{bear} a name that another has, too ({names}); of each name the last holds")
    if len(said) > _MAX_WARNINGS:
        said[_MAX_WARNINGS:] = [f"... and {len(said) - _MAX_WARNINGS} more warnings"]
    return by_name(kept.values()), [masker.mask(text) for text in said]


def _hidden(nodes: Sequence[Node], masker: Masker) -> Iterator[Node]:
    """The nodes with no secret in their names, tags and attributes."""
    for first in range(0, len(nodes), _SLICE):
        some = nodes[first : first + _SLICE]
        texts = [text for node in some for text in _texts_of(node)]
        masked = _masked(texts, masker)
        yield from some if masked == texts else _with_texts(some, masked)


def _texts_of(node: Node) -> tuple[str, ...]:
    return (node.name, *node.tags, *node.attributes, *node.attributes.values())


def _with_texts(nodes: Sequence[Node], texts: Sequence[str]) -> Iterator[Node]:
    at = 0
    for node in nodes:
        tags_at, keys_at = at + 1, at + 1 + len(node.tags)
        values_at = keys_at + len(node.attributes)
        end = values_at + len(node.attributes)
        yield msgspec.structs.replace(
            node,
            name=texts[at],
            tags=sorted(set(texts[tags_at:keys_at])),
            attributes=dict(zip(texts[keys_at:values_at], texts[values_at:end], strict=True)),
        )
        at = end


def _masked(texts: list[str], masker: Masker) -> list[str]:
    """Each text without secrets: all at once, or one by one where they cannot be told apart afterwards."""
    masked = masker.mask(_BETWEEN.join(texts)).split(_BETWEEN)
    return masked if len(masked) == len(texts) else [masker.mask(text) for text in texts]
