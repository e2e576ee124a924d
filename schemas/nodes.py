"""Nodes: what jobs are dispatched to, and lists of them."""

from __future__ import annotations

import msgspec


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One node. Its name and tags stand in their own fields only, never among the attributes."""

    name: str
    attributes: dict[str, str] = {}
    """Such as ``hostname``, ``username``, ``osFamily``, and any other."""
    tags: list[str] = []
    """Each once, sorted."""


class NodeList(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.node_list.v1"):
    """The nodes of a source or a project, each name once, sorted by name."""

    nodes: list[Node] = []
