"""What steps are carried out on in unit tests: everything real but the log's way to the bus."""

from __future__ import annotations

import os
from pathlib import Path

from domain.context.masking import Masker
from schemas.events import Assignment
from schemas.jobs import Step
from services.runner.bench import Bench
from services.runner.inventory import PluginInventory
from services.runner.logship import LogLabel, LogShip
from services.runner.process import GroupFile
from services.runner.scope import own_node
from services.runner.secrets import Secrets
from services.runner.steplog import StepLog
from services.runner.stopper import Stopper
from services.runner.units import Task


def a_bench(
    directory: Path, assignment: Assignment, *, ship: LogShip, secrets: Secrets | None = None, grace_s: float = 0.1
) -> Bench:
    """A bench of runner ``a1``; the caller closes its ``groups``."""
    plugins = PluginInventory("a1")
    plugins.load()
    known = secrets or Secrets()
    return Bench(
        runner="a1", assignment=assignment, own_node=own_node("a1", []), work_dir=directory,
        env={"PATH": os.environ["PATH"]}, groups=GroupFile.open(directory / "groups"), ship=ship, plugins=plugins,
        stopper=Stopper(), secrets=known, masker=Masker(known.values()), limiter=None, grace_s=grace_s,
    )  # fmt: skip


def a_task(bench: Bench, step: Step) -> Task:
    """The first step, on the runner itself."""
    return Task(step=step, number=1, place="1", node=bench.own_node, for_node=False)


def step_log(bench: Bench) -> StepLog:
    """The log of the first step."""
    return StepLog(bench.ship, LogLabel(stream="stdout", step=1), masker=bench.masker)
