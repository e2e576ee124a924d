"""Programs started for a test: each is ended by its own process id, and its log is kept in a file."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_END_WITHIN_S: Final = 15.0


class Program:
    """``python -m <module>`` with an environment of its own."""

    def __init__(self, module: str, settings: Mapping[str, str], log_path: Path) -> None:
        self.log_path = log_path
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("RUNBUS_", "COV_"))}
        with log_path.open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=ROOT, env=kept | dict(settings), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal ended it."""
        return self._popen.poll()

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            self._popen.send_signal(number)

    async def ended(self, within_s: float = _END_WITHIN_S) -> int:
        """Wait for the end and return the exit code."""
        return await asyncio.to_thread(self._popen.wait, within_s)

    async def kill(self) -> None:
        """End it as a power cut would."""
        self.signal(signal.SIGKILL)
        await self.ended()

    async def stop(self) -> int:
        """SIGTERM, and SIGKILL for what does not end by it, which is an error."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return await self.ended()
        except subprocess.TimeoutExpired:
            await self.kill()
            raise AssertionError(f"pid {self.pid} did not end on SIGTERM; its log:\n{self.log[-4000:]}") from None


def rss_bytes(pid: int) -> int:
    """Resident memory of a process now."""
    return _status_bytes(pid, "VmRSS")


def peak_rss_bytes(pid: int) -> int:
    """The most resident memory a process ever had."""
    return _status_bytes(pid, "VmHWM")


def _status_bytes(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"/proc/{pid}/status has no {field}")


def read_bytes(pid: int) -> int:
    """What a process has read so far, from pipes and sockets, too."""
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("rchar:"):
            return int(line.split()[1])
    raise AssertionError(f"/proc/{pid}/io has no rchar")


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


def children_of(pid: int) -> set[int]:
    """Processes whose parent this one is, zombies included."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(stat.rpartition(b")")[2].split()[1]) == pid:
                found.add(int(entry.name))
    return found
