"""On what the figures were taken."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from bus.server import find_binary

ROOT: Final = Path(__file__).parent.parent
UNKNOWN: Final = "unknown"
MEASURED: Final = ("bus", "domain", "runbus", "schemas", "services")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What ratios survive and absolute figures do not."""

    cpu: str
    cores: int
    memory_gib: float
    load_before: float
    """How many processes wanted a processor in the last minute before the run: of others, that is."""
    python: str
    nats_server: str
    nats_py: str


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """When, and of which source."""

    date: str
    commit: str
    modified: bool
    """The source is not quite that of the commit."""


def machine() -> Machine:
    """What this machine is, now."""
    return Machine(
        cpu=_first_field("/proc/cpuinfo", "model name") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(int((_first_field("/proc/meminfo", "MemTotal") or "0").split()[0]) / 2**20, 1),
        load_before=round(os.getloadavg()[0], 2),
        python=platform.python_version(),
        nats_server=_output(find_binary(), "--version").removeprefix("nats-server: v") or UNKNOWN,
        nats_py=version("nats-py"),
    )


def origin() -> Origin:
    """The source that is measured."""
    return Origin(
        date=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        commit=_output("git", "rev-parse", "--short", "HEAD") or UNKNOWN,
        modified=bool(_output("git", "status", "--porcelain", "--", *MEASURED)),
    )


def _first_field(path: str, name: str) -> str:
    lines = Path(path).read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _output(*command: str) -> str:
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    except OSError:
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
