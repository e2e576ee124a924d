"""What commands print: tables, facts, times, JSON. For a terminal, and as plain for a pipe."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import click
import msgspec

from runbus.cli.failure import clean, paint
from schemas.states import ExecutionState, RunnerStatus

GAP: Final = 2
MIN_FOLDED: Final = 8
"""A column that may fold is given at least this much; else records are printed one below the other."""
MIN_LABEL: Final = 11
"""Labels are given at least this much, so that blocks of facts stand below each other."""
UNLIMITED: Final = 100_000

NAMES_SHOWN: Final = 10
_COLOURS: Final[dict[str, str]] = {
    ExecutionState.QUEUED: "blue",
    ExecutionState.RUNNING: "cyan",
    ExecutionState.SUCCEEDED: "green",
    ExecutionState.FAILED: "red",
    ExecutionState.ABORTED: "yellow",
    ExecutionState.TIMEDOUT: "red",
    ExecutionState.LOST: "red",
    RunnerStatus.HEALTHY: "green",
    RunnerStatus.UNHEALTHY: "yellow",
    RunnerStatus.UNKNOWN: "magenta",
    RunnerStatus.DOWN: "red",
}


class Run(NamedTuple):
    """Words of one colour."""

    text: str
    colour: str | None = None


class Runs(tuple[Run, ...]):
    """A value whose words are of several colours, or which folds."""

    __slots__ = ()


class Column(NamedTuple):
    """A column. One that ``folds`` gives way in a narrow terminal; the others are never broken."""

    title: str
    folds: bool = False


def print_json(message: object) -> None:
    """One message, or a list of them, as one indented document."""
    click.echo(msgspec.json.format(msgspec.json.encode(message), indent=2))


def print_json_line(message: object) -> None:
    """One message on one line."""
    click.echo(msgspec.json.encode(message))


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Rows below their titles; where the terminal is too narrow for that, each row as a block of facts."""
    cells = [[clean(cell) for cell in row] for row in rows]
    width = screen_width()
    widest = [max(len(column.title), *(len(row[at]) for row in cells)) for at, column in enumerate(columns)]
    least = [min(each, MIN_FOLDED) if column.folds else each for column, each in zip(columns, widest, strict=True)]
    gaps = GAP * (len(columns) - 1)
    if sum(widest) + gaps <= width and all(cell.isascii() for row in cells for cell in row):
        _print_aligned(columns, widest, cells)
        return
    if sum(least) + gaps > width:
        for number, row in enumerate(cells):
            if number:
                click.echo()
            print_facts((column.title.lower(), cell) for column, cell in zip(columns, row, strict=True))
        return
    _draw(columns, _shared_out(columns, widest, width - gaps), cells, width)


def _shared_out(columns: Sequence[Column], widest: Sequence[int], width: int) -> list[int]:
    """The width of each column: what does not fold gets all it needs, the others equal parts of the rest at most."""
    widths = list(widest)
    left = width - sum(each for column, each in zip(columns, widest, strict=True) if not column.folds)
    folding = sorted((widest[at], at) for at, column in enumerate(columns) if column.folds)
    for place, (needed, at) in enumerate(folding):
        widths[at] = min(needed, left // (len(folding) - place))
        left -= widths[at]
    return widths


def _print_aligned(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[Sequence[str]]) -> None:
    """What needs no folding needs no library either."""
    gap = " " * GAP
    titles = gap.join(column.title.ljust(width) for column, width in zip(columns, widths, strict=True))
    click.echo(paint(titles.rstrip(), bold=True))
    for row in cells:
        padding = [" " * (width - len(cell)) for cell, width in zip(row, widths, strict=True)]
        click.echo(gap.join(state_text(cell) + pad for cell, pad in zip(row, padding, strict=True)).rstrip())


def _draw(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[Sequence[str]], width: int) -> None:
    from rich.console import Console  # noqa: PLC0415  (a twentieth of a second: only where something folds)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for column, its_width in zip(columns, widths, strict=True):
        table.add_column(column.title, overflow="fold", width=its_width)
    for row in cells:
        table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    console = Console(width=width, no_color=not on_terminal())
    with console.capture() as drawn:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def print_facts(facts: Iterable[tuple[str, str | Runs]], *, indent: int = 0) -> None:
    """``label  value`` lines; what has no value is left out, further lines of a value stand below its first.

    :class:`Runs` are folded where the terminal is too narrow, text is not.
    """
    shown = [(label, value) for label, value in facts if value]
    width = max(MIN_LABEL, *(len(label) for label, _ in shown), 0) + GAP
    margin = " " * indent
    for label, value in shown:
        first, *more = _lines_of(value, screen_width() - indent - width)
        click.echo(f"{margin}{paint(label.ljust(width), dim=True)}{first}")
        for line in more:
            click.echo(f"{margin}{' ' * width}{line}")


def _lines_of(value: str | Runs, width: int) -> list[str]:
    if isinstance(value, Runs):
        return fold_runs(value, width)
    first, *more = value.splitlines() or [""]
    return [state_text(clean(first)), *map(clean, more)]


def fold_runs(runs: Iterable[Run], width: int) -> list[str]:
    """The words of these runs, in lines of so many columns; a word that is longer has a line of its own.

    Each piece of colour begins and ends on its line.
    """
    lines: list[list[Run]] = [[]]
    taken = 0
    for word, colour in ((word, run.colour) for run in runs for word in _words(run.text)):
        if taken and taken + 1 + len(word) > max(width, MIN_FOLDED):
            lines.append([])
            taken = 0
        line = lines[-1]
        if line and line[-1].colour == colour:
            line[-1] = Run(f"{line[-1].text} {word}", colour)
        else:
            line.append(Run(word, colour))
        taken += len(word) + (1 if taken else 0)
    return [" ".join(paint(run.text, run.colour) if run.colour else run.text for run in line) for line in lines]


def _words(text: str) -> list[str]:
    """Spaces that follow each other stay between words of one line."""
    return clean(" ".join(text.splitlines())).split(" ")


def name_list(names: Sequence[str]) -> str:
    """``a, b``; of many the first ones, and how many more."""
    shown = ", ".join(names[:NAMES_SHOWN])
    return f"{shown} and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else shown


def state_text(text: str) -> str:
    """A state in its colour; other text as it is."""
    colour = _COLOURS.get(text.partition(",")[0].partition(" ")[0])
    return paint(text, colour) if colour else text


def screen_width() -> int:
    """Columns of the terminal; a pipe has no end of them, unless COLUMNS says so."""
    if on_terminal() or os.environ.get("COLUMNS"):
        return shutil.get_terminal_size().columns
    return UNLIMITED


def on_terminal() -> bool:
    """Whether someone looks at what we print; a closed stdout is None."""
    return sys.stdout is not None and sys.stdout.isatty()


def duration(seconds: float | None) -> str:
    """``85ms``, ``1.2s``, ``1m15s``, ``3h5m``, ``2d4h``."""
    if seconds is None:
        return ""
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit_s, unit, part_s, part in ((86_400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= unit_s:
            rest = whole % unit_s // part_s
            return f"{whole // unit_s}{unit}{rest}{part}" if rest else f"{whole // unit_s}{unit}"
    return f"{whole}s"


def moment(at: datetime | None) -> str:
    """Local time, to the second."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else ""


def short_moment(at: datetime | None) -> str:
    """Local time as short as it can be said today."""
    if at is None:
        return ""
    local, now = at.astimezone(), datetime.now().astimezone()
    if local.date() == now.date():
        return local.strftime("%H:%M:%S")
    return local.strftime("%m-%d %H:%M" if local.year == now.year else "%Y-%m-%d")


def ago(at: datetime | None) -> str:
    """``12s ago``; ``never``."""
    if at is None:
        return "never"
    seconds = (datetime.now().astimezone() - at).total_seconds()
    return "now" if seconds < 1 else f"{duration(float(round(seconds))).replace('.0s', 's')} ago"


def sentence(*parts: str) -> str:
    """The parts that are there, with commas."""
    return ", ".join(part for part in parts if part)
