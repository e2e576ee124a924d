"""A workflow at work on a runner: the engine says what runs next, this runs it and tells the engine how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from domain.context.scopes import View
from domain.logs import build_filters
from domain.workflow import Engine, Shape, Unit
from runbus.plugin import Stream
from schemas.errors import ErrorInfo
from schemas.events import StepOutcome
from schemas.jobs import Step
from schemas.states import ExecutionState
from services.runner.bench import Bench, Work
from services.runner.calls import carry_out_call
from services.runner.logship import LogLabel
from services.runner.scope import Scope
from services.runner.steplog import StepLog
from services.runner.units import Task, carry_out_unit

MAX_OUTCOMES: Final = 4000
"""What an end tells of single steps; of more, those that did not succeed before the others."""


class WorkflowEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a workflow ended."""

    state: ExecutionState
    outcomes: list[StepOutcome]
    nodes: dict[str, list[str]]
    """Node names by ``domain.workflow.engine.NodeEnd``."""
    deciding: StepOutcome | None = None
    """The outcome that the whole goes by: the first that failed for good, else the last."""

    @property
    def error(self) -> ErrorInfo | None:
        """Why it did not succeed."""
        return self.deciding.error if self.deciding and self.state is not ExecutionState.SUCCEEDED else None


class WorkflowRun:
    """One workflow, once. Of called jobs each has its own."""

    def __init__(self, bench: Bench, work: Work, scope: Scope, *, deadline_s: float | None) -> None:
        self._bench = bench
        self._work = work
        self._scope = scope
        self._deadline_s = deadline_s
        self._own = work.nodes == [bench.own_node]
        self._nodes = {node.name: node for node in work.nodes}
        self._engine = Engine(
            Shape.of(work.steps, work.flow, list(self._nodes), threads=work.threads, node_keepgoing=work.keepgoing)
        )
        self._failures: dict[tuple[int, str | None], StepOutcome] = {}
        """The last failed outcome of each step on each node: what its handler is told."""
        self.outcomes = Outcomes()

    async def run(self) -> WorkflowEnd:
        """Run until nothing more is to be run."""
        running: dict[asyncio.Task[StepOutcome | None], Unit] = {}
        while True:
            ready = self._engine.ready()
            if len(ready) == 1 and not running:
                self._take(ready[0], await self._carry_out(ready[0]))
                continue
            running |= {asyncio.ensure_future(self._carry_out(unit)): unit for unit in ready}
            if not running:
                return self._end()
            try:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                for task in running:
                    task.cancel()
                raise
            for task in done:
                self._take(running.pop(task), task.result())

    def _take(self, unit: Unit, outcome: StepOutcome | None) -> None:
        """Tell the engine; None is a step that is not enabled."""
        good = outcome is None or outcome.state is ExecutionState.SUCCEEDED
        if outcome is not None:
            self.outcomes.add(outcome)
            if not good:
                self._failures[unit.step, unit.node] = outcome
        self._engine.finish(unit, succeeded=good)
        stopped = outcome is not None and outcome.state in (ExecutionState.ABORTED, ExecutionState.TIMEDOUT)
        if stopped or self._bench.stopper.state is not None:
            self._engine.halt()

    async def _carry_out(self, unit: Unit) -> StepOutcome | None:
        step = self._work.steps[unit.step]
        if not step.enabled:
            return None
        if unit.handler and step.error_handler is not None:
            step = step.error_handler
        task = self._task(unit, step)
        log = self._log(task)
        try:
            if step.call is not None:
                return await carry_out_call(
                    self._bench, self._scope, task, self._work, outcomes=self.outcomes, run=_run_called,
                    deadline_s=self._deadline_s,
                )  # fmt: skip
            return await carry_out_unit(self._bench, self._scope, task, log, deadline_s=self._deadline_s)
        finally:
            await log.finish()

    def _task(self, unit: Unit, step: Step) -> Task:
        number = self._work.number(unit.step)
        top = self._work.prefix.partition("/")[0].removesuffix("e")
        return Task(
            step=step,
            number=int(top) if top else number,
            place=self._work.place(unit.step, handler=unit.handler),
            node=self._bench.own_node if unit.node is None else self._nodes[unit.node],
            for_node=unit.node is not None and not self._own,
            handler=unit.handler,
            extra=self._result(unit) if unit.handler else None,
        )

    def _result(self, unit: Unit) -> Mapping[str, Mapping[str, str]]:
        """What a handler sees of the failure ("Retry, limits, handlers")."""
        failed = self._failures[unit.step, unit.node]
        result = {
            "reason": failed.reason,
            "message": failed.error.message if failed.error else "No message",
            "failedNodes": ",".join(node for step, node in self._failures if step == unit.step and node),
        }
        if failed.exit_code is not None:
            result["resultCode"] = str(failed.exit_code)
        return {"result": result}

    def _log(self, task: Task) -> StepLog:
        node = task.node.name if task.for_node else ""
        label = LogLabel(stream=Stream.STDOUT, step=task.number, node=node, context=task.context)
        view = View(self._step_number(task), task.node.name if task.step.node_step else None)

        def on_data(group: str, key: str, value: str) -> None:
            self._scope.capture(view, group, {key: value})

        filters, _ = build_filters([*self._work.flow.log_filters, *task.step.log_filters])
        return StepLog(
            self._bench.ship, label, masker=self._bench.masker, filters=filters, limit=self._bench.limiter,
            on_data=on_data, log_level=self._bench.assignment.log_level,
        )  # fmt: skip

    def _step_number(self, task: Task) -> int:
        return int(task.place.rpartition("/")[2].removesuffix("e"))

    def _end(self) -> WorkflowEnd:
        nodes: dict[str, list[str]] = {}
        if not self._own:
            for name in self._nodes:
                nodes.setdefault(self._engine.node_end(name), []).append(name)
        state = self._state()
        deciding = self.outcomes.deciding(succeeded=state is ExecutionState.SUCCEEDED)
        return WorkflowEnd(state=state, outcomes=self.outcomes.kept, nodes=nodes, deciding=deciding)

    def _state(self) -> ExecutionState:
        if self._bench.stopper.state is not None:
            return self._bench.stopper.state
        if self._engine.succeeded:
            return ExecutionState.SUCCEEDED
        timed_out = self.outcomes.timed_out
        return ExecutionState.TIMEDOUT if timed_out else ExecutionState.FAILED


class Outcomes:
    """The outcomes of an assignment's units, called jobs included, bounded: failures are kept before successes."""

    def __init__(self) -> None:
        self._kept: list[StepOutcome] = []
        self._failed: StepOutcome | None = None
        self._last: StepOutcome | None = None
        self.timed_out = False

    @property
    def kept(self) -> list[StepOutcome]:
        """At most 4,000, in the order in which they ended."""
        surplus = len(self._kept) - MAX_OUTCOMES
        if surplus <= 0:
            return self._kept
        good = [index for index, each in enumerate(self._kept) if each.state is ExecutionState.SUCCEEDED]
        dropped = set(good[-surplus:])
        return [each for index, each in enumerate(self._kept) if index not in dropped][:MAX_OUTCOMES]

    def deciding(self, *, succeeded: bool) -> StepOutcome | None:
        """The one that the whole goes by: the last, of a workflow that failed the last that failed."""
        return self._last if succeeded or self._failed is None else self._failed

    def add(self, outcome: StepOutcome) -> None:
        """One more has ended."""
        good = outcome.state is ExecutionState.SUCCEEDED
        self._last = outcome
        self.timed_out |= outcome.state is ExecutionState.TIMEDOUT
        if not good:
            self._failed = outcome
        self._keep(outcome)

    def join(self, outcomes: list[StepOutcome]) -> None:
        """Those of a called job: told, but what decides is the outcome of the step that called it."""
        for outcome in outcomes:
            self._keep(outcome)

    def _keep(self, outcome: StepOutcome) -> None:
        good = outcome.state is ExecutionState.SUCCEEDED
        if len(self._kept) < (MAX_OUTCOMES if good else 2 * MAX_OUTCOMES):
            self._kept.append(outcome)


async def _run_called(bench: Bench, work: Work, scope: Scope, deadline_s: float | None) -> WorkflowEnd:
    return await WorkflowRun(bench, work, scope, deadline_s=deadline_s).run()
