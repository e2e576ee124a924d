"""What a step's output goes through before it is logged: lines, levels, log filters and the limit of a log.

``lines`` cuts, ``levels`` says what is kept, ``build`` makes the filters of a job (``capture``, ``display``,
``masks``, ``jsonmapper``; ``settings`` and ``pattern`` are for these), ``chain`` runs them, and ``limit`` counts.
"""

from domain.context.secret_forms import secrets_of_environment
from domain.logs.build import build_filters
from domain.logs.chain import BuiltFilter
from domain.logs.limit import LimitRule, LogLimiter, parse_limit

__all__ = ["BuiltFilter", "LimitRule", "LogLimiter", "build_filters", "parse_limit", "secrets_of_environment"]
