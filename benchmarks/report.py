"""What a measurement says: percentiles, figures beside their floor, and the table of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

COLUMNS: Final = ("figure", "measured", "floor", "ratio", "aim", "met?")
MAX_COLUMNS: Final = 80

Step = Callable[[], None]
"""Told by a measurement whenever another of its announced steps is done."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The distribution of some samples, all in the same unit."""

    count: int
    mean: float
    min: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure. ``ratio`` says how many times worse than its floor it is, whether it is a time or a rate."""

    figure: str
    unit: str
    measured: float
    floor: float | None = None
    ratio: float | None = None
    aim: str = ""
    met: bool | None = None
    samples: dict[str, Summary] = {}
    details: dict[str, float] = {}
    note: str = ""
    """A sentence below the table."""


def percentile(samples: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile. Raises ``ValueError`` without samples."""
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def summary(samples: Sequence[float], *, scale: float = 1.0) -> Summary:
    """Summarize, each sample multiplied by ``scale``. Raises ``ValueError`` without samples."""
    scaled = [each * scale for each in samples]
    p50, p90, p95, p99 = (percentile(scaled, percent) for percent in (50, 90, 95, 99))
    mean = sum(scaled) / len(scaled)
    return Summary(count=len(scaled), mean=mean, min=min(scaled), p50=p50, p90=p90, p95=p95, p99=p99, max=max(scaled))


def as_console(rows: Sequence[Row], notes: Sequence[str] = ()) -> str:
    """A table that fits a terminal of 80 columns, and the notes below it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in ("measured", "floor", "ratio") else "left")
    for row in rows:
        table.add_row(*_cells(row))
    console = Console(width=MAX_COLUMNS, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
        for note in _notes(rows, notes):
            console.print(f"* {note}", markup=False, highlight=False)
    return captured.get()


def as_markdown(rows: Sequence[Row], notes: Sequence[str] = ()) -> str:
    """The same as Markdown."""
    lines = [f"| {' | '.join(COLUMNS)} |", "| --- | --: | --: | --: | --- | --- |"]
    lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    return "\n".join([*lines, "", *(f"- {note}" for note in _notes(rows, notes))])


def _cells(row: Row) -> tuple[str, str, str, str, str, str]:
    floor = "" if row.floor is None else short(row.floor)
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    met = {True: "yes", False: "NO", None: ""}[row.met]
    return row.figure, f"{short(row.measured)} {row.unit}", floor, ratio, row.aim, met


def _notes(rows: Sequence[Row], notes: Sequence[str]) -> list[str]:
    return [*(row.note for row in rows if row.note), *notes]


def short(value: float) -> str:
    """Three digits that count, and no exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
