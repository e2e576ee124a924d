"""What the benchmarks say: percentiles, ratios, and a table that fits a terminal. No figure is tested."""

from __future__ import annotations

import statistics

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.floor import age_s, stamped
from benchmarks.latency import BLOCK, blocks
from benchmarks.report import MAX_COLUMNS, Row, as_console, as_markdown, percentile, short, summary

SAMPLES = st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=200)

ROWS = [
    Row(
        figure="request to result, p50",
        unit="ms",
        measured=2.524,
        floor=1.309,
        ratio=1.928,
        aim="<= 1.5 x",
        met=False,
    ),
    Row(figure="jobs, 100 in flight", unit="/s", measured=1273.4, aim=">= 600/s", met=True, note="A remark."),
]


@given(SAMPLES, st.floats(min_value=0, max_value=100))
def test_a_percentile_is_one_of_the_samples(samples: list[float], percent: float) -> None:
    found = percentile(samples, percent)
    assert found in samples
    below = sum(1 for each in samples if each <= found)
    assert below * 100 >= percent * len(samples)


@given(SAMPLES)
def test_percentiles_rise_and_end_with_the_largest(samples: list[float]) -> None:
    found = [percentile(samples, percent) for percent in (0, 50, 90, 99, 100)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (min(samples), max(samples))


def test_the_median_of_an_odd_number_is_the_middle_one() -> None:
    samples = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert percentile(samples, 50) == statistics.median(samples) == 3.0


def test_no_samples_are_no_percentile() -> None:
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)


def test_a_summary_scales_every_figure() -> None:
    found = summary([0.001, 0.002, 0.003], scale=1000)
    assert (found.count, found.min, found.max) == (3, 1.0, 3.0)
    assert found.mean == pytest.approx(2.0)


def test_whole_blocks_give_at_least_the_samples_asked_for() -> None:
    assert blocks(1) == 1
    assert blocks(BLOCK) == 1
    assert blocks(BLOCK + 1) == 2


def test_a_stamped_payload_tells_its_age() -> None:
    assert 0 <= age_s(stamped()) < 10


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.001234, "0.00123"), (2.524, "2.52"), (41.05, "41"), (297.7, "298"), (2977000.0, "2,977,000"), (0.0, "0")],
)
def test_three_digits_count(value: float, text: str) -> None:
    assert short(value) == text


def test_the_table_fits_a_terminal_and_says_what_was_missed() -> None:
    lines = as_console(ROWS, ["Another."]).splitlines()
    assert max(map(len, lines)) <= MAX_COLUMNS
    missed = next(line for line in lines if "p50" in line)
    assert [cell for cell in missed.split("  ") if cell.strip()][-1].strip() == "NO"
    assert "* A remark." in lines
    assert "* Another." in lines


def test_the_page_has_a_row_for_every_figure() -> None:
    lines = as_markdown(ROWS).splitlines()
    assert lines[2] == "| request to result, p50 | 2.52 ms | 1.31 | 1.93 | <= 1.5 x | NO |"
    assert len({line.count("|") for line in lines[:4]}) == 1


def test_a_row_survives_json() -> None:
    row = msgspec.structs.replace(ROWS[0], samples={"job": summary([1.0, 2.0])})
    assert msgspec.json.decode(msgspec.json.encode(row), type=Row) == row
