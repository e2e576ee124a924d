"""``make bench``: every figure in one run, beside its floor; a table, and JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import (
    ansible_inventory,
    dispatch,
    engine,
    footprint,
    keystore,
    keyuse,
    latency,
    logs,
    masking,
    node_formats,
    nodes,
    sources,
    throughput,
    vault_listing,
)
from benchmarks.bench_ledger import run as run_ledger
from benchmarks.machine import Machine, Origin, machine, origin
from benchmarks.report import Row, Step, as_console, as_markdown, short
from benchmarks.site import Site, site
from bus.logs import configure

RESULTS: Final = Path(__file__).parent / "results"
PARTS: Final = (
    "footprint", "latency", "throughput", "logs", "up", "engine", "nodes", "sources", "formats", "dispatch",
    "masking", "keys", "keystore", "vault", "ledger",
)  # fmt: skip


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    samples: int = 2000
    blocks: int = 5
    jobs: int = 1500
    megabytes: int = 200
    lines: int = 300_000
    ups: int = 7
    filters: int = 7
    readings: int = 3
    hosts: int = 200
    rounds: int = 5
    listings: int = 100
    executions: int = 1_000_000


QUICK: Final = Size(
    samples=250,
    blocks=2,
    jobs=500,
    megabytes=50,
    lines=50_000,
    ups=3,
    filters=3,
    readings=1,
    hosts=50,
    rounds=2,
    listings=20,
    executions=20_000,
)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    origin: Origin
    machine: Machine
    size: Size
    rows: list[Row]
    ledger: dict[str, Any] | None = None


@click.command()
@click.option("--quick", is_flag=True, help="Fewer samples: a minute.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Only this part; may be repeated.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the JSON there.")
@click.option("--ansible", help="The program to measure beside ours; else the one on PATH, if there is one.")
@click.option("--save", is_flag=True, help="Write both into benchmarks/results, by date and commit.")
def main(*, quick: bool, only: tuple[str, ...], json_file: Path | None, save: bool, ansible: str | None) -> None:
    """Measure, print the table, write the JSON."""
    configure(part="bench", level="error")
    size, parts = QUICK if quick else Size(), only or PARTS
    measured_on, source = machine(), origin()
    rows = asyncio.run(_measure(size, parts, ansible))
    ledger = _ledger(size.executions) if "ledger" in parts else None
    report = Report(
        origin=source, machine=measured_on, size=size, rows=rows + (_ledger_rows(ledger) if ledger else []),
        ledger=ledger,
    )  # fmt: skip
    click.echo(as_console(report.rows))
    data = msgspec.json.format(msgspec.json.encode(report), indent=2)
    if json_file is not None:
        json_file.write_bytes(data)
    if save:
        RESULTS.mkdir(exist_ok=True)
        name = f"{datetime.now(UTC):%Y-%m-%d}-{source.commit}"
        (RESULTS / f"{name}.json").write_bytes(data)
        (RESULTS / f"{name}.md").write_text(_page(report))


async def _measure(size: Size, parts: Sequence[str], ansible: str | None) -> list[Row]:
    rows: list[Row] = []
    with _progress() as progress:
        if set(parts) & {"footprint", "latency", "throughput", "logs", "keys", "sources"}:
            async with site() as running:
                rows += await _measure_site(running, size, parts, progress)
        if "up" in parts:
            rows += await footprint.start_up(times=size.ups, step=_steps(progress, "runbus up", size.ups))
        if "engine" in parts:
            rows += await engine.measure(blocks=size.blocks, step=_steps(progress, "engine", size.blocks))
        if "nodes" in parts:
            rows += await nodes.measure(blocks=size.filters, step=_steps(progress, "node filters", size.filters))
        if "formats" in parts:
            step = _steps(progress, "documents of nodes", size.readings)
            rows += await node_formats.measure(blocks=size.readings, step=step)
            rows.append(await ansible_inventory.row(blocks=size.rounds))
        if "masking" in parts:
            step = _steps(progress, "masking", size.blocks)
            rows += await masking.measure(megabytes=size.megabytes, blocks=size.blocks, step=step)
        if "keystore" in parts:
            step = _steps(progress, "the centre's keys", keystore.PARTS)
            rows += await keystore.measure(rounds=size.listings, step=step)
        if "vault" in parts:
            step = _steps(progress, "keys of Vault", size.rounds)
            rows += await vault_listing.measure(blocks=size.rounds, step=step)
        if "dispatch" in parts:
            step = _steps(progress, "nodes by ssh", size.rounds)
            rows += await dispatch.measure(nodes=size.hosts, rounds=size.rounds, step=step, ansible=ansible)
    return rows


async def _measure_site(running: Site, size: Size, parts: Sequence[str], progress: Progress) -> list[Row]:
    rows = footprint.idle(running) if "footprint" in parts else []
    blocks = latency.blocks(size.samples)
    measures: dict[str, tuple[int, Callable[..., Awaitable[list[Row]]]]] = {
        "latency": (blocks, partial(latency.measure, blocks=blocks)),
        "throughput": (size.blocks, partial(throughput.measure, jobs=size.jobs, blocks=size.blocks)),
        "logs": (
            size.blocks,
            partial(logs.measure, megabytes=size.megabytes, lines=size.lines, blocks=size.blocks),
        ),
        "keys": (size.blocks, partial(keyuse.measure, blocks=size.blocks)),
        "sources": (2 * size.rounds, partial(sources.measure, blocks=size.rounds)),
    }
    for name, (count, measure) in measures.items():
        if name in parts:
            rows += await measure(running, step=_steps(progress, name, count))
    if "footprint" in parts:
        rows += footprint.worked(running)
    return rows


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=Console(stderr=True),
    )  # fmt: skip


def _steps(progress: Progress, name: str, count: int) -> Step:
    task = progress.add_task(name, total=count)
    return lambda: progress.advance(task)


def _ledger(executions: int) -> dict[str, Any]:
    with Console(stderr=True).status(f"a ledger of {executions:,} executions"):
        return run_ledger(executions)


def _ledger_rows(ledger: dict[str, Any]) -> list[Row]:
    slowest = max(ledger["queries"], key=lambda name: float(ledger["queries"][name]["p99_ms"]))
    figures = [found["p99_ms"] for found in ledger["queries"].values()]
    return [
        Row(figure=f"ledger of {ledger['executions']:,}: events", unit="/s",
            measured=ledger["apply_events_per_s"]),
        Row(figure="ledger page p99, median query", unit="ms", measured=sorted(figures)[len(figures) // 2]),
        Row(figure="ledger page p99, slowest query", unit="ms", measured=max(figures),
            note=f"The slowest of {len(figures)} kinds of ledger query is: {slowest}."),
    ]  # fmt: skip


def _page(report: Report) -> str:
    facts = msgspec.to_builtins(report.origin) | msgspec.to_builtins(report.machine)
    lines = "\n".join(f"- {name}: {short(v) if isinstance(v, float) else v}" for name, v in facts.items())
    return f"# Figures\n\n{lines}\n\n{as_markdown(report.rows)}\n"


if __name__ == "__main__":
    main()
