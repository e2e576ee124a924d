"""A workflow at work on a runner: the engine says what runs next, this runs it and tells the engine how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from domain.context.scopes import View
from domain.logs import build_filters
from domain.logs.chain import BuiltFilter
from domain.workflow import Engine, Shape, Unit
from runbus.plugin import Stream
from schemas.errors import ErrorInfo
from schemas.events import StepOutcome
from schemas.jobs import Step, Strategy
from schemas.states import ExecutionState
from services.runner.bench import Bench, Work
from services.runner.calls import carry_out_call
from services.runner.logship import LogLabel
from services.runner.outcomes import STOPPED, Outcomes
from services.runner.scope import Scope
from services.runner.steplog import StepLog
from services.runner.units import Task, carry_out_unit, stopped_error

_AT_ONCE: Final = 64


class WorkflowEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a workflow ended."""

    state: ExecutionState
    outcomes: list[StepOutcome]
    nodes: dict[str, list[str]]
    """Node names by ``domain.workflow.engine.NodeEnd``; none where no step is for nodes."""
    deciding: StepOutcome | None = None
    """The outcome that the whole goes by: the first that was stopped, or failed for good; of a success the last."""
    error: ErrorInfo | None = None
    """Why it did not succeed: the first failure, and how many more there were."""


class WorkflowRun:
    """One workflow, once. Of called jobs each has its own."""

    def __init__(self, bench: Bench, work: Work, scope: Scope, *, deadline_s: float | None) -> None:
        self._bench = bench
        self._work = work
        self._scope = scope
        self._deadline_s = deadline_s
        self._nodes = {node.name: node for node in work.nodes}
        self._engine = Engine(
            Shape.of(work.steps, work.flow, list(self._nodes), threads=work.threads, node_keepgoing=work.keepgoing)
        )
        self._failures = _Failures()
        self._filters: dict[tuple[int, bool], Sequence[BuiltFilter]] = {}
        self.outcomes = Outcomes()

    async def run(self) -> WorkflowEnd:
        """Run until nothing more is to be run. Raises ``invalid_job`` for a log filter whose settings are wrong."""
        self._build_filters()
        ready = self._engine.ready()
        while len(ready) == 1:  # one after the other: no tasks
            self._take(ready[0], await self._carry_out(ready[0]))
            ready = self._engine.ready()
        if ready:
            async with asyncio.TaskGroup() as group:
                self._start(ready, group)
        return self._end()

    def _start(self, units: list[Unit], group: asyncio.TaskGroup) -> None:
        if len(units) > _AT_ONCE:
            group.create_task(self._start_by_turns(units, group))
            return
        for unit in units:
            group.create_task(self._one_of_several(unit, group))

    async def _start_by_turns(self, units: list[Unit], group: asyncio.TaskGroup) -> None:
        """Thousands at once would hold up the event loop."""
        for begin in range(0, len(units), _AT_ONCE):
            self._start(units[begin : begin + _AT_ONCE], group)
            await asyncio.sleep(0)

    async def _one_of_several(self, unit: Unit, group: asyncio.TaskGroup) -> None:
        self._take(unit, await self._carry_out(unit))
        self._start(self._engine.ready(), group)

    def _take(self, unit: Unit, outcome: StepOutcome) -> None:
        good = outcome.state is ExecutionState.SUCCEEDED
        self.outcomes.add(outcome)
        if not good and not unit.handler:
            self._failures.add(unit, outcome)
        self._engine.finish(unit, succeeded=good)
        if outcome.state in STOPPED or self._bench.stopper.state is not None:
            self._engine.halt()

    async def _carry_out(self, unit: Unit) -> StepOutcome:
        step = self._step(unit.step, handler=unit.handler)
        task = self._task(unit, step)
        if step.call is not None:
            return await carry_out_call(
                self._bench, self._scope, task, self._work, outcomes=self.outcomes, run=_run_called,
                deadline_s=self._deadline_s,
            )  # fmt: skip
        log = self._log(task, self._filters[unit.step, unit.handler])
        try:
            return await carry_out_unit(self._bench, self._scope, task, log, deadline_s=self._deadline_s)
        finally:
            await log.finish()

    def _step(self, index: int, *, handler: bool) -> Step:
        step = self._work.steps[index]
        return step.error_handler if handler and step.error_handler is not None else step

    def _task(self, unit: Unit, step: Step) -> Task:
        number = self._work.number(unit.step)
        top = self._work.prefix.partition("/")[0].removesuffix("e")
        node_first = self._work.flow.strategy is Strategy.NODE_FIRST
        return Task(
            step=step,
            number=int(top) if top else number,
            place=self._work.place(unit.step, handler=unit.handler),
            own_number=number,
            node=self._bench.own_node if unit.node is None else self._nodes[unit.node],
            for_node=unit.node is not None and self._work.for_nodes,
            once=unit.node is None,
            handler=unit.handler,
            extra=self._failures.result(unit, at_once=node_first) if unit.handler else None,
        )

    def _build_filters(self) -> None:
        """Once for each step, not for each of its nodes."""
        for index in range(len(self._work.steps)):
            for handler in (False, True):
                own = self._step(index, handler=handler)
                wanted = [*self._work.flow.log_filters, *own.log_filters]
                self._filters[index, handler] = build_filters(wanted)[0] if wanted and own.enabled else ()

    def _log(self, task: Task, filters: Sequence[BuiltFilter]) -> StepLog:
        node = task.node.name if task.for_node else ""
        label = LogLabel(stream=Stream.STDOUT, step=task.number, node=node, context=task.context)
        view = View(task.own_number, None if task.once else task.node.name)

        def on_data(group: str, key: str, value: str) -> None:
            self._scope.capture(view, group, {key: value})

        return StepLog(
            self._bench.ship, label, masker=self._bench.masker, filters=filters, limit=self._bench.limiter,
            on_data=on_data, log_level=self._bench.assignment.log_level,
        )  # fmt: skip

    def _end(self) -> WorkflowEnd:
        nodes: dict[str, list[str]] = {}
        if self._work.for_nodes and any(step.enabled and step.node_step for step in self._work.steps):
            for name in self._nodes:
                nodes.setdefault(self._engine.node_end(name), []).append(name)
        state = self._state()
        deciding, error = self._decided(state)
        return WorkflowEnd(state=state, outcomes=self.outcomes.kept, nodes=nodes, deciding=deciding, error=error)

    def _state(self) -> ExecutionState:
        if self._bench.stopper.state is not None:
            return self._bench.stopper.state
        if self._engine.succeeded:
            return ExecutionState.SUCCEEDED
        return ExecutionState.FAILED if self.outcomes.stopped is None else self.outcomes.stopped.state

    def _decided(self, state: ExecutionState) -> tuple[StepOutcome | None, ErrorInfo | None]:
        """The outcome that the whole goes by, and the error: what stopped it, else the first failure."""
        failures = [self._failures.of(unit) for unit in self._engine.failures]
        if state is ExecutionState.SUCCEEDED:
            return self.outcomes.last, None
        stopped = self.outcomes.stopped
        if self._bench.stopper.state is not None or stopped is not None:
            error = (stopped and stopped.error) or stopped_error(self._bench, state)
            return stopped or next(iter(failures), None), error
        if not failures:
            return self.outcomes.last, None
        return failures[0], _summed_up(failures)


class _Failures:
    """What handlers are told, and what the end says, of the steps that failed."""

    def __init__(self) -> None:
        self._outcomes: dict[Unit, StepOutcome] = {}
        self._of_step: dict[int, list[Unit]] = {}
        self._names: dict[int, str] = {}

    def add(self, unit: Unit, outcome: StepOutcome) -> None:
        self._outcomes[unit] = outcome
        self._of_step.setdefault(unit.step, []).append(unit)

    def of(self, unit: Unit) -> StepOutcome:
        return self._outcomes[unit]

    def result(self, handler: Unit, *, at_once: bool) -> Mapping[str, Mapping[str, str]]:
        """What a handler sees of the failure ("Retry, limits, handlers"); ``at_once``: of its own node only."""
        own = Unit(handler.step, handler.node)
        failed = self._outcomes.get(own) or self._outcomes[self._of_step[handler.step][0]]
        names = (handler.node or "") if at_once and own in self._outcomes else self._failed_nodes(handler.step)
        result = {
            "reason": failed.reason,
            "message": failed.error.message if failed.error else "No message",
            "failedNodes": names,
        }
        if failed.exit_code is not None:
            result["resultCode"] = str(failed.exit_code)
        return {"result": result}

    def _failed_nodes(self, step: int) -> str:
        """Of a step that is over on all nodes: put together once."""
        names = self._names.get(step)
        if names is None:
            names = self._names[step] = ",".join(unit.node for unit in self._of_step[step] if unit.node)
        return names


def _summed_up(failures: list[StepOutcome]) -> ErrorInfo | None:
    first, others = failures[0].error, len(failures) - 1
    if first is None or not others:
        return first
    more = "One more failed" if others == 1 else f"{others:,} more failed"
    return msgspec.structs.replace(first, message=f"{first.message} {more}: see the outcomes of the steps.")


async def _run_called(bench: Bench, work: Work, scope: Scope, deadline_s: float | None) -> WorkflowEnd:
    return await WorkflowRun(bench, work, scope, deadline_s=deadline_s).run()
