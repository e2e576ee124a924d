"""What each step comes to on each node, by the runner's own rules, if everything succeeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from domain.context.commands import StepPlace, command_step, script_text
from domain.context.references import without_value
from domain.options import OptionValues
from domain.planning import Plan
from domain.workflow import Engine, Shape
from domain.workflow.calling import Caller, arguments_for, called_facts, called_groups, called_nodes, called_values
from domain.workflow.plugins import OWN_STEPS
from domain.workflow.scope import Scope, scope_of
from domain.workflow.scripts import (
    EXECUTOR,
    LOCAL,
    ScriptConfig,
    executor_name,
    expanded,
    remote_path,
    script_file_name,
    script_path,
    script_url,
    script_words,
    setting_of,
)
from schemas.events import Assignment
from schemas.jobs import Flow, JobDefinition, Step
from schemas.nodes import Node
from schemas.options import Option

EXECUTION = "EXECUTION"
RUNNER = "RUNNER"
WORK_DIR = "WORKDIR"
_SECURE = "[SECURE]"
_COUNTER = "N"


class StepOnNode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One unit: what is run, and with which variables. Secure values are not shown."""

    place: str
    """``2``, or ``2/1`` in a called job; ``2e`` for the error handler of step 2."""
    plugin: str
    node: str
    """Empty for a step that is for none."""
    executor: str = ""
    line: str = ""
    """The final command line."""
    script: str = ""
    """The text of the script, its tokens filled in; empty for one that only the runner can read."""
    source: str = ""
    """The file or the URL of such a script."""
    config: dict[str, object] = {}
    """A plugin's configuration, its references filled in."""
    environment: dict[str, str] = {}
    unresolved: list[str] = []
    """References without a value: what earlier steps find out is known only when the job runs."""


class _Work(msgspec.Struct, frozen=True, kw_only=True):
    steps: Sequence[Step]
    flow: Flow
    nodes: Sequence[Node]
    threads: int
    keepgoing: bool
    prefix: str = ""


def own_node() -> Node:
    """Stands for the runner that takes the job: its name is known only then."""
    return Node(name=RUNNER, attributes={"hostname": RUNNER, "osFamily": "unix"})


def steps_of(job: JobDefinition, plan: Plan, *, settings: Mapping[str, str] | None = None) -> Iterator[StepOnNode]:
    """Every unit, in the order in which it would begin, each followed by its error handler.

    What steps find out is not known before they run: each unit names the references that miss it.
    """
    dispatch = plan.dispatch
    assignment = Assignment(
        execution=EXECUTION, assignment="1", project=job.project, attempt=1, steps=job.steps, title=job.ref.path,
        job=job.ref, flow=job.flow, dispatch=dispatch, context=plan.context, calls=plan.calls,
        log_level=job.log_level, settings=dict(settings or {}),
    )  # fmt: skip
    secure = _placeholders(job.options, exposed=True)
    work = _Work(
        steps=job.steps, flow=job.flow, nodes=dispatch.nodes if dispatch else [own_node()],
        threads=dispatch.threads if dispatch else 1, keepgoing=dispatch.keepgoing if dispatch else False,
    )  # fmt: skip
    private = _placeholders(job.options, exposed=False)
    yield from _Walk(assignment, private).units(work, scope_of(assignment, secure))


class _Walk:
    def __init__(self, assignment: Assignment, private: Mapping[str, str]) -> None:
        self._assignment = assignment
        self._private = private

    def units(self, work: _Work, scope: Scope) -> Iterator[StepOnNode]:
        nodes = {node.name: node for node in work.nodes}
        engine = Engine(
            Shape.of(list(work.steps), work.flow, list(nodes), threads=work.threads, node_keepgoing=work.keepgoing)
        )
        while ready := engine.ready():
            for unit in ready:
                step = work.steps[unit.step]
                node = own_node() if unit.node is None else nodes[unit.node]
                if step.enabled:
                    scope.enter(node)
                    place = f"{work.prefix}{unit.step + 1}"
                    named = "" if unit.node is None or node.name == RUNNER else node.name
                    yield from self._unit(step, node, place, named, scope, work)
                    if step.error_handler is not None and step.error_handler.enabled:
                        yield from self._unit(step.error_handler, node, f"{place}e", named, scope, work)
                engine.finish(unit, succeeded=True)

    def _unit(
        self, step: Step, node: Node, place: str, named: str, scope: Scope, work: _Work
    ) -> Iterator[StepOnNode]:
        if step.call is not None:
            yield from self._called(step, node, place, scope, work)
            return
        at = scope.place(node)
        settings = self._assignment.settings
        executor = executor_name(setting_of(EXECUTOR, node, settings, at), own_node=node.name == RUNNER)
        unit = StepOnNode(
            place=place, plugin=step.plugin, node=named, executor=executor, environment=scope.environment(node),
            unresolved=_unresolved(step, at),
        )  # fmt: skip
        yield _filled(unit, step, node, at, settings)

    def _called(self, step: Step, node: Node, place: str, scope: Scope, work: _Work) -> Iterator[StepOnNode]:
        called, call = self._assignment.calls.get(place), step.call
        if called is None or call is None or not called.enabled:
            return
        job = called_facts(self._assignment, called)
        caller = Caller(scope, private=self._private)
        arguments = arguments_for(called, call, caller, node=node, extra=None)
        values = called_values(_unjudged(called.options), arguments, job=job, scope=scope)
        own = [node] if step.node_step else work.nodes
        dispatch = called.dispatch
        inner = _Work(
            steps=called.steps, flow=called.flow, prefix=f"{place}/",
            nodes=called_nodes(called, call, own=own, of_caller=work.nodes),
            threads=dispatch.threads if dispatch else work.threads,
            keepgoing=dispatch.keepgoing if dispatch else work.keepgoing,
        )  # fmt: skip
        yield from self.units(inner, Scope(called_groups(scope, _hidden(values), job)))


def _hidden(values: OptionValues) -> OptionValues:
    stored = [name for name, key in values.stored.items() if key.exposed]
    return OptionValues(
        values.plain, dict.fromkeys([*values.exposed, *stored], _SECURE), {}, values.stored, values.delimiters
    )  # fmt: skip


def _placeholders(options: Sequence[Option], *, exposed: bool) -> dict[str, str]:
    """Of every secure option that a run gives a value to, or may: here none is known."""
    return {each.name: _SECURE for each in options if each.secure and each.value_exposed is exposed}


def _unjudged(options: Sequence[Option]) -> list[Option]:
    """Options of a called job: what stands for a secure value here is not what it allows."""
    return [
        msgspec.structs.replace(each, regex=None, enforced=False) if each.secure else each for each in options
    ]  # fmt: skip


def _unresolved(step: Step, at: StepPlace) -> list[str]:
    """Of every text of the step; a script's own text has tokens in place of references."""
    texts = {name: text for name, text in step.config.items() if isinstance(text, str)}
    found: dict[str, None] = {}
    if step.plugin in OWN_STEPS and "script" in texts:
        found |= dict.fromkeys(without_value(texts.pop("script"), at.data, at.view, script=True))
    for text in texts.values():
        found |= dict.fromkeys(without_value(text, at.data, at.view))
    return list(found)


def _filled(unit: StepOnNode, step: Step, node: Node, at: StepPlace, settings: Mapping[str, str]) -> StepOnNode:
    if step.plugin == "exec":
        line = " ".join(command_step(str(step.config.get("command", "")), at))
        return msgspec.structs.replace(unit, line=line)
    if step.plugin == "command":
        return msgspec.structs.replace(unit, line=str(step.config.get("command", "")))
    if step.plugin not in ("script", "scriptfile", "scripturl"):
        return msgspec.structs.replace(unit, config=expanded(step.config, at))
    config = msgspec.convert(step.config, ScriptConfig)
    name = script_file_name(config, counter=_COUNTER, execution=EXECUTION, node=node.name)
    directory = setting_of("file-copy-destination-dir", node, settings, at)
    is_here = unit.executor == LOCAL and not directory
    path = f"{WORK_DIR}/{name}" if is_here else remote_path(directory, name)
    text = script_text(config.script, at, expand_tokens=config.expand_tokens) if config.script is not None else ""
    source = script_path(config, at) if config.file is not None else script_url(config, at) if config.url else ""
    return msgspec.structs.replace(
        unit, line=" ".join(script_words(path, config, at)), script=text, source=source
    )  # fmt: skip
