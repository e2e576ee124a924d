"""A dry run: what a job would run, where and in which order, told from files. Pure.

``lookups`` finds jobs and nodes in what was read from files, ``planned`` puts a run together as a dispatcher would,
``unknown`` stands in for what is known only once the job runs, ``units`` says what a step comes to on a node by the
runner's own rules, ``blocks`` groups nodes by that, ``order`` asks the engine who takes turns with whom.
"""

from domain.dryrun.blocks import Block, Group, blocks_of
from domain.dryrun.lookups import FileLookups
from domain.dryrun.order import Turns, turns_of
from domain.dryrun.planned import Planned, plan_offline
from domain.dryrun.units import StepOnNode
from domain.dryrun.walk import PlannedUnit, units_of

__all__ = [
    "Block",
    "FileLookups",
    "Group",
    "Planned",
    "PlannedUnit",
    "StepOnNode",
    "Turns",
    "blocks_of",
    "plan_offline",
    "turns_of",
    "units_of",
]
