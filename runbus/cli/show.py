"""How an execution is shown: its output where a local command's would go, remarks beside it, or JSON."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from collections.abc import Collection
from typing import Final, Protocol, TextIO

import click
import msgspec

from runbus.cli.failure import clean, paint, reference
from runbus.cli.loglines import LineHeads, of_nodes
from runbus.cli.render import duration, name_list, print_json_line, sentence, state_text
from runbus.client import LogPiece
from schemas.api import ExecutionView
from schemas.errors import ErrorCode
from schemas.events import LogEntry
from schemas.states import FINAL, ExecutionState
from schemas.tokens import TagSet

_BEFORE_ANY_STEP: Final = frozenset(
    {ErrorCode.INVALID_OPTION, ErrorCode.KEY_UNAVAILABLE, ErrorCode.NO_MATCHED_NODES, ErrorCode.PARCEL_LOST}
)
"""Why a runner refuses what it has claimed; after other errors steps may have run."""


class LogLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.cli.log.v1"):
    """A piece of log as ``--json`` prints it; ``--offset`` with its ``offset`` goes on behind it."""

    offset: int
    assignment: str
    runner: str
    entries: list[LogEntry]


class View(Protocol):
    """How an execution is shown."""

    def state(self, view: ExecutionView) -> None:
        """Its state has changed."""

    async def piece(self, piece: LogPiece) -> None:
        """It has printed something."""

    def remark(self, text: str) -> None:
        """Something about it that it did not print itself."""


class Output:
    """Our stdout and stderr as bytes. A remark never stands behind half a line."""

    def __init__(self) -> None:
        self.is_one_file = _same_file(sys.stdout, sys.stderr)
        """Whether stdout and stderr end in the same place."""
        self._open_lines = {"stdout": False, "stderr": False}

    async def write(self, stream: str, data: bytes) -> None:
        """Write, in a thread: a reader that pauses must not keep us from hearing Ctrl-C."""
        file = sys.stdout if stream == "stdout" else sys.stderr
        if file is not None and data:
            await asyncio.to_thread(_write_all, file, data)
            self._open_lines["stderr" if self.is_one_file else stream] = not data.endswith(b"\n")

    def is_terminal(self, stream: str) -> bool:
        """Whether someone looks at what is written there."""
        file = sys.stdout if stream == "stdout" else sys.stderr
        return file is not None and file.isatty()

    def remark(self, text: str) -> None:
        """A line on stderr."""
        start = "\n" if self._open_lines["stderr"] else ""
        self._open_lines["stderr"] = False
        click.echo(start + text, err=True)


class TextView:
    """For people: the runner at the top, then the output, then the end.

    Lines bear the name of their node where there is more than one, unless ``tags`` says otherwise.
    """

    def __init__(
        self,
        output: Output,
        view: ExecutionView,
        *,
        timestamps: bool = False,
        framed: bool = True,
        tags: bool | None = None,
    ) -> None:
        self._output = output
        self._view = view
        self._framed = framed
        self._heads = LineHeads(stamps=timestamps, tags=tags, one_file=output.is_one_file)
        self._heads.expect_nodes(view.node_count or 0)
        self._told: tuple[str, int] = ("", 0)

    def state(self, view: ExecutionView) -> None:
        """The top line once a runner has it, the last line once it has ended."""
        self._view = view
        self._heads.expect_nodes(view.node_count or 0)
        if view.runner:
            self._top(view.runner, view.attempt)
        if view.state in FINAL and self._framed:
            self._end(view)

    async def piece(self, piece: LogPiece) -> None:
        """Output goes where it would have gone; remarks of the runner go to stderr."""
        if not self._told[0]:
            self._top(piece.runner, 1)
        for entry in piece.entries:
            file = "stdout" if entry.stream == "stdout" else "stderr"
            coloured = self._output.is_terminal(file)
            data = self._heads.put_before_lines(entry, entry_bytes(entry), coloured=coloured)
            await self._output.write(file, data)

    def remark(self, text: str) -> None:
        """To stderr."""
        self._output.remark(text)
        self._heads.interrupted()

    def _top(self, runner: str, attempt: int) -> None:
        if self._framed and self._told != (runner, attempt):
            is_first = not self._told[0]
            self._told = (runner, attempt)
            again = f", attempt {attempt}" if attempt > 1 else ""
            self.remark(f"{paint('▶', 'cyan')} {self._view.id} on runner {paint(runner, bold=True)} "
                        f"({set_text(self._view)}){again}")  # fmt: skip

            for warning in self._view.warnings if is_first else ():
                self.remark(f"{paint('Warning:', 'yellow')} {clean(warning)}")

    def _end(self, view: ExecutionView) -> None:
        self.remark(f"■ {state_text(end_text(view))}")
        if view.error and not (view.error.code is ErrorCode.STEP_FAILED and len(view.steps) == 1):
            self.remark(f"  {clean(view.error.message)} {paint(reference(view.error), dim=True)}")
        if failed := view.nodes.get("failed"):
            self.remark(f"  failed on {len(failed)} of {view.node_count} nodes: {clean(name_list(failed))}")


class JsonView:
    """For programs: one JSON object a line; the last one is the final state, unless only the log is wanted."""

    def __init__(self, *, states: bool = True) -> None:
        self._states = states

    def state(self, view: ExecutionView) -> None:
        """A ``runbus.execution.v1``."""
        if self._states:
            print_json_line(view)

    async def piece(self, piece: LogPiece) -> None:
        """A ``runbus.cli.log.v1``."""
        print_json_line(log_line(piece))

    def remark(self, text: str) -> None:
        """Nothing: it is for people."""


class OnlyNodes:
    """Another view, of some nodes only."""

    def __init__(self, shown: View, nodes: Collection[str]) -> None:
        self._shown = shown
        self._missing = dict.fromkeys(nodes)
        self._nodes = frozenset(nodes)

    @property
    def missing(self) -> list[str]:
        """The nodes of which nothing has come."""
        return list(self._missing)

    def state(self, view: ExecutionView) -> None:
        """As the other shows it."""
        self._shown.state(view)

    async def piece(self, piece: LogPiece) -> None:
        """What of it is of these nodes."""
        found = of_nodes(piece, self._nodes)
        if found.entries:
            for entry in found.entries:
                self._missing.pop(entry.node, None)
            await self._shown.piece(found)

    def remark(self, text: str) -> None:
        """As the other shows it."""
        self._shown.remark(text)


def entry_bytes(entry: LogEntry) -> bytes:
    """What the process wrote, to the byte."""
    return base64.b64decode(entry.base64) if entry.base64 else entry.text.encode()


def log_line(piece: LogPiece) -> LogLine:
    """As ``--json`` prints it."""
    return LogLine(offset=piece.seq, assignment=piece.assignment, runner=piece.runner, entries=piece.entries)


def set_text(view: ExecutionView) -> str:
    """The tags as people write them: ``dev+linux``."""
    return str(TagSet.from_token(view.set)) if view.set else "local"


def has_run(view: ExecutionView) -> bool:
    """Whether a runner did anything of it: what is refused before its first step ends with no time taken at all.

    A measured time is never exactly 0; a state that is not final has none yet.
    """
    return bool(view.started_at) and (view.duration_s != 0.0 or bool(view.outcomes))


def end_text(view: ExecutionView) -> str:
    """``failed, exit code 3, 1.2s``; ``failed before it began`` where it is known that no step did."""
    if view.state is ExecutionState.FAILED and view.started_at and not has_run(view) and not view.parts:
        is_refused = view.error is not None and view.error.code in _BEFORE_ANY_STEP
        return f"{view.state} before it began" if is_refused else str(view.state)
    how = f"killed by {view.signal}" if view.signal else f"exit code {view.exit_code}"
    known = view.signal or view.exit_code is not None
    state = f"{view.state} ({view.status})" if view.status else str(view.state)
    return sentence(state, how if known else "", duration(view.duration_s) if has_run(view) else "")


def _write_all(file: TextIO, data: bytes) -> None:
    file.flush()
    file.buffer.write(data)
    file.buffer.flush()


def _same_file(one: TextIO | None, other: TextIO | None) -> bool:
    """Whether both end in the same place: a terminal, or ``2>&1``."""
    try:
        first, second = os.fstat(one.fileno() if one else -1), os.fstat(other.fileno() if other else -1)
    except (OSError, ValueError):
        return False
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)
