"""Nodes divided among runners, each of which has a node filter: the project's dispatch is *automatic*."""

from __future__ import annotations

from collections.abc import Sequence

from domain.fleet import TAKES_WORK, in_order_of_preference
from domain.nodes.filters import parse_filter
from domain.nodes.selection import Selection
from schemas.nodes import Node
from schemas.runners import RunnerView
from schemas.tokens import TagSet, own_tag


def divide(nodes: Sequence[Node], runners: Sequence[RunnerView], project: str) -> dict[str, list[str]]:
    """Names of nodes by the token of the set that serves them: each runner's own tag, or the Local Runner's set.

    A node that is a connected runner itself goes to that runner. Any other goes to a connected runner whose filter
    matches it; where several do, to the least loaded, counting what
    they run and what they have been given here. Nodes without a runner go to the Local Runner ("Runners", Automatic).
    Raises ``invalid_selector`` for a runner's filter with a broken regex.
    """
    able = [
        runner
        for runner in in_order_of_preference(runners)
        if runner.status in TAKES_WORK and runner.node_filters.get(project)
    ]
    itself = {runner.node.name: runner.id for runner in runners if runner.node and runner.status in TAKES_WORK}
    selections = {runner.id: Selection(parse_filter(runner.node_filters[project])) for runner in able}
    load = {runner.id: runner.running for runner in able}
    divided: dict[str, list[str]] = {}
    for node in nodes:
        own = itself.get(node.name)
        serving = [own] if own else [runner.id for runner in able if selections[runner.id].accepts(node)]
        if serving:
            chosen = min(serving, key=lambda runner: load.get(runner, 0))
            load[chosen] = load.get(chosen, 0) + 1
            token = TagSet([own_tag(chosen)]).token
        else:
            token = TagSet.local().token
        divided.setdefault(token, []).append(node.name)
    return divided
