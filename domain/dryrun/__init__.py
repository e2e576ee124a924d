"""A dry run: what a job would run, where and in which order, told from files. Pure.

``lookups`` finds jobs and nodes in what was read from files; ``steps`` says what each step comes to on each node, by
the very rules the runner follows, and in the order in which the engine gives them out.
"""

from domain.dryrun.lookups import FileLookups
from domain.dryrun.steps import StepOnNode, steps_of

__all__ = ["FileLookups", "StepOnNode", "steps_of"]
