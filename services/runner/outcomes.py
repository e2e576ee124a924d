"""What became of the units of an assignment: kept for its end, in bounded memory."""

from __future__ import annotations

from typing import Final

from schemas.events import StepOutcome
from schemas.states import ExecutionState

MAX_OUTCOMES: Final = 4000
"""What an end tells of single steps; of more, those that did not succeed before the others."""
STOPPED: Final = frozenset({ExecutionState.ABORTED, ExecutionState.TIMEDOUT})


class Outcomes:
    """The outcomes of one workflow's units and of the jobs that it calls."""

    def __init__(self) -> None:
        self._kept: list[StepOutcome] = []
        self.last: StepOutcome | None = None
        """Of the workflow's own."""
        self.stopped: StepOutcome | None = None
        """The first of the workflow's own that was aborted or timed out."""

    @property
    def kept(self) -> list[StepOutcome]:
        """At most 4,000, in the order in which they ended."""
        surplus = len(self._kept) - MAX_OUTCOMES
        if surplus <= 0:
            return self._kept
        good = [index for index, each in enumerate(self._kept) if each.state is ExecutionState.SUCCEEDED]
        dropped = set(good[-surplus:])
        return [each for index, each in enumerate(self._kept) if index not in dropped][:MAX_OUTCOMES]

    def add(self, outcome: StepOutcome) -> None:
        """One more of the workflow's own has ended."""
        self.last = outcome
        if self.stopped is None and outcome.state in STOPPED:
            self.stopped = outcome
        self._keep(outcome)

    def join(self, outcomes: list[StepOutcome]) -> None:
        """Those of a called job: told, but the step that called it has an outcome of its own."""
        for outcome in outcomes:
            self._keep(outcome)

    def _keep(self, outcome: StepOutcome) -> None:
        good = outcome.state is ExecutionState.SUCCEEDED
        if len(self._kept) < (MAX_OUTCOMES if good else 2 * MAX_OUTCOMES):
            self._kept.append(outcome)
