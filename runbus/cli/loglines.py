"""What stands before the lines of a log: the time, and the node where there is more than one."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from typing import Final

import click
import msgspec

from runbus.cli.failure import clean
from runbus.cli.render import screen_width
from runbus.client import LogPiece
from schemas.events import LogEntry

NODE_CHARS: Final = 20
"""Of a node's name at most; on a terminal a quarter of its width, if that is less."""
_COLOURS: Final = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green")

_Line = tuple[str, int, str, str]
"""What a line is of: stream, step, node, context."""


class LineHeads:
    """Puts the time (``stamps``) and the node before each line.

    ``tags`` says whether to name nodes; None: once lines of a second one come. Where nodes are named, half a line of
    one that another interrupts is ended, and goes on as a line of its own.
    """

    def __init__(self, *, stamps: bool = False, tags: bool | None = None, one_file: bool = False) -> None:
        self._stamps = stamps
        self._tags = tags
        self._one_file = one_file
        self._within: dict[str, _Line | None] = {}
        self._nodes: dict[str, int] = {}
        self._node_chars = min(NODE_CHARS, max(screen_width() // 4, 4))
        self._width = 0

    def put_before_lines(self, entry: LogEntry, data: bytes, *, coloured: bool = False) -> bytes:
        """The data of an entry with a head before each of its lines."""
        tagged = self._tagged(entry)
        if not (tagged or self._stamps) or not data:
            return data
        line = (entry.stream, entry.step, entry.node, entry.context) if tagged else (entry.stream, 0, "", "")
        file = self._file(entry.stream) if tagged else entry.stream
        before = self._within.get(file)
        head = self._stamp(entry.at) + (self._tag(entry, coloured=coloured) if tagged else b"")
        lines = data.splitlines(keepends=True) if data.count(b"\r") == 0 else _lines(data)
        first = b"" if before == line else head if before is None else b"\n" + head
        self._within[file] = None if data.endswith(b"\n") else line
        return first + head.join(lines)

    def expect_nodes(self, count: int) -> None:
        """So many nodes will come."""
        if self._tags is None and count > 1:
            self._tags = True

    def interrupted(self) -> None:
        """A remark was printed on stderr: half a line there was ended for it."""
        self._within = {} if self._one_file else {"stdout": self._within.get("stdout")}

    def _tagged(self, entry: LogEntry) -> bool:
        if entry.node and entry.node not in self._nodes:
            self._nodes[entry.node] = len(self._nodes)
            self._width = max(self._width, min(len(entry.node), self._node_chars))
            if self._tags is None and len(self._nodes) > 1:
                self._tags = True
        return bool(self._tags)

    def _file(self, stream: str) -> str:
        return "" if self._one_file else "stdout" if stream == "stdout" else "stderr"

    def _stamp(self, at: float) -> bytes:
        if not self._stamps:
            return b""
        local = time.localtime(at)
        return f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}.{int(at % 1 * 1000):03d} ".encode()

    def _tag(self, entry: LogEntry, *, coloured: bool) -> bytes:
        """``web-1 | ``, ``web-1 2/1 | ``; of what is for no node, only the bar."""
        name = clean(entry.node)
        if len(name) > self._node_chars:
            name = name[: self._node_chars - 1] + "…"
        name = name.ljust(self._width)
        if coloured and entry.node and not os.environ.get("NO_COLOR"):
            name = click.style(name, fg=_COLOURS[self._nodes[entry.node] % len(_COLOURS)])
        context = f" {clean(entry.context)}" if entry.context else ""
        return f"{name}{context} | ".encode()


def of_nodes(piece: LogPiece, nodes: Collection[str]) -> LogPiece:
    """A piece with only what is of these nodes."""
    return msgspec.structs.replace(piece, entries=[entry for entry in piece.entries if entry.node in nodes])


def _lines(data: bytes) -> list[bytes]:
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
