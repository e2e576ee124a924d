"""The settings of one log filter, read from its ``config``; an error in them names the filter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from domain.logs.pattern import LinePattern
from domain.nodes.javaregex.source import PatternError
from schemas.errors import ErrorCode, RunbusError

ESCAPE: Final = "\x1b"
RESET: Final = f"{ESCAPE}[0m"
COLOURS: Final = {
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "white": "37",
}


class Settings:
    """Settings by the original's names. What is absent is the default; text that is blank stays blank."""

    def __init__(self, filter_type: str, config: Mapping[str, Any]) -> None:
        self.filter_type = filter_type
        self._config = config

    def text(self, name: str, default: str = "") -> str:
        """A setting as text."""
        value = self._config.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | int | float):
            return str(value)
        raise self.error(f"its {name} has to be text, and is {value!r}")

    def flag(self, name: str, default: bool = False) -> bool:
        """A setting that is on or off; ``true`` in any case is on, everything else is off."""
        return self.text(name, "true" if default else "false").strip().lower() == "true"

    def choice(self, name: str, choices: Mapping[str, str]) -> str:
        """What a setting of few values stands for; blank where it is blank or absent."""
        value = self.text(name)
        if value and value not in choices:
            raise self.error(f"its {name} is {value!r}; it may be {', '.join(choices)}")
        return choices[value] if value else ""

    def pattern(self, name: str, default: str = "", *, dot_all: bool = False) -> LinePattern:
        """A setting that is a regex."""
        text = self.text(name, default)
        try:
            return LinePattern(text, dot_all=dot_all)
        except PatternError as error:
            raise self.error(f"its {name} {text!r} is not a valid regex: {error}") from error

    def error(self, problem: str) -> RunbusError:
        """``invalid_job``, to be raised."""
        return RunbusError(
            ErrorCode.INVALID_JOB,
            f"the log filter {self.filter_type} cannot be used: {problem}.",
            details={"log_filter": self.filter_type},
        )
