"""Log filters at work: what one does, and a row of them over the lines of one step on one node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from domain.context.masking import Masker
from domain.logs.levels import Level
from domain.logs.lines import LogLine
from domain.nodes.javaregex.source import TooCostlyError


class Captured(NamedTuple):
    """A value for later steps, ``${group.key}``."""

    group: str
    key: str
    value: str


class Said(NamedTuple):
    """What a filter puts into the log itself; no filter sees it."""

    line: LogLine
    is_output: bool = False
    """It stands for output of the step; otherwise it is a remark."""


class Effects:
    """What filters did besides changing the line: taken by whoever runs them."""

    def __init__(self) -> None:
        self.captured: list[Captured] = []
        self.said: list[Said] = []

    def warn(self, text: str) -> None:
        """A remark on the filter's work."""
        self.said.append(Said(LogLine(text, Level.WARN)))

    def take(self) -> tuple[list[Captured], list[Said]]:
        """All since the last time."""
        taken = self.captured, self.said
        self.captured, self.said = [], []
        return taken


class LineFilter(Protocol):
    """One log filter at work on one step on one node."""

    def take(self, line: LogLine, effects: Effects) -> None:
        """See one line, and change it where that is the filter's business. Raises ``TooCostlyError``."""

    def finish(self, effects: Effects) -> None:
        """The step has ended."""


class BuiltFilter(NamedTuple):
    """A log filter whose settings were found good; opened anew for every step and node."""

    type: str
    open: Callable[[Masker], LineFilter]
    rewrites: bool = False
    """It changes the text, and might so break a secret in two: it is given the line without its secrets."""


class FilterChain:
    """The filters of a step in their order, over the lines of one node.

    Captured values are as the step wrote them, secrets too, unless ``mask-passwords`` stands before.
    """

    def __init__(self, filters: Sequence[BuiltFilter], masker: Masker) -> None:
        self.effects = Effects()
        self._line_masker = masker.by_line()
        self._links = [(each, each.open(masker)) for each in filters]

    def take(self, line: LogLine) -> None:
        """Run a line through all filters, which may change it."""
        for link in self._links:
            built, at_work = link
            if built.rewrites and not self._line_masker.is_idle:
                line.text = self._line_masker.mask(line.text)
            try:
                at_work.take(line, self.effects)
            except TooCostlyError as error:
                self._give_up(link, error)

    def finish(self) -> None:
        """Tell all filters that the step has ended."""
        for link in list(self._links):
            try:
                link[1].finish(self.effects)
            except TooCostlyError as error:
                self._give_up(link, error)

    def _give_up(self, link: tuple[BuiltFilter, LineFilter], error: TooCostlyError) -> None:
        """Go on without a filter that would hold everything up."""
        self._links = [each for each in self._links if each is not link]
        self.effects.warn(f"The log filter {link[0].type} is switched off for the rest of this step: {error}.")
