"""How important a line of log is, and which lines an execution keeps."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Level(StrEnum):
    """The original's levels ("Retry, limits, …": output entry), the most important first."""

    ERROR = "ERROR"
    WARN = "WARN"
    NORMAL = "NORMAL"
    VERBOSE = "VERBOSE"
    DEBUG = "DEBUG"
    OTHER = "OTHER"


STDERR: Final = "stderr"
_ORDER: Final = tuple(Level)
_ALIASES: Final = {"SEVERE": Level.ERROR, "ERR": Level.ERROR, "INFO": Level.NORMAL, "CONFIG": Level.DEBUG}


def level_of(stream: str) -> Level:
    """What the lines of a stream are, unless something else is said of them: those of stderr are errors."""
    return Level.ERROR if stream == STDERR else Level.NORMAL


def kept_levels(log_level: str) -> frozenset[Level]:
    """The levels that an execution logs, by its job's ``loglevel``: that one and all above it.

    ``INFO`` keeps NORMAL and above, so that quieted lines are not logged. What is no level means ``INFO``, too.
    """
    least = _ALIASES.get(log_level) or next((each for each in _ORDER if each == log_level), Level.NORMAL)
    return frozenset(_ORDER[: _ORDER.index(least) + 1])
