"""What became of an execution's nodes, assignments and tries, as people read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from runbus.cli.render import NAMES_SHOWN, duration, name_list, sentence
from runbus.cli.steps import outcome_text
from schemas.api import ExecutionView, PartView
from schemas.events import StepOutcome
from schemas.states import ExecutionState


def run_facts(view: ExecutionView) -> Iterator[tuple[str, str]]:
    """Options, tries, nodes and assignments; what an execution does not have is left out."""
    options = sorted((name, value) for name, value in view.options.items() if not name.endswith(".delimiter"))
    yield "options", "\n".join(f"{name}={value}" for name, value in options)
    yield "try", _try(view)
    yield "nodes", nodes_text(view)
    for end in ("failed", "not_run"):
        yield f"  {end.replace('_', ' ')}", name_list(view.nodes.get(end, []))
    for part in view.parts:
        yield f"part {part.assignment}", _part(part)
    yield "warnings", "\n".join(view.warnings)


def nodes_text(view: ExecutionView) -> str:
    """``3 nodes (tags: web): 2 succeeded, 1 failed``; empty where it ran on its runner."""
    if view.node_count is None:
        return ""
    counts = ", ".join(f"{len(names)} {end.replace('_', ' ')}" for end, names in view.nodes.items() if names)
    count = f"{view.node_count} node{'' if view.node_count == 1 else 's'} ({view.node_filter})"
    return f"{count}: {counts}" if counts else count


def step_state(outcomes: Sequence[StepOutcome]) -> str:
    """How a step ended: as one outcome, or counted over nodes."""
    if len(outcomes) == 1:
        return outcome_text(outcomes[0])
    counts = Counter(str(each.state) for each in outcomes)
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def outcome_lines(outcomes: Sequence[StepOutcome]) -> Iterator[tuple[str, str]]:
    """What did not succeed, node by node, and what handlers and called jobs did."""
    told = [each for each in outcomes if each.state is not ExecutionState.SUCCEEDED or each.context]
    for each in told[:NAMES_SHOWN]:
        where = sentence(f"step {each.context}" if each.context else "", each.node)
        yield f"  {where}" if where else "  error", _outcome(each)
    if len(told) > NAMES_SHOWN:
        yield "  ...", f"{len(told) - NAMES_SHOWN} more: --json shows them"


def _outcome(outcome: StepOutcome) -> str:
    reason = outcome.reason if outcome.state is not ExecutionState.SUCCEEDED else ""
    return sentence(outcome_text(outcome), reason)


def _try(view: ExecutionView) -> str:
    retry = view.retry
    if retry is None:
        return ""
    after = f", after {retry.previous}" if retry.previous else ""
    return f"{retry.attempt + 1} of at most {retry.most + 1}{after}"


def _part(part: PartView) -> str:
    first, last = part.steps
    steps = f"step {first}" if first == last else f"steps {first} to {last}"
    nodes = f"{part.node_count} node{'' if part.node_count == 1 else 's'}" if part.node_count else "no node"
    took = ""
    if part.started_at and part.finished_at:
        took = duration((part.finished_at - part.started_at).total_seconds())
    return sentence(part.state, part.runner or f"({part.set})", steps, nodes, took)
