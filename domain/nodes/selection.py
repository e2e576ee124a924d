"""Which nodes a filter selects ("Node filters")."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from operator import le
from typing import Any, Final

from domain.nodes.filters import NodeFilter
from domain.nodes.javatext import sort_keys
from domain.nodes.matching import TagClause, ValueClause
from domain.nodes.sorting import sorted_places
from schemas.nodes import Node

NAME: Final = "name"
NODE_NAME: Final = "nodename"
TAGS: Final = "tags"
_ATTRIBUTE_OF: Final = {
    "hostname": "hostname",
    NAME: NODE_NAME,
    "os-family": "osFamily",
    "os-arch": "osArch",
    "os-name": "osName",
    "os-version": "osVersion",
}
"""The keys that mean an attribute of another name, in the order in which they are asked; tags stand between."""
_BEFORE_TAGS: Final = frozenset({"hostname", NAME})


def attribute(node: Node, name: str) -> str | None:
    """An attribute by its name in the original, where ``nodename`` and ``tags`` are attributes, too."""
    if name == NODE_NAME:
        return node.name
    if name == TAGS:
        return ", ".join(node.tags) if node.tags else None
    return node.attributes.get(name)


def by_name(nodes: Iterable[Node]) -> list[Node]:
    """The nodes in the order of their names: the order of the original's node sets."""
    listed = list(nodes)
    keys: list[Any] = sort_keys([node.name for node in listed])
    if all(map(le, keys, islice(keys, 1, None))):  # as documents and inventories mostly are: a fraction of sorting
        return listed
    return [listed[index] for index in sorted_places(len(listed), keys.__getitem__)]


def select_nodes(nodes: Iterable[Node], node_filter: NodeFilter) -> list[Node]:
    """The nodes a filter selects, sorted by name. An empty filter selects none, one that only excludes all others.

    Raises ``invalid_selector`` where a pattern in ``/.../`` is not valid, or one takes too long.
    """
    selection = Selection(node_filter)
    return by_name(node for node in nodes if selection.accepts(node))


class Selection:
    """One filter at work. It remembers every value it has judged: make one for each list of nodes."""

    def __init__(self, node_filter: NodeFilter) -> None:
        self._include = _Side(node_filter.include)
        self._exclude = _Side(node_filter.exclude)
        self._exclude_precedence = node_filter.exclude_precedence

    def accepts(self, node: Node) -> bool:
        """Whether the node is selected. Raises as ``select_nodes`` does."""
        included = self._include.matches(node)
        if self._exclude.blank:
            return included
        if not included and self._exclude_precedence and not (self._include.blank or self._exclude.forced):
            return False
        # else asked even where it changes nothing: a fault in a regex between slashes is an error there, too
        excluded = self._exclude.matches(node)
        if self._include.blank:
            return not excluded
        if self._exclude_precedence:
            return included and not excluded
        return included or not excluded


class _Side:
    """The clauses of one side, all of which have to match; one without clauses is blank and matches nothing."""

    def __init__(self, clauses: dict[str, str]) -> None:
        special = {key: ValueClause(clauses[key]) for key in _ATTRIBUTE_OF if key in clauses}
        asked = [(key, _ATTRIBUTE_OF[key], clause) for key, clause in special.items() if not clause.blank]
        self._identity = [(name, clause) for key, name, clause in asked if key in _BEFORE_TAGS]
        self._system = [(name, clause) for key, name, clause in asked if key not in _BEFORE_TAGS]
        tags = TagClause(clauses.get(TAGS, ""))
        self._tags = None if tags.blank else tags
        # a blank selector is no clause for the keys above, and one that nothing matches for all others
        others = [
            (key, ValueClause(text)) for key, text in clauses.items() if key not in _ATTRIBUTE_OF and key != TAGS
        ]
        self._others = others
        self.forced = any("/" in text for text in clauses.values())
        self.blank = not (self._identity or self._tags or self._system or self._others)

    def matches(self, node: Node) -> bool:
        """Whether every clause matches. None is asked behind one that does not: its regex may have a fault."""
        if self.blank or not _all_match(self._identity, node):
            return False
        if self._tags is not None and not self._tags.matches(node.tags):
            return False
        return _all_match(self._system, node) and _all_match(self._others, node)


def _all_match(clauses: list[tuple[str, ValueClause]], node: Node) -> bool:
    for name, clause in clauses:
        # the hottest loop of a selection: a generator in its place costs twice as much
        if not clause.matches(node.name if name == NODE_NAME else node.attributes.get(name)):
            return False
    return True
