"""How much a job file may hold, in any format."""

from __future__ import annotations

from typing import Final, Protocol

import yaml

from schemas.jobs import MAX_JOB_FILE_BYTES

MAX_TEXT_BYTES: Final = MAX_JOB_FILE_BYTES
MAX_NODES: Final = 100_000
"""Values of one file, counting what an alias repeats as often as it is repeated."""
MAX_DEPTH: Final = 100


class Mark(Protocol):
    """What the parsers in C and in Python have in common."""

    @property
    def line(self) -> int:
        """From 0."""

    @property
    def column(self) -> int:
        """From 0."""


class TooMuchError(Exception):
    """A bound is passed; ``path`` is empty where no field is known yet."""

    def __init__(self, mark: Mark | None, text: str, path: str = "") -> None:
        super().__init__(text)
        self.mark = mark
        self.path = path


def too_deep() -> str:
    """The text of that problem."""
    return f"more than {MAX_DEPTH} levels of lists and maps inside one another; flatten the file"


def too_many() -> str:
    """The text of that problem."""
    return f"more than {MAX_NODES:,} values; split the file"


def mark_at(line: int, column: int) -> yaml.error.Mark:
    """A place of the file; both count from 0."""
    return yaml.error.Mark("", 0, line, column, None, 0)
