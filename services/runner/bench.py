"""What the units of one assignment work with."""

from __future__ import annotations

from pathlib import Path

import msgspec

from domain.context.masking import Masker
from domain.logs import LogLimiter
from schemas.events import Assignment
from schemas.jobs import Flow, Step
from schemas.nodes import Node
from services.runner.inventory import PluginInventory
from services.runner.logship import LogShip
from services.runner.process import GroupFile
from services.runner.secrets import Secrets
from services.runner.stopper import Stopper


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """The same for every workflow of the assignment; a called job has its own secrets and limit."""

    runner: str
    assignment: Assignment
    own_node: Node
    work_dir: Path
    env: dict[str, str]
    """The runner's own environment, as far as jobs get it."""
    groups: GroupFile
    ship: LogShip
    plugins: PluginInventory
    stopper: Stopper
    secrets: Secrets
    masker: Masker
    """Knows the secrets of the assignment, the runner's own, and what is learned while it runs."""
    limiter: LogLimiter | None
    grace_s: float
    limit_s: float | None = None
    """The called job's own limit on its running time; None: the assignment's holds."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow at hand: the assignment's own, or that of a job it calls."""

    steps: list[Step]
    flow: Flow
    nodes: list[Node]
    threads: int = 1
    keepgoing: bool = False
    """Of the dispatch: go on with other nodes after one that failed."""
    for_nodes: bool = False
    """The nodes were chosen by a filter; else there is only the runner's own."""
    prefix: str = ""
    """Where it stands: ``2/`` for the job that step 2 calls; empty for the assignment's own."""
    first_step: int = 1

    def number(self, index: int) -> int:
        """The number of a step, from 1 in its own job."""
        return self.first_step + index

    def place(self, index: int, *, handler: bool = False) -> str:
        """A step's place: ``3``, ``2/1``, that of its handler ``3e``."""
        return f"{self.prefix}{self.number(index)}{'e' if handler else ''}"
