"""Problems and warnings of a job file, each with its line, column and path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import yaml

from domain.jobfile.bounds import Mark
from schemas.errors import ErrorCode, RunbusError

MAX_PROBLEMS: Final = 500
"""More problems, or warnings, than these are counted and not described: all have to fit into one reply."""
MAX_PROBLEMS_IN_MESSAGE: Final = 20

_PLAIN_KEY: Final = re.compile(r"[\w-]{1,64}\Z")


class Position(NamedTuple):
    """Where something stands: both count from 1."""

    line: int
    column: int


class Problem(NamedTuple):
    """One thing that is wrong; ``path`` is empty where the whole file is meant."""

    line: int
    column: int
    path: str
    text: str


class Refused(Exception):  # noqa: N818 - control flow between a reader and its table, never seen outside
    """A value cannot be read. Without a text, the reader has noted the problems itself."""

    def __init__(self, text: str = "", *, position: Position | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.position = position


class Notes:
    """Collects what is wrong with one file, and what is worth a warning."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []
        self._count = 0
        self._more_warnings = 0

    @property
    def count(self) -> int:
        """How many problems there are, also those that were not kept."""
        return self._count

    @property
    def full(self) -> bool:
        """Whether further problems are only counted."""
        return self._count >= MAX_PROBLEMS

    @property
    def warned_enough(self) -> bool:
        """Whether further warnings are only counted."""
        return len(self._warnings) >= MAX_PROBLEMS

    @property
    def warnings(self) -> list[str]:
        """The warnings, in the order of the file; the last line counts those that were not kept."""
        lines = [self._line(each) for each in sorted(self._warnings)]
        return [*lines, f"... and {self._more_warnings} more warnings"] if self._more_warnings else lines

    def problem(self, position: Position, path: str, text: str) -> None:
        """Note a problem."""
        if not self.full:
            self._problems.append(Problem(position.line, position.column, path, text))
        self._count += 1

    def warn(self, position: Position, path: str, text: str) -> None:
        """Note a warning."""
        if self.warned_enough:
            self._more_warnings += 1
        else:
            self._warnings.append(Problem(position.line, position.column, path, text))

    def error(self) -> RunbusError:
        """Everything noted so far as one ``invalid_job``."""
        problems = sorted(self._problems)
        lines = [self._line(each) for each in problems[:MAX_PROBLEMS_IN_MESSAGE]]
        if self._count > len(lines):
            lines.append(f"... and {self._count - len(lines)} more problems")
        return RunbusError(
            ErrorCode.INVALID_JOB,
            "\n".join(lines),
            details={"problems": [each._asdict() for each in problems]},
        )

    def _line(self, note: Problem) -> str:
        where = f"{self._file}:" if self._file else ""
        path = f"{note.path}: " if note.path else ""
        return f"{where}{note.line}:{note.column}: {path}{note.text}"


@dataclass(frozen=True, slots=True)
class Place:
    """A YAML node, and where it stands: what every reader is given.

    What an alias repeats stands where the alias' field does, not where the anchor is: hence the ``max`` below.
    """

    node: yaml.Node
    path: str
    notes: Notes
    position: Position
    key_position: Position
    """Where the field's name stands; the node's own position where there is none."""

    @classmethod
    def of(cls, node: yaml.Node, path: str, notes: Notes) -> Place:
        """The place of a node that is nobody's field."""
        return cls(node, path, notes, position_of(node), position_of(node))

    def at(self, path: str) -> Place:
        """The same place by another path."""
        return replace(self, path=path)

    def items(self) -> Iterator[Place]:
        """The items of a list."""
        if isinstance(self.node, yaml.SequenceNode):
            for index, item in enumerate(self.node.value):
                own = max(position_of(item), self.position)
                yield Place(item, f"{self.path}[{index}]", self.notes, own, own)

    def fields(self) -> Iterator[tuple[str, Place]]:
        """Name and place of each field of a map; the first where a name is repeated."""
        if isinstance(self.node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in self.node.value:
                if isinstance(key, yaml.ScalarNode) and not is_merge(key) and key.value not in seen:
                    seen.add(key.value)
                    near = max(position_of(key), self.position)
                    own = max(position_of(value), near)
                    yield key.value, Place(value, joined(self.path, key.value), self.notes, own, near)

    def problem(self, text: str) -> None:
        """Note a problem of the value."""
        self.notes.problem(self.position, self.path, text)

    def problem_of_field(self, text: str) -> None:
        """Note a problem of the field as such, at its name."""
        self.notes.problem(self.key_position, self.path, text)

    def warn(self, text: str) -> None:
        """Note a warning, at the field's name."""
        self.notes.warn(self.key_position, self.path, text)


def position_of(node: yaml.Node) -> Position:
    """Where a node begins."""
    return position_at(node.start_mark)


def position_at(mark: Mark | None) -> Position:
    """The parser's mark, counted from 1; the beginning where it gives none."""
    return Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)


def is_merge(key: yaml.Node) -> bool:
    """Whether a key is YAML's ``<<``."""
    return key.tag == "tag:yaml.org,2002:merge"


def joined(path: str, key: str) -> str:
    """The path of a field: ``sequence.commands[0]`` and ``exec`` → ``sequence.commands[0].exec``."""
    shown = key if _PLAIN_KEY.match(key) else repr(key[:64])
    return f"{path}.{shown}" if path else shown
