"""Stand-ins for what is known only once a job runs: such a reference stands for itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from domain.context.commands import StepPlace
from domain.context.scopes import DataContext, Groups, View
from domain.workflow.scope import Scope
from schemas.nodes import Node

EXECUTION: Final = "EXECUTION"
"""The id of the execution."""
RUNNER: Final = "RUNNER"
"""The id of the runner that takes it: the name of its own node."""
WORK_DIR: Final = "WORKDIR"
"""The private directory of an execution on its runner."""
COUNTER: Final = "N"
"""What tells the scripts of a runner apart."""
NODE: Final = "NODE"
"""The name of a node, where several are shown as one."""

_DATA: Final = "data"
_RESULT: Final = "result"
_ALL: Final = "*"


class Unknown:
    """Collects what stands for itself, in the order in which it was met."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    @property
    def names(self) -> list[str]:
        """``${data.used}`` and the like."""
        return list(self._names)

    def named(self, name: str) -> None:
        """One was met."""
        self._names[name] = None

    def occurs_in(self, text: str) -> bool:
        """Whether a text holds one of them."""
        return "${" in text and any(name in text for name in self._names)


class PlannedScope(Scope):
    """A scope in which what steps find out, and what handlers are told, stands for itself."""

    def __init__(self, groups: Groups, unknown: Unknown, *, steps: int) -> None:
        super().__init__(groups)
        self._unknown = unknown
        self._steps = steps

    def place(
        self, node: Node, extra: Groups | None = None, *, handler: bool = False, tokens: bool = False
    ) -> StepPlace:
        """As the runner's; with ``tokens`` for the text of a script, where references stand between ``@``."""
        found = super().place(node, extra)
        data = self._standing_in(found.data, node, handler=handler, tokens=tokens)
        return StepPlace(data, found.node, found.target)

    def with_options(self, options: Mapping[str, str | None], extra: Groups | None, node: Node) -> DataContext:
        """As the runner's."""
        return self._standing_in(super().with_options(options, extra, node), node)

    def _standing_in(
        self, data: DataContext, node: Node, *, handler: bool = False, tokens: bool = False
    ) -> DataContext:
        groups = (_DATA, _RESULT) if handler else (_DATA,)
        written = _Written(node.name, self._unknown, tokens=tokens)
        return DataContext(_Scopes(data.scopes, groups, written, self._steps))


class _Written:
    """How a reference is written that stands for itself."""

    def __init__(self, here: str, unknown: Unknown, *, tokens: bool) -> None:
        self._here = here
        self._unknown = unknown
        self._tokens = tokens

    def __call__(self, view: View, group: str, key: str) -> str:
        name = f"{group}.{key}" if view.step is None else f"{view.step}:{group}.{key}"
        if view.node == _ALL:
            name += _ALL
        elif view.node not in (None, self._here):
            name += f"/{view.node}" if self._tokens else f"@{view.node}"
        text = f"@{name}@" if self._tokens else f"${{{name}}}"
        self._unknown.named(text)
        return text


class _Scopes(Mapping[View, Groups]):
    """Every view has the groups that stand for themselves; all nodes together are one view, ``*``."""

    def __init__(
        self, known: Mapping[View, Groups], groups: tuple[str, ...], written: _Written, steps: int
    ) -> None:
        self._known = known
        self._groups = groups
        self._written = written
        self._steps = steps

    def __getitem__(self, view: View) -> Groups:
        return _View(view, self._known.get(view, {}), self._groups, self._written)

    def __iter__(self) -> Iterator[View]:
        yield View(node=_ALL)
        for step in range(1, self._steps + 1):
            yield View(step, _ALL)

    def __len__(self) -> int:
        return self._steps + 1


class _View(Mapping[str, Mapping[str, str | None]]):
    def __init__(self, view: View, known: Groups, groups: tuple[str, ...], written: _Written) -> None:
        self._view = view
        self._known = known
        self._groups = groups
        self._written = written

    def __getitem__(self, group: str) -> Mapping[str, str | None]:
        if self._view.node == _ALL or group in self._groups:
            return _Keys(self._view, group, self._written)
        return self._known[group]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class _Keys(Mapping[str, str | None]):
    def __init__(self, view: View, group: str, written: _Written) -> None:
        self._view = view
        self._group = group
        self._written = written

    def __getitem__(self, key: str) -> str:
        return self._written(self._view, self._group, key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
