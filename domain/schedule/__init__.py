"""When jobs run by themselves: Quartz crons, their fires in a time zone, and what becomes of each. Pure.

The words: a *fire* is the instant at which a schedule says that its job should start.
"""

from domain.schedule.cron import Cron, parse_cron
from domain.schedule.fires import next_fire
from domain.schedule.plan import Plan, check_schedule, fire_id, next_fires, plan_of
from domain.schedule.zones import zone_of

__all__ = ["Cron", "Plan", "check_schedule", "fire_id", "next_fire", "next_fires", "parse_cron", "plan_of", "zone_of"]
