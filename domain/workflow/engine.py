"""What runs next in a workflow, told from what has ended so far. Pure: it starts nothing and waits for nothing.

The rules are the original's ("Dispatch to nodes", "Retry, limits, handlers"):

- **Node-first**: within a section each node carries out all steps. A node whose step fails leaves the section, unless
  the workflow keeps going. Without node keepgoing no new node starts after one has failed; with it, nodes that
  failed are left out of later sections.
- **Sequential**: each step over all nodes, a barrier behind each. One node at a time and no node keepgoing: the first
  that fails stops the rest of the step. Several at a time: all of them carry the step out.
- **Parallel**: all steps at once, each over its nodes as in sequential.
- A **handler** runs where its step failed: in node-first on the node at once, else on all failed nodes once the step
  is over on all (once for all of them, where the handler is no node step). A node step as the handler of a step that
  is for none runs on every node. It clears the failure if it succeeds and the workflow keeps going or it has
  ``keepgoingOnSuccess``; else what follows is skipped and the workflow fails, whatever the handler did.
- A step that is not enabled is passed over.
- A section that failed ends the workflow, unless it keeps going; it has failed all the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import StrEnum

from domain.workflow.shape import Section, Shape, Unit, sections_of
from schemas.jobs import Strategy


class NodeEnd(StrEnum):
    """What became of a node."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    NOT_RUN = "not_run"


class Engine:
    """The state of one workflow: :meth:`ready` gives units out, each once; :meth:`finish` takes their ends."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._waiting = deque(sections_of(shape.steps, shape.strategy))
        self._active: dict[_Phase, None] = {}
        self._changed: dict[_Phase, None] = {}
        """Of those, the ones that may have something to start, or be over: there may be hundreds in parallel."""
        self._running: dict[Unit, tuple[_Phase, _Lane | _Handling]] = {}
        self._halted = False
        self._failed_nodes: set[str] = set()
        self._touched: set[str] = set()
        self.failed = False
        """Whether anything failed that no handler has cleared."""
        self.failures: dict[Unit, None] = {}
        """The steps that have failed and that no handler has cleared, in the order in which they did."""

    @property
    def over(self) -> bool:
        """Nothing runs, and nothing will."""
        return not self._running and not self._active and not self._waiting

    @property
    def succeeded(self) -> bool:
        """Over, and well."""
        return self.over and not self.failed and not self._halted

    def node_end(self, node: str) -> NodeEnd:
        """What became of a node so far."""
        if node in self._failed_nodes:
            return NodeEnd.FAILED
        return NodeEnd.SUCCEEDED if node in self._touched else NodeEnd.NOT_RUN

    def halt(self) -> None:
        """Start nothing more: aborted, timed out, or a log limit was reached."""
        self._halted = True
        self._waiting.clear()
        for phase in self._active:
            phase.stop()
        self._changed |= self._active
        self._close_sections()

    def ready(self) -> list[Unit]:
        """What is to be started now, in order."""
        units: list[Unit] = []
        while True:
            self._open_sections()
            fresh = [unit for phase in self._changed for unit in self._start(phase)]
            units += fresh
            if not self._close_sections() and not fresh:
                self._changed.clear()
                return units

    def finish(self, unit: Unit, *, succeeded: bool) -> None:
        """Take the end of a unit. Raises ``KeyError`` for one that does not run."""
        phase, owner = self._running.pop(unit)
        self._changed[phase] = None
        if isinstance(owner, _Handling):
            phase.finish_handler(owner, unit, succeeded=succeeded)
        else:
            phase.finish(owner, unit, succeeded=succeeded)

    def _open_sections(self) -> None:
        at_once = self._shape.strategy is Strategy.PARALLEL
        while self._waiting and (at_once or not self._active):
            phase = _Phase(self._shape, self._waiting.popleft(), self._nodes_left(), self.failures)
            self._active[phase] = self._changed[phase] = None

    def _nodes_left(self) -> Sequence[str]:
        leave_out = self._shape.node_keepgoing and self._shape.strategy is Strategy.NODE_FIRST
        if not (leave_out and self._failed_nodes):
            return self._shape.nodes
        return [node for node in self._shape.nodes if node not in self._failed_nodes]

    def _start(self, phase: _Phase) -> list[Unit]:
        units = []
        for owner, unit in phase.ready():
            self._running[unit] = (phase, owner)
            if unit.node is not None:
                self._touched.add(unit.node)
            units.append(unit)
        return units

    def _close_sections(self) -> bool:
        closed = [phase for phase in self._changed if phase.over]
        for phase in closed:
            del self._active[phase]
            self._failed_nodes |= phase.failed_nodes()
            if phase.failed:
                self.failed = True
                if not self._shape.keepgoing:
                    self._waiting.clear()
            del self._changed[phase]
        return bool(closed)


class _Lane:
    """The steps of a section on one node (or once for all), one after the other."""

    def __init__(self, node: str | None, steps: tuple[int, ...]) -> None:
        self.node = node
        self.steps = deque(steps)
        self.failed = False
        """For good: no handler has cleared it."""


class _Handling:
    """The handler of a step at work: for one node that failed, once for all that did, or on every node."""

    def __init__(self, lanes: list[_Lane], units: list[Unit]) -> None:
        self.lanes = lanes
        """Those that go on, or do not, when it is over."""
        self.waiting = deque(units)
        self.busy = 0
        self.failed = False

    @property
    def over(self) -> bool:
        return not self.waiting and not self.busy


class _Phase:
    """One section at work."""

    def __init__(self, shape: Shape, section: Section, nodes: Sequence[str], failures: dict[Unit, None]) -> None:
        self._shape = shape
        self._failures = failures
        self._nodes = nodes
        self._handlers_last = shape.strategy is not Strategy.NODE_FIRST
        self._steps = section.steps
        self._lanes: Sequence[str | None] = nodes if section.for_nodes else [None]
        self._fresh = len(self._lanes)
        """How many of the last lanes have not begun; a lane is made only then."""
        self._idle: list[_Lane] = []
        """Begun, and with a step to start."""
        self._with_handler: list[tuple[_Lane, int]] = []
        """Failed at a step, and waiting until it is over on all nodes."""
        self._handlings: deque[_Handling] = deque()
        """With a handler to start."""
        self._busy = 0
        self._stopped = False
        self._threads = max(1, shape.threads)
        all_in_spite = self._handlers_last and self._threads > 1
        self._stops_at_failure = not shape.node_keepgoing and not all_in_spite
        self._failed_nodes: set[str] = set()
        self.failed = False

    @property
    def over(self) -> bool:
        return not (self._fresh or self._idle or self._with_handler or self._handlings or self._busy)

    def failed_nodes(self) -> set[str]:
        return self._failed_nodes

    def stop(self) -> None:
        """Start nothing more. What has begun and is not through has failed."""
        self._stopped = True
        self._fresh = 0
        unfinished = [*self._idle, *(lane for lane, _ in self._with_handler)]
        for handling in self._handlings:
            handling.waiting.clear()
            unfinished += handling.lanes
        for lane in unfinished:
            self._end(lane, failed=True)
        self._idle.clear()
        self._with_handler.clear()
        self._handlings.clear()

    def ready(self) -> list[tuple[_Lane | _Handling, Unit]]:
        found: list[tuple[_Lane | _Handling, Unit]]
        found = [(lane, Unit(lane.steps.popleft(), lane.node)) for lane in self._take_idle()]
        if self._with_handler and not (found or self._busy or self._fresh):
            self._handle_all()
        while self._handlings and self._busy + len(found) < self._threads:
            found.append(self._next_handler())
        while self._fresh and self._busy + len(found) < self._threads:
            lane = _Lane(self._lanes[-self._fresh], self._steps)
            self._fresh -= 1
            found.append((lane, Unit(lane.steps.popleft(), lane.node)))
        self._busy += len(found)
        return found

    def finish(self, lane: _Lane, unit: Unit, *, succeeded: bool) -> None:
        """A step has ended."""
        self._busy -= 1
        shape = self._shape.steps[unit.step]
        if not succeeded:
            self._failures[unit] = None
        if self._stopped:
            self._end(lane, failed=not succeeded or bool(lane.steps))
        elif succeeded:
            self._go_on(lane)
        elif not shape.handler:
            self._fail(lane)
        elif self._handlers_last:
            self._with_handler.append((lane, unit.step))
            self._stop_others()
        else:
            self._handle(lane, unit.step)

    def finish_handler(self, handling: _Handling, unit: Unit, *, succeeded: bool) -> None:
        """A handler has ended: where it was the last of its step, those that wait for it go on, or do not."""
        self._busy -= 1
        handling.busy -= 1
        handling.failed |= not succeeded
        if handling.failed and self._stops_at_failure and handling.waiting:
            handling.waiting.clear()
            self._handlings.remove(handling)
        if not handling.over:
            return
        clears = self._shape.keepgoing or self._shape.steps[unit.step].handler_keepgoing
        for lane in handling.lanes:
            if handling.failed or not clears:
                self._fail(lane)
                continue
            self._failures.pop(Unit(unit.step, lane.node), None)
            self._go_on(lane)

    def _handle_all(self) -> None:
        """The step is over on all nodes: its handler runs on those where it failed, or once for all of them."""
        failed, self._with_handler = self._with_handler, []
        step = failed[0][1]
        if failed[0][0].node is None or self._shape.steps[step].handler_for_nodes:
            for lane, _ in failed:
                self._handle(lane, step)
        else:
            self._handlings.append(_Handling([lane for lane, _ in failed], [Unit(step, None, handler=True)]))

    def _handle(self, lane: _Lane, step: int) -> None:
        """Have the handler of one lane's step started; without a node to run on it has failed."""
        everywhere = lane.node is None and self._shape.steps[step].handler_for_nodes
        nodes = self._nodes if everywhere else [lane.node]
        if nodes:
            self._handlings.append(_Handling([lane], [Unit(step, node, handler=True) for node in nodes]))
        else:
            self._fail(lane)

    def _next_handler(self) -> tuple[_Handling, Unit]:
        handling = self._handlings[0]
        handling.busy += 1
        unit = handling.waiting.popleft()
        if not handling.waiting:
            self._handlings.popleft()
        return handling, unit

    def _fail(self, lane: _Lane) -> None:
        """Its step has failed for good."""
        lane.failed = True
        if not self._shape.keepgoing:
            lane.steps.clear()
        self._go_on(lane)

    def _go_on(self, lane: _Lane) -> None:
        if lane.steps and self._stopped:
            self._end(lane, failed=True)
        elif lane.steps:
            self._idle.append(lane)
        else:
            self._end(lane, failed=lane.failed)

    def _end(self, lane: _Lane, *, failed: bool) -> None:
        if not failed:
            return
        self.failed = True
        if lane.node is not None:
            self._failed_nodes.add(lane.node)
        self._stop_others()

    def _stop_others(self) -> None:
        if self._stops_at_failure:
            self._fresh = 0

    def _take_idle(self) -> list[_Lane]:
        idle, self._idle = self._idle, []
        return idle
