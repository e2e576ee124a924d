"""How an execution is shown: its output where a local command's would go, remarks beside it, or JSON."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
import time
from typing import Protocol, TextIO

import click
import msgspec

from runbus.cli.failure import paint, reference
from runbus.cli.render import clean, duration, print_json_line, sentence, state_text
from runbus.client import LogPiece
from schemas.api import ExecutionView
from schemas.errors import ErrorCode
from schemas.events import LogEntry
from schemas.states import FINAL
from schemas.tokens import TagSet


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
        self._same = _same_file(sys.stdout, sys.stderr)
        self._open_lines = {"stdout": False, "stderr": False}

    async def write(self, stream: str, data: bytes) -> None:
        """Write, in a thread: a reader that pauses must not keep us from hearing Ctrl-C."""
        file = sys.stdout if stream == "stdout" else sys.stderr
        if file is not None and data:
            await asyncio.to_thread(_write_all, file, data)
            self._open_lines["stderr" if self._same else stream] = not data.endswith(b"\n")

    def remark(self, text: str) -> None:
        """A line on stderr."""
        start = "\n" if self._open_lines["stderr"] else ""
        self._open_lines["stderr"] = False
        click.echo(start + text, err=True)


class TextView:
    """For people: the runner at the top, then the output, then the end."""

    def __init__(self, output: Output, view: ExecutionView, *, timestamps: bool = False, framed: bool = True) -> None:
        self._output = output
        self._view = view
        self._framed = framed
        self._stamps = _Stamps() if timestamps else None
        self._told: tuple[str, int] = ("", 0)

    def state(self, view: ExecutionView) -> None:
        """The top line once a runner has it, the last line once it has ended."""
        self._view = view
        if view.runner:
            self._top(view.runner, view.attempt)
        if view.state in FINAL and self._framed:
            self._end(view)

    async def piece(self, piece: LogPiece) -> None:
        """Output goes where it would have gone; remarks of the runner go to stderr."""
        if not self._told[0]:
            self._top(piece.runner, 1)
        for entry in piece.entries:
            data = entry_bytes(entry)
            if self._stamps:
                data = self._stamps.put_before_lines(entry, data)
            await self._output.write("stdout" if entry.stream == "stdout" else "stderr", data)

    def remark(self, text: str) -> None:
        """To stderr."""
        self._output.remark(text)

    def _top(self, runner: str, attempt: int) -> None:
        if self._framed and self._told != (runner, attempt):
            self._told = (runner, attempt)
            again = f", attempt {attempt}" if attempt > 1 else ""
            self.remark(f"{paint('▶', 'cyan')} {self._view.id} on runner {paint(runner, bold=True)} "
                        f"({set_text(self._view)}){again}")  # fmt: skip

    def _end(self, view: ExecutionView) -> None:
        self.remark(f"■ {state_text(end_text(view))}")
        if view.error and not (view.error.code is ErrorCode.STEP_FAILED and len(view.steps) == 1):
            self.remark(f"  {clean(view.error.message)} {paint(reference(view.error), dim=True)}")


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


class _Stamps:
    """Puts the local time before each line of each stream."""

    def __init__(self) -> None:
        self._within_line = {"stdout": False, "stderr": False, "runner": False}

    def put_before_lines(self, entry: LogEntry, data: bytes) -> bytes:
        local = time.localtime(entry.at)
        stamp = f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}.{int(entry.at % 1 * 1000):03d} ".encode()
        lines = data.splitlines(keepends=True) if data.count(b"\r") == 0 else _lines(data)
        stamped = [line if at == 0 and self._within_line[entry.stream] else stamp + line
                   for at, line in enumerate(lines)]  # fmt: skip
        self._within_line[entry.stream] = not data.endswith(b"\n")
        return b"".join(stamped)


def _lines(data: bytes) -> list[bytes]:
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def entry_bytes(entry: LogEntry) -> bytes:
    """What the process wrote, to the byte."""
    return base64.b64decode(entry.base64) if entry.base64 else entry.text.encode()


def log_line(piece: LogPiece) -> LogLine:
    """As ``--json`` prints it."""
    return LogLine(offset=piece.seq, assignment=piece.assignment, runner=piece.runner, entries=piece.entries)


def set_text(view: ExecutionView) -> str:
    """The tags as people write them: ``dev+linux``."""
    return str(TagSet.from_token(view.set)) if view.set else "local"


def end_text(view: ExecutionView) -> str:
    """``failed, exit code 3, 1.2s``."""
    how = f"killed by {view.signal}" if view.signal else f"exit code {view.exit_code}"
    known = view.signal or view.exit_code is not None
    return sentence(str(view.state), how if known else "", duration(view.duration_s) if view.started_at else "")


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
