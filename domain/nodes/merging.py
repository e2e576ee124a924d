"""The nodes of several sources as one list, and how two lists of one source differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from domain.calm import uncollected
from domain.nodes.formats.parts import tag_list
from domain.nodes.selection import by_name
from schemas.nodes import Node


class Difference(msgspec.Struct, frozen=True):
    """How many nodes are new, others than before, and not there any more."""

    added: int = 0
    changed: int = 0
    gone: int = 0


def merged(lists: Sequence[Sequence[Node]], *, attributes: bool = True) -> list[Node]:
    """One list of all sources' nodes, sorted by name, each name once; the sources in order.

    Of a node that several sources have, the attributes are put together, those of a later source hold, and all tags
    are kept (the original's ``project.resources.mergeNodeAttributes``, true unless said otherwise). With
    ``attributes`` false the later node takes the earlier one's place.
    """
    filled = [nodes for nodes in lists if nodes]
    if len(filled) < 2:
        return list(filled[0]) if filled else []
    with uncollected():
        found: dict[str, Node] = {}
        for nodes in filled:
            for node in nodes:
                before = found.get(node.name)
                found[node.name] = node if before is None or not attributes else _over(before, node)
        return by_name(list(found.values()))


def difference(before: Iterable[Node], after: Iterable[Node]) -> Difference:
    """What has become of the nodes of one source."""
    old = {node.name: node for node in before}
    added = changed = kept = 0
    for node in after:
        known = old.get(node.name)
        if known is None:
            added += 1
        else:
            kept += 1
            changed += known != node
    return Difference(added, changed, len(old) - kept)


def _over(below: Node, above: Node) -> Node:
    return Node(
        name=above.name,
        attributes={**below.attributes, **above.attributes},
        tags=above.tags if above.tags == below.tags else tag_list([*below.tags, *above.tags]),
    )
