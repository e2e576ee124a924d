"""Views that have to fit a message: of executions with thousands of nodes the less telling parts are left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from schemas.api import ExecutionView
from schemas.codec import encode
from schemas.states import ExecutionState

_FEW_OUTCOMES: Final = 200


def fitting(view: ExecutionView, *, room_bytes: int) -> ExecutionView:
    """The view, with as much of its details as fits: step outcomes go first, then names of nodes, failures last."""
    if view.node_count is None and len(view.outcomes) <= _FEW_OUTCOMES:
        return view
    return next((each for each in _ever_shorter(view) if len(encode(each)) <= room_bytes), view)


def in_a_list(view: ExecutionView) -> ExecutionView:
    """The view as a page of many shows it."""
    return msgspec.structs.replace(view, steps=[], outcomes=[], nodes={}, parts=[], division={})


def _ever_shorter(view: ExecutionView) -> Iterator[ExecutionView]:
    yield view
    bad = [each for each in view.outcomes if each.state is not ExecutionState.SUCCEEDED]
    nodes = {end: names for end, names in view.nodes.items() if end != "succeeded"}
    parts = [msgspec.structs.replace(part, left_out=[], ended={}) for part in view.parts]
    changes: tuple[dict[str, Any], ...] = (
        {"outcomes": bad},
        {"division": {}},
        {"nodes": nodes},
        {"outcomes": bad[:100]},
        {"parts": parts},
        {"nodes": {}},
        {"outcomes": []},
        {"steps": []},
    )
    for change in changes:
        view = msgspec.structs.replace(view, **change)
        yield view
