"""Percentiles and the rows of the report."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure beside its floor."""

    figure: str
    unit: str
    measured: float
    floor: float | None = None
    aim: str = ""
    met: bool | None = None
    details: dict[str, float] = {}

    @property
    def ratio(self) -> float | None:
        """Measured over floor."""
        return self.measured / self.floor if self.floor else None


def percentile(samples: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile. Raises ``ValueError`` without samples."""
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table that reads well at 80 columns, too."""
    lines = ["| figure | measured | floor | ratio | aim | met |", "| --- | --: | --: | --: | --- | --- |"]
    for row in rows:
        floor = "" if row.floor is None else f"{row.floor:.4g}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        met = {True: "yes", False: "no", None: ""}[row.met]
        lines.append(f"| {row.figure} | {row.measured:.4g} {row.unit} | {floor} | {ratio} | {row.aim} | {met} |")
    return "\n".join(lines)
