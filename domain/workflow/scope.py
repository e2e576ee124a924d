"""The data of one workflow: what every step sees, what each node adds, and what steps find out. Pure."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Final

from domain.context.commands import StepPlace
from domain.context.groups import JobFacts, environment, job_context, node_context
from domain.context.quoting import Target
from domain.context.scopes import DataContext, Groups, View
from schemas.events import Assignment
from schemas.nodes import Node

Data = dict[str, dict[str, dict[str, str]]]
"""By view (``STEP@NODE``), group and key: how data travels between assignments."""

_SECURE: Final = "secureOption"
_NOWHERE: Final[tuple[str, dict[str, str]]] = ("", {})
_OS_FAMILY: Final = "osFamily"
_SHELL: Final = "shell-interpreter"


class Scope:
    """Values by view, changed in place: what a step captured is there for whatever starts later.

    A step's values hold at its own view, for references that name the step (``${2:data.x@web}``), and on its node,
    for those that do not ("Substitution").
    """

    def __init__(self, groups: Groups) -> None:
        self._scopes: dict[View, dict[str, dict[str, str | None]]] = {
            View(): {group: dict(values) for group, values in groups.items()}
        }
        self._captured: Data = {}
        self._everywhere: dict[str, str] | None = None
        """The variables that are the same on all nodes, until somebody captures something that holds everywhere."""
        self._last = _NOWHERE
        """The node that was asked for last, and its variables: often several steps run there, one after the other."""

    @property
    def data(self) -> DataContext:
        """What holds now."""
        return DataContext(self._scopes)

    @property
    def captured(self) -> Data:
        """What steps have found out, in the form in which it travels."""
        return self._captured

    def group(self, name: str) -> Mapping[str, str | None]:
        """A group that holds everywhere."""
        return self._scopes[View()].get(name, {})

    def enter(self, node: Node) -> None:
        """Make the node's own group known."""
        groups = self._scopes.setdefault(View(node=node.name), {})
        if "node" not in groups:
            groups["node"] = dict(node_context(node.name, node.attributes, node.tags))
            self._last = _NOWHERE

    def leave_to(self, data: Data) -> None:
        """Take over what other assignments of the execution have found out."""
        for key, groups in data.items():
            step, _, node = key.partition("@")
            view = View(int(step) if step else None, node or None)
            for group, values in groups.items():
                self._merge(view, group, dict(values))

    def capture(self, view: View, group: str, values: Mapping[str, str]) -> None:
        """A step found something out."""
        for each in dict.fromkeys((view, View(node=view.node))):
            self._merge(each, group, dict(values))
            key = f"{each.step or ''}@{each.node or ''}"
            self._captured.setdefault(key, {}).setdefault(group, {}).update(values)
        if view.node is None:
            self._everywhere = None
        self._last = _NOWHERE

    def place(self, node: Node, extra: Groups | None = None) -> StepPlace:
        """Where the text of a step on this node is expanded; ``extra`` groups (``result``) hold for it alone."""
        return StepPlace(self._with(extra, View(node=node.name)), node.name, target_of(node))

    def with_options(self, options: Mapping[str, str | None], extra: Groups | None, node: Node) -> DataContext:
        """What holds on a node, but with these options and no others."""
        everywhere = {group: values for group, values in self._scopes[View()].items() if group != _SECURE}
        scopes = self._with(extra, View(node=node.name)).scopes
        return DataContext(ChainMap({View(): {**everywhere, "option": options}}, scopes))  # type: ignore[arg-type]

    def environment(self, node: Node, extra: Groups | None = None) -> dict[str, str]:
        """The ``RD_…`` variables of a step on this node."""
        if self._everywhere is None:
            self._everywhere = environment(self._scopes[View()])
        if self._last[0] != node.name:
            self._last = (node.name, environment(self._scopes.get(View(node=node.name), {})))
        found = {**self._everywhere, **self._last[1]}
        return found if not extra else {**found, **environment(extra)}

    def _with(self, extra: Groups | None, view: View) -> DataContext:
        """What holds, and beside it (not among it: there may be thousands of nodes) groups for one unit."""
        if not extra:
            return self.data
        return DataContext(ChainMap({view: {**self._scopes.get(view, {}), **extra}}, self._scopes))  # type: ignore[arg-type]

    def _merge(self, view: View, group: str, values: dict[str, str | None]) -> None:
        self._scopes.setdefault(view, {}).setdefault(group, {}).update(values)


def scope_of(assignment: Assignment, secure: Mapping[str, str]) -> Scope:
    """The scope of an assignment's own workflow; ``secure`` are option values that scripts see and logs do not."""
    options = assignment.context.get("option", {})
    groups: dict[str, Mapping[str, str | None]] = {
        **assignment.context,
        "option": {**options, **secure},
        "job": job_context(facts_of(assignment)),
    }
    if secure:
        groups[_SECURE] = dict(secure)
    scope = Scope(groups)
    scope.leave_to(assignment.data)
    return scope


def facts_of(assignment: Assignment) -> JobFacts:
    """What the job context is made of ("Substitution", job context)."""
    job, dispatch, retry = assignment.job, assignment.dispatch, assignment.retry
    return JobFacts(
        execid=assignment.execution,
        project=assignment.project,
        username=assignment.user,
        name=job.name if job else "",
        group=job.group if job else "",
        id=job.uuid if job else "",
        loglevel=assignment.log_level,
        filter=dispatch.filter if dispatch else None,
        threadcount=dispatch.threads if dispatch else 1,
        success_on_empty_node_filter=dispatch.success_on_empty if dispatch else None,
        execution_type=assignment.execution_type,
        retry_attempt=retry.attempt if retry else 0,
        retry_initial_exec_id=retry.initial if retry else "0",
        retry_prev_exec_id=retry.previous if retry else "0",
    )


def target_of(node: Node) -> Target:
    """What arguments are quoted for on a node."""
    return Target(node.attributes.get(_OS_FAMILY, ""), node.attributes.get(_SHELL, ""))
