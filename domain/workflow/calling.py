"""A job called by a step: what it is given, what it sees, and which nodes it runs on. Pure; the runner runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from domain.calls import arguments_of
from domain.context.groups import job_context
from domain.context.references import Missing, expand
from domain.context.scopes import Groups, View
from domain.options import OptionValues, resolve_options
from domain.workflow.scope import Scope, facts_of
from schemas.events import Assignment, CalledJob
from schemas.jobs import JobCall
from schemas.nodes import Node
from schemas.options import Option


@dataclass(frozen=True, slots=True)
class Caller:
    """The calling job's data; its secure options are passed on to secure options only."""

    scope: Scope
    exposed: Mapping[str, str] = field(default_factory=dict, repr=False)
    private: Mapping[str, str] = field(default_factory=dict, repr=False)

    def visible(self, option: Option | None) -> dict[str, str]:
        """The caller's options that a value for this one may refer to."""
        seen = known(self.scope, "option")
        if option is None or not option.secure:
            return {name: value for name, value in seen.items() if name not in self.exposed}
        return seen if option.value_exposed else {**seen, **self.private}


class Arguments(NamedTuple):
    """What a call gives: values of options, and those that name no option of the called job."""

    given: dict[str, str | list[str]]
    surplus: dict[str, str]


def arguments_for(called: CalledJob, call: JobCall, caller: Caller, *, node: Node, extra: Groups | None) -> Arguments:
    """The values for a called job's options: those imported where the call asks for that, then its arguments.

    Values that no script sees are passed on to such options only ("Options").
    """
    options = {option.name: option for option in called.options}
    given: dict[str, str | list[str]] = {}
    if call.import_options:
        for name, option in options.items():
            value = caller.visible(option).get(name)
            if value is not None:
                given[name] = value
    surplus: dict[str, str] = {}
    view = View(node=node.name)
    for name, text in arguments_of(call.args):
        own = options.get(name)
        data = caller.scope.with_options(caller.visible(own), extra, node)
        value = expand(text, data, view, Missing.BLANK)
        if own is None:
            surplus[name] = value
        else:
            given[name] = value
    return Arguments(given, surplus)


def called_values(
    options: Sequence[Option], arguments: Arguments, *, job: Mapping[str, str], scope: Scope
) -> OptionValues:
    """A called job's option values: as given, else the defaults.

    Arguments that name no option of the job are options of this run all the same, as in the original.
    Raises ``invalid_option``.
    """
    values = resolve_options(options, arguments.given, job=job, global_values=known(scope, "globals"))
    plain = {**arguments.surplus, **values.plain}
    return OptionValues(plain, values.exposed, values.private, values.stored, values.delimiters)


def called_facts(assignment: Assignment, called: CalledJob) -> dict[str, str]:
    """The ``job`` group of a called job: its own names, all else of the execution."""
    job = called.ref
    return job_context(facts_of(assignment)) | {"name": job.name, "group": job.group, "id": job.uuid}


def called_groups(scope: Scope, values: OptionValues, job: Mapping[str, str]) -> dict[str, Mapping[str, str | None]]:
    """What holds everywhere in a called job: its own options and names, and the globals."""
    return {"globals": scope.group("globals"), **values.groups(), "job": dict(job)}


def called_nodes(called: CalledJob, call: JobCall, *, own: Sequence[Node], of_caller: Sequence[Node]) -> list[Node]:
    """The nodes of its own filter, where it has one; else ``own``: its caller's, or the one that it is called for."""
    if called.dispatch is None:
        return list(own)
    if call.nodes is None or not call.nodes.intersect:
        return called.dispatch.nodes
    names = {node.name for node in of_caller}
    return [node for node in called.dispatch.nodes if node.name in names]


def is_empty_well(called: CalledJob) -> bool:
    """Whether it is well that no node matches its filter."""
    return called.dispatch is not None and called.dispatch.success_on_empty


def known(scope: Scope, group: str) -> dict[str, str]:
    """The values of a group that holds everywhere."""
    return {name: value for name, value in scope.group(group).items() if value is not None}
