"""From a job and what a run says of it to what is to be carried out, where and on which nodes; no bus, no clock.

``run`` is the question, ``plan`` answers it, ``calls`` resolves the jobs that a job calls, ``limits`` reads what may
be a reference and has to be a number.
"""

from domain.planning.plan import Plan, plan_job, plan_steps
from domain.planning.run import Lookups, Run

__all__ = ["Lookups", "Plan", "Run", "plan_job", "plan_steps"]
