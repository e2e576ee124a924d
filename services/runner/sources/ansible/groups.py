"""Groups of an inventory, and the tags that its hosts have of them.

The original walks the groups and gathers their names until it has come to hosts; then it forgets all of them, also
those of the groups it is still in. So the hosts of the second group in ``fr`` are not tagged ``fr``. That is kept,
since job filters were written for it; ``ansible-parent-tags`` gives a host every group. Two faults are not kept: the
original loses hosts that stand directly in a group that has groups, and the variables of a host whose first place in
the order of names is not the first in the inventory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec


class Group(msgspec.Struct):
    """One place of a group. Where it is named a second time, it is empty there."""

    groups: dict[str, Group] | None = None
    """None: it has none, and its hosts count."""
    hosts: dict[str, Any] | None = None
    """The variables of each. None where nothing is known of hosts, which are then no hosts either."""


class Inventory(msgspec.Struct, frozen=True):
    """What an inventory holds."""

    top: Group
    """The group ``all``."""
    variables: dict[str, Mapping[str, Any]]
    """Of each host, every host once, in order."""

    def tags(self) -> dict[str, set[str]]:
        """The original's tags of each host; a host that its walk does not come to is not in it."""
        found: dict[str, set[str]] = {}
        walk = _Walk()
        for host, names in walk.hosts(self.top):
            found.setdefault(host, set()).update(names)
        return found

    def all_tags(self) -> dict[str, set[str]]:
        """Every group that each host is in, directly or not, but for ``all``."""
        whole: dict[str, Group] = {}
        above: dict[str, set[str]] = {}
        for name, group, parent in _places(self.top):
            above.setdefault(name, set()).update({parent} if parent else ())
            if group.groups or group.hosts:
                whole[name] = group
        found: dict[str, set[str]] = {}
        for name, group in whole.items():
            names = _with_all_above(name, above)
            for host in group.hosts or ():
                found.setdefault(host, set()).update(names)
        return found


class _Walk:
    """The original's way through the groups."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def hosts(self, group: Group) -> Iterator[tuple[str, frozenset[str]]]:
        for name, each in (group.groups or {}).items():
            self._names.add(name)
            names = frozenset(self._names)
            yield from ((host, names) for host in each.hosts or ())
            if each.groups is None:
                self._names.clear()
            else:
                yield from self.hosts(each)


def _places(group: Group, parent: str = "") -> Iterator[tuple[str, Group, str]]:
    for name, each in (group.groups or {}).items():
        yield name, each, parent
        yield from _places(each, name)


def _with_all_above(name: str, above: Mapping[str, set[str]]) -> set[str]:
    found, open_names = {name}, [name]
    while open_names:
        further = above.get(open_names.pop(), set()) - found
        found |= further
        open_names += further
    return found
