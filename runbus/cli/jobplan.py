"""``runbus job plan``: what would run where, told from files, without a bus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import chain

import click
import msgspec

from domain.dryrun import FileLookups, StepOnNode, steps_of
from domain.jobfile import JobFile, read_job_file
from domain.keys.needs import faults_of, refuse_or_warn
from domain.keys.planned import needs_of
from domain.planning import Plan, Run, plan_job
from runbus.cli.context import Options, SharedCommand
from runbus.cli.failure import clean
from runbus.cli.jobcheck import file_name, print_warnings, read_text, strange_steps
from runbus.cli.jobplankeys import PlannedKey, fleet_warnings, key_lines, key_notes, planned_keys
from runbus.cli.jobplansecure import lenient, marked, secure_options
from runbus.cli.nodesfile import nodes_of_file
from runbus.cli.optionvalues import option_values, require_fit, values_in_clear
from runbus.cli.render import print_facts, print_json, sentence
from schemas.jobs import JobDefinition, NodeDispatch
from schemas.nodes import Node

_SCRIPT_LINES = 12


class PlanView(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.cli.plan.v1"):
    """A dry run."""

    job: str
    set: str
    nodes: list[str]
    threads: int
    timeout_s: float | None
    options: dict[str, str]
    secure: dict[str, str]
    """The secure options, and in words where each takes its value from."""
    keys: list[PlannedKey]
    """Which keys options take their values from, and who reads them where."""
    steps: list[StepOnNode]
    """In the order in which they would begin, each followed by its error handler."""
    notes: list[str]
    warnings: list[str]
    """What is said of the files."""


@click.command(cls=SharedCommand)
@click.argument("file")
@click.argument("job", required=False)
@click.option("-o", "--option", "given", multiple=True, metavar="NAME=VALUE", help="The value of an option.")
@click.option("--secure-option", "secure", multiple=True, metavar="NAME", help="As with 'runbus job run'.")
@click.option("--nodes", "nodes_file", metavar="FILE", help="A file with the project's nodes.")
@click.option("--jobs", "more", multiple=True, metavar="FILE", help="Further jobs, which may be called.")
@click.option("--node-filter", metavar="FILTER", help="Another node filter than the job's own.")
@click.option("--fleet", "with_fleet", is_flag=True, help="Ask the registry whether runners could have the keys.")
@click.option("--env", "with_env", is_flag=True, help="Show the variables of each step, too.")
@click.pass_obj
def plan(  # noqa: PLR0913, PLR0917 (what the command line can say)
    options: Options,
    file: str,
    job: str | None,
    given: tuple[str, ...],
    secure: tuple[str, ...],
    nodes_file: str | None,
    more: tuple[str, ...],
    node_filter: str | None,
    *,
    with_fleet: bool,
    with_env: bool,
) -> None:
    """Say what a job would run where, without a bus.

    For each step and node: the final command line or script, with secure values hidden. References to what only a
    run can know (values captured by earlier steps) are named beside it. Of options that take their values from keys
    it says which key is read where; the values are not asked for. --fleet needs the bus.
    """
    project = options.project or "default"
    files = [_read(each, project) for each in (file, *more)]
    jobs, *others = (each.jobs for each in files)
    chosen = _chosen(jobs, job, file)
    lookups = FileLookups([*jobs, *chain(*others)], _nodes(nodes_file))
    asked = _asked(chosen, node_filter)
    in_clear = values_in_clear(given, ())
    values = option_values(given, secure, ())
    require_fit(chosen, values, in_clear)
    run = Run(execution="EXECUTION", project=project, options=values, nodes=asked)
    planned = asyncio.run(plan_job(lenient(chosen, values), run, lookups))
    steps = list(steps_of(chosen, planned))
    warnings = [warning for each in files for warning in each.warnings] + strange_steps([chosen], file_name(file))
    warnings += planned.warnings
    needs = needs_of(planned, chosen.steps)
    keys = planned_keys(needs, planned.tags)
    warnings += refuse_or_warn(faults_of(needs, project))
    if with_fleet:
        warnings += fleet_warnings(options, project, needs, planned.tags)
    notes = lookups.notes + ([] if with_fleet else key_notes(needs, planned.tags))
    if options.as_json:
        print_json(_view(chosen, planned, steps, keys=keys, notes=notes, warnings=warnings))
        return
    print_warnings(warnings)
    print_facts(_facts(chosen, planned, keys))
    for block in _blocks(steps):
        click.echo()
        print_facts(_step_facts(block, chosen, with_env=with_env))
    for note in notes:
        click.echo(f"note: {note}", err=True)


def _read(file: str, project: str) -> JobFile:
    return read_job_file(read_text(file), project=project, file=file_name(file))


def _asked(job: JobDefinition, node_filter: str | None) -> NodeDispatch | None:
    if node_filter is None:
        return None
    return msgspec.structs.replace(job.nodes or NodeDispatch(), filter=node_filter, filter_exclude="")


def _chosen(jobs: Sequence[JobDefinition], name: str | None, file: str) -> JobDefinition:
    if name is None and len(jobs) == 1:
        return jobs[0]
    found = [each for each in jobs if name in (each.uuid, each.ref.path)]
    if found:
        return found[0]
    names = ", ".join(each.ref.path for each in jobs)
    raise click.UsageError(f"which job of {file}? Name one of: {names}.")


def _nodes(file: str | None) -> Sequence[Node] | None:
    return None if file is None else nodes_of_file(file, None).nodes


def _view(
    job: JobDefinition,
    planned: Plan,
    steps: list[StepOnNode],
    *,
    keys: list[PlannedKey],
    notes: list[str],
    warnings: list[str],
) -> PlanView:
    dispatch = planned.dispatch
    return PlanView(
        job=job.ref.path,
        set=planned.tags.token,
        nodes=[node.name for node in dispatch.nodes] if dispatch else [],
        threads=dispatch.threads if dispatch else 1,
        timeout_s=planned.timeout_s,
        options=planned.context.get("option", {}),
        secure=secure_options(job, planned),
        keys=keys,
        steps=steps,
        notes=notes,
        warnings=warnings,
    )


def _facts(job: JobDefinition, planned: Plan, keys: Sequence[PlannedKey]) -> Iterator[tuple[str, str]]:
    dispatch = planned.dispatch
    yield "job", job.ref.path
    yield "runs on", "the Local Runner" if planned.tags.is_local else f"a runner of {planned.tags}"
    plain = (f"{name}={value}" for name, value in planned.context.get("option", {}).items())
    secure = (f"{name}: {text}" for name, text in secure_options(job, planned).items())
    yield "options", "\n".join([*plain, *secure])
    yield "keys", "\n".join(key_lines(keys))
    if dispatch is None:
        yield "nodes", "none: on the runner itself"
    else:
        names = [node.name for node in dispatch.nodes]
        shown = ", ".join(names[:10]) + (f" and {len(names) - 10:,} more" if len(names) > 10 else "")
        yield "nodes", f"{len(names):,}: {shown}"
        yield "threads", str(dispatch.threads) if dispatch.threads > 1 else ""
    yield "strategy", str(job.flow.strategy)
    yield "timeout", f"{planned.timeout_s:g} s" if planned.timeout_s else ""


class _Block(msgspec.Struct):
    """A step on nodes where it comes to the same."""

    first: StepOnNode
    nodes: list[str]


def _blocks(steps: Sequence[StepOnNode]) -> list[_Block]:
    found: dict[tuple[str, ...], _Block] = {}
    for each in steps:
        name = each.node or "\0"
        alike = tuple(text.replace(name, "NODE") for text in (each.line, each.script, each.source, str(each.config)))
        block = found.setdefault((each.place, each.executor, *alike), _Block(each, []))
        if each.node:
            block.nodes.append(each.node)
    return list(found.values())


def _step_facts(block: _Block, job: JobDefinition, *, with_env: bool) -> Iterator[tuple[str, str]]:
    step, count = block.first, len(block.nodes)
    title = f"step {step.place.removesuffix('e')}"
    others = f"likewise on {count - 1:,} more" if count > 1 else ""
    yield title, f"{step.plugin}, where the step has failed" if step.place.endswith("e") else step.plugin
    yield "  on", sentence(step.node, f"by {step.executor}" if step.node else "", others)
    yield "  line", step.line
    yield "  script", _shortened(step.script) or step.source
    for name, value in step.config.items():
        yield f"  {clean(name)}", str(value)
    yield "  unknown", ", ".join(step.unresolved if "/" in step.place else marked(step.unresolved, job))
    if with_env:
        yield "  env", "\n".join(f"{name}={value}" for name, value in sorted(step.environment.items()))


def _shortened(text: str) -> str:
    lines = text.splitlines()
    if len(lines) <= _SCRIPT_LINES:
        return text
    return "\n".join([*lines[:_SCRIPT_LINES], f"... {len(lines) - _SCRIPT_LINES} more lines: --json shows them"])
