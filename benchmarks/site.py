"""What is measured: NATS, the services and one tagged runner, each a process of its own, on a fresh directory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bus.lifecycle import Background, StopSignal
from bus.server import EmbeddedServer, ServerSettings
from runbus.cli.supervisor import Supervisor, part_specs, runner_spec
from runbus.client import Client, open_client
from schemas.api import ExecutionView, RunRequest
from schemas.jobs import RunnerSelector, SelectorMode, Step
from schemas.states import ExecutionState

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
RUNNER_ID: Final = "bench"
RUNNER: Final = f"runner {RUNNER_ID}"
"""The runner's part, as the supervisor names it."""
KEY: Final = "bench/password"
"""In the key storage of the runner, a directory."""
_KIB: Final = 1024
_MB: Final = 1_000_000


class Site:
    """A running system and a client of it."""

    def __init__(self, client: Client, server: EmbeddedServer, supervisor: Supervisor) -> None:
        self.client = client
        self.url = server.url
        self.pids = {part.spec.name: part.pid for part in supervisor.parts}
        self.pids |= {"nats": server.pid or 0, "client": os.getpid()}

    async def run(self, command: str, *, wait_s: float = 0.0) -> ExecutionView:
        """Run a command on the tagged runner, and wait so long for its end."""
        step = Step(plugin="command", config={"command": command})
        selector = RunnerSelector(mode=SelectorMode.TAGS, filter="LINUX+BENCH")
        return await self.client.run(RunRequest(steps=[step], runner=selector, wait_s=wait_s))

    async def succeed(self, command: str) -> None:
        """Run a command to its end. Raises ``RuntimeError`` unless it succeeds: a failure must not be measured."""
        ended = await self.run(command, wait_s=120.0)
        if ended.state is not ExecutionState.SUCCEEDED:
            raise RuntimeError(f"{command} is {ended.state}: {ended.error}")

    def cpu_s(self) -> dict[str, float]:
        """Processor time so far by process; children that ended are counted beside their runner."""
        used: dict[str, float] = {}
        for name, pid in self.pids.items():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            used[name] = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
            if name == RUNNER:
                used["children"] = (int(fields[13]) + int(fields[14])) / TICKS_PER_S
        return used

    def rss_mb(self) -> dict[str, float]:
        """Resident memory by process."""
        found = {}
        for name, pid in self.pids.items():
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            found[name] = next(int(line.split()[1]) * _KIB / _MB for line in lines if line.startswith("VmRSS"))
        return found


def _keys(directory: Path) -> Path:
    file = directory / KEY
    file.parent.mkdir(parents=True)
    file.write_text("correct horse battery staple")
    file.chmod(0o600)
    return directory


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """Start everything, and stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="runbus-bench-") as directory:
        server = EmbeddedServer(ServerSettings(data_dir=Path(directory), port=0))
        common = {"RUNBUS_NATS_URL": server.url, "RUNBUS_DATA_DIR": directory, "RUNBUS_LOG_FORMAT": "json"}
        common["RUNBUS_KEYS_DIR"] = str(_keys(Path(directory) / "keys"))
        specs = part_specs(common, [runner_spec(RUNNER_ID, tags="LINUX,BENCH")])
        supervisor = Supervisor(specs, Path(directory), on_ready=lambda _part: None)
        try:
            async with Background(server.start(), *supervisor.starting()) as starting:
                await starting.finished_before(StopSignal())
            async with open_client(server.url, name="runbus-bench") as client:
                yield Site(client, server, supervisor)
        finally:
            await supervisor.stop()
            await server.stop()
