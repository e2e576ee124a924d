"""What a request for nodes asks of a list of them: selected, ordered, and of that a part."""

from __future__ import annotations

from collections.abc import Sequence

from domain.nodes.filters import combined
from domain.nodes.ordering import ordered_nodes
from domain.nodes.selection import Selection
from schemas.errors import ErrorCode, RunbusError
from schemas.nodes import Node, NodeListRequest, RankOrder


def listed_nodes(nodes: Sequence[Node], request: NodeListRequest) -> tuple[list[Node], int]:
    """The nodes asked for, in order, and how many the filter selects in all.

    Raises ``invalid_selector`` for a filter that cannot be used, ``invalid_message`` for a limit or offset below 0.
    """
    if request.limit < 0 or request.offset < 0:
        raise RunbusError(ErrorCode.INVALID_MESSAGE, "limit and offset cannot be below 0; 0 means all of them.")
    found = ordered_nodes(
        _selected(nodes, request),
        rank_attribute=request.rank_attribute,
        ascending=request.rank_order is RankOrder.ASCENDING,
    )
    part = found[request.offset : request.offset + request.limit if request.limit else None]
    return [Node(name=node.name) for node in part] if request.names_only else part, len(found)


def _selected(nodes: Sequence[Node], request: NodeListRequest) -> Sequence[Node]:
    if request.filter is None and not request.filter_exclude:
        return nodes
    selection = Selection(
        combined(
            request.filter or "",
            request.filter_exclude,
            exclude_precedence=request.exclude_precedence,
        )
    )
    return [node for node in nodes if selection.accepts(node)]
