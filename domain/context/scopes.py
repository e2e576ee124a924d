"""The data that references are looked up in: groups of values, each held for a step, a node, both, or everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

Groups: TypeAlias = Mapping[str, Mapping[str, str | None]]
"""Group → key → value; ``None`` stands for a key that has no value."""


class View(NamedTuple):
    """Where a value holds: step ``N``, a node, a step on a node, or (neither) everywhere."""

    step: int | None = None
    node: str | None = None

    def widened(self) -> View:
        """The next wider view: a step on a node widens to the step, all else to everything."""
        return View(self.step) if self.step is not None and self.node is not None else View()

    def at(self, here: View) -> View:
        """What a reference that names this view means at ``here``: where it names no node, the node at hand."""
        if self.node is not None or here.node is None:
            return self
        return View(here.step if self.step is None else self.step, here.node)

    def is_left_by(self, wider: View) -> bool:
        """Whether ``wider`` is wider than this view: a reference that names a step never falls back on the job."""
        if wider == View():
            return self != View()
        if self.node is None:
            return self.step is not None and wider.step is None
        return self.step is not None and (wider.step is None or wider.node is None)

    def spans(self, other: View) -> bool:
        """Whether ``${…*}`` at this view takes ``other`` in: every node, or every node of the step."""
        return other.node is not None and other.step == self.step


@dataclass(frozen=True, slots=True)
class DataContext:
    """Values by view; a narrower view beats a wider one ("Substitution": a node-scoped value beats a global one)."""

    scopes: Mapping[View, Groups] = field(default_factory=dict)

    @classmethod
    def of(cls, groups: Groups) -> DataContext:
        """A context whose values hold everywhere."""
        return cls({View(): groups})

    def merged(self, groups: Groups, view: View = View()) -> DataContext:  # noqa: B008 - a tuple never changes
        """A copy with further values at ``view``; of two values of one key, the new one holds."""
        return DataContext({**self.scopes, view: _overlaid(self.scopes.get(view, {}), groups)})

    def groups_at(self, node: str | None) -> Groups:
        """Everything that holds on a node, whatever the step: what the environment is made from."""
        everywhere = self.scopes.get(View(), {})
        return everywhere if node is None else _overlaid(everywhere, self.scopes.get(View(node=node), {}))

    def value(self, view: View, group: str, key: str, *, named: View | None = None) -> str | None:
        """The value at ``view`` or the nearest wider view; what a reference ``named`` sets how wide it may get."""
        while True:
            value = self.scopes.get(view, {}).get(group, {}).get(key)
            wider = view.widened()
            if value is not None or wider == view or (named is not None and named.is_left_by(wider)):
                return value
            view = wider

    def values_of_nodes(self, named: View, group: str, key: str) -> list[str]:
        """The value on each node that has data, by node name; a node without one has the wider value."""
        views = sorted((view for view in self.scopes if named.spans(view)), key=lambda view: view.node or "")
        return [value for view in views if (value := self.value(view, group, key)) is not None]


def _overlaid(below: Groups, above: Groups) -> Groups:
    return {**below, **{group: {**below.get(group, {}), **values} for group, values in above.items()}}
