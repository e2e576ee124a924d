"""What runs next in a workflow, told from what has ended so far. Pure: it starts nothing and waits for nothing.

The rules are the original's ("Dispatch to nodes", "Retry, limits, handlers"):

- **Node-first**: within a section each node carries out all steps. A node whose step fails leaves the section, unless
  the workflow keeps going. Without node keepgoing no new node starts after one has failed; with it, nodes that
  failed are left out of later sections.
- **Sequential**: each step over all nodes, a barrier behind each. One node at a time and no node keepgoing: the first
  that fails stops the rest of the step. Several at a time: all of them carry the step out.
- **Parallel**: all steps at once, each over its nodes as in sequential.
- A **handler** runs where its step failed: in node-first on the node at once, else on all failed nodes once the step
  is over on all. It clears the failure if it succeeds and the workflow keeps going or it has ``keepgoingOnSuccess``;
  else what follows is skipped and the workflow fails, whatever the handler did.
- A section that failed ends the workflow, unless it keeps going; it has failed all the same.
"""

from __future__ import annotations

from collections import deque
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
        self._active: list[_Phase] = []
        self._running: dict[Unit, tuple[_Phase, _Lane]] = {}
        self._halted = False
        self._failed_nodes: set[str] = set()
        self._touched: set[str] = set()
        self.failed = False
        """Whether anything failed that no handler has cleared."""

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
        self._active = [phase for phase in self._active if phase.stop()]

    def ready(self) -> list[Unit]:
        """What is to be started now, in order."""
        units: list[Unit] = []
        while True:
            self._open_sections()
            fresh = [unit for phase in self._active for unit in self._start(phase)]
            units += fresh
            if not self._close_sections() and not fresh:
                return units

    def finish(self, unit: Unit, *, succeeded: bool) -> None:
        """Take the end of a unit. Raises ``KeyError`` for one that does not run."""
        phase, lane = self._running.pop(unit)
        phase.finish(lane, unit, succeeded=succeeded)

    def _open_sections(self) -> None:
        at_once = self._shape.strategy is Strategy.PARALLEL
        while self._waiting and (at_once or not self._active):
            self._active.append(_Phase(self._shape, self._waiting.popleft(), self._nodes_left()))

    def _nodes_left(self) -> list[str]:
        leave_out = self._shape.node_keepgoing and self._shape.strategy is Strategy.NODE_FIRST
        return [node for node in self._shape.nodes if not (leave_out and node in self._failed_nodes)]

    def _start(self, phase: _Phase) -> list[Unit]:
        units = []
        for lane, unit in phase.ready():
            self._running[unit] = (phase, lane)
            if unit.node is not None:
                self._touched.add(unit.node)
            units.append(unit)
        return units

    def _close_sections(self) -> bool:
        closed = [phase for phase in self._active if phase.over]
        for phase in closed:
            self._active.remove(phase)
            self._failed_nodes |= phase.failed_nodes()
            if phase.failed:
                self.failed = True
                if not self._shape.keepgoing:
                    self._waiting.clear()
        return bool(closed)


class _Lane:
    """The steps of a section on one node (or once for all), one after the other."""

    def __init__(self, node: str | None, steps: tuple[int, ...]) -> None:
        self.node = node
        self.steps = deque(steps)
        self.failed = False
        self.handler_due: Unit | None = None
        """The handler of a step that has failed, not started yet."""

    @property
    def over(self) -> bool:
        return not self.steps and self.handler_due is None


class _Phase:
    """One section at work."""

    def __init__(self, shape: Shape, section: Section, nodes: list[str]) -> None:
        self._shape = shape
        self._handlers_last = shape.strategy is not Strategy.NODE_FIRST
        lanes = nodes if section.for_nodes else [None]
        self._fresh = deque(_Lane(node, section.steps) for node in lanes)
        self._idle: list[_Lane] = []
        """Begun, and with something to start."""
        self._with_handler: list[_Lane] = []
        """Failed, and waiting until the step is over on all nodes."""
        self._ended: list[_Lane] = []
        self._busy = 0
        self._stopped = False
        self._threads = max(1, shape.threads)
        all_in_spite = self._handlers_last and self._threads > 1
        self._stops_at_failure = not shape.node_keepgoing and not all_in_spite

    @property
    def over(self) -> bool:
        return not (self._fresh or self._idle or self._with_handler or self._busy)

    @property
    def failed(self) -> bool:
        return any(lane.failed for lane in self._ended)

    def failed_nodes(self) -> set[str]:
        return {lane.node for lane in self._ended if lane.failed and lane.node is not None}

    def stop(self) -> bool:
        """Start nothing more; whether something of it still runs."""
        self._stopped = True
        self._fresh.clear()
        self._idle.clear()
        self._with_handler.clear()
        return self._busy > 0

    def ready(self) -> list[tuple[_Lane, Unit]]:
        found = [(lane, self._next_unit(lane)) for lane in self._take_idle()]
        while self._fresh and self._busy + len(found) < self._threads:
            lane = self._fresh.popleft()
            found.append((lane, self._next_unit(lane)))
        if not (found or self._busy or self._fresh) and self._with_handler:
            room = self._with_handler[: self._threads]
            del self._with_handler[: self._threads]
            found = [(lane, self._next_unit(lane)) for lane in room]
        self._busy += len(found)
        return found

    def finish(self, lane: _Lane, unit: Unit, *, succeeded: bool) -> None:
        self._busy -= 1
        if self._stopped:
            lane.failed |= not succeeded
            self._ended.append(lane)
            return
        shape = self._shape.steps[unit.step]
        clears = unit.handler and (self._shape.keepgoing or shape.handler_keepgoing)
        if succeeded and not unit.handler:
            self._go_on(lane)
        elif not unit.handler and shape.handler:
            lane.handler_due = Unit(unit.step, unit.node, handler=True)
            self._await_handler(lane)
        elif succeeded and clears:
            self._go_on(lane)
        else:
            lane.failed = True
            if not self._shape.keepgoing:
                lane.steps.clear()
            self._go_on(lane)

    def _await_handler(self, lane: _Lane) -> None:
        if self._handlers_last:
            self._with_handler.append(lane)
            self._stop_others()
        else:
            self._idle.append(lane)

    def _go_on(self, lane: _Lane) -> None:
        if lane.over:
            self._ended.append(lane)
            if lane.failed:
                self._stop_others()
        else:
            self._idle.append(lane)

    def _stop_others(self) -> None:
        if self._stops_at_failure:
            self._fresh.clear()

    def _take_idle(self) -> list[_Lane]:
        idle, self._idle = self._idle, []
        return idle

    def _next_unit(self, lane: _Lane) -> Unit:
        if lane.handler_due is not None:
            unit, lane.handler_due = lane.handler_due, None
            return unit
        return Unit(lane.steps.popleft(), lane.node)
