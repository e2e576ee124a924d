"""``true`` on many nodes of one real sshd: our executor, beside plain asyncssh and Ansible, in turn.

A node is an address of the loopback network: so each needs a connection of its own, as real nodes do, for all three.
Each round begins without any connection. The servers are OpenSSH's, the key is Ed25519, host keys are checked.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

import asyncssh
import click

from benchmarks.report import Row, Step, as_console, summary
from runbus.plugin import Node
from services.runner.nodes.ssh import SshNodes
from tests.support.nodecontext import RecordingContext
from tests.support.sshd import Sshd, open_sshd

T = TypeVar("T")

NODES: Final = 200
THREADS: Final = 50
ROUNDS: Final = 5
AIM: Final = 1.3
AIM_ANSIBLE: Final = 5.0
_ANSIBLE_ROUNDS: Final = 1
"""It takes a minute each."""
_SETTINGS: Final = {
    "MaxStartups": "1000",
    "MaxSessions": "100",
    "LogLevel": "ERROR",
    # It listens everywhere, for the sake of the many addresses; nobody comes in but from this machine.
    "AllowUsers": "*@127.0.0.0/8",
}


class Field:
    """The nodes, and how each contestant reaches them."""

    def __init__(self, server: Sshd, addresses: Sequence[str]) -> None:
        self.server = server
        self.addresses = addresses
        self.nodes = [
            server.node(f"node{number}", hostname=f"{address}:{server.port}")
            for number, address in enumerate(addresses)
        ]

    async def ours(self) -> float:
        """Seconds for all nodes through the executor."""
        nodes = SshNodes()

        async def one(node: Node) -> None:
            context = RecordingContext(node, self.server.directory)
            ended = await nodes.execute(node, ["true"], context)
            if ended.exit_code != 0:
                raise RuntimeError(f"{node.name}: {ended}")

        try:
            return await _timed(one, self.nodes)
        finally:
            await nodes.close()

    async def plain(self) -> float:
        """Seconds for all nodes by ``asyncssh.connect`` and ``run``."""
        connections: list[asyncssh.SSHClientConnection] = []

        async def one(address: str) -> None:
            connection = await asyncssh.connect(
                address, self.server.port, username=self.server.user, client_keys=[str(self.server.key)],
                known_hosts=str(self.server.known_hosts), config=None,
            )  # fmt: skip
            connections.append(connection)
            await connection.run("true", check=True)

        try:
            return await _timed(one, self.addresses)
        finally:
            for connection in connections:
                connection.close()
            await asyncio.gather(*(connection.wait_closed() for connection in connections))

    async def ansible(self, program: str) -> float:
        """Seconds for ``ansible all -m raw -a true -f 50``, its own start included."""
        server, directory = self.server, self.server.directory
        inventory = directory / "inventory.ini"
        inventory.write_text("".join(
            f"node{number} ansible_host={address} ansible_port={server.port} ansible_user={server.user} "
            f"ansible_ssh_private_key_file={server.key} "
            f"ansible_ssh_common_args='-o UserKnownHostsFile={server.known_hosts}'\n"
            for number, address in enumerate(self.addresses)
        ))  # fmt: skip
        environment = {
            **os.environ,
            "ANSIBLE_LOCAL_TEMP": str(directory / "ansible"), "ANSIBLE_HOME": str(directory / "ansible"),
            # Masters that stay would spare the next round its connections.
            "ANSIBLE_SSH_ARGS": "-o ControlMaster=no",
        }  # fmt: skip
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            program, "all", "-i", str(inventory), "-m", "raw", "-a", "true", "-f", str(THREADS), "--one-line",
            env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        took_s = time.perf_counter() - began
        if process.returncode != 0:
            raise RuntimeError(f"ansible ended with {process.returncode}:\n{output.decode(errors='replace')[-2000:]}")
        return took_s


async def _timed(one: Callable[[T], Awaitable[None]], each_of: Sequence[T]) -> float:
    places = asyncio.Semaphore(THREADS)

    async def bounded(item: T) -> None:
        async with places:
            await one(item)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for item in each_of:
            group.create_task(bounded(item))
    return time.perf_counter() - began


@asynccontextmanager
async def field(nodes: int) -> AsyncIterator[Field]:
    """So many nodes, on one server. Raises ``MissingError`` where there is no sshd."""
    with (
        tempfile.TemporaryDirectory(prefix="runbus-dispatch-") as directory,
        open_sshd(Path(directory), host="0.0.0.0", settings=_SETTINGS) as server,
    ):
        addresses = [f"127.0.{1 + number // 250}.{1 + number % 250}" for number in range(nodes)]
        for address in addresses:
            server.know(address)
        yield Field(server, addresses)


async def measure(*, nodes: int = NODES, rounds: int = ROUNDS, step: Step, ansible: str | None = None) -> list[Row]:
    """Rounds of plain asyncssh and of ours by turns; Ansible, where its program is named or on PATH, after them."""
    program = ansible or shutil.which("ansible")
    ours: list[float] = []
    plain: list[float] = []
    async with field(nodes) as measured:
        await measured.plain()
        for _ in range(rounds):
            plain.append(await measured.plain())
            ours.append(await measured.ours())
            step()
        theirs = [] if program is None else [await measured.ansible(program) for _ in range(_ANSIBLE_ROUNDS)]
    return _rows(ours, plain, theirs, nodes)


def _rows(ours: list[float], plain: list[float], theirs: list[float], nodes: int) -> list[Row]:
    mine, floor = statistics.median(ours), statistics.median(plain)
    missing = "" if theirs else "Ansible is not on this machine: no row for it."
    rows = [
        Row(
            figure=f"true on {nodes} nodes by ssh",
            unit="s",
            measured=mine,
            floor=floor,
            ratio=mine / floor,
            aim=f"<= {AIM:g} x",
            met=mine <= AIM * floor,
            samples={"ours": summary(ours), "asyncssh": summary(plain)},
            note=f"Nodes by ssh: {THREADS} at a time; the floor is plain asyncssh. {missing}".strip(),
        )
    ]
    if theirs:
        other = statistics.median(theirs)
        rows.append(
            Row(
                figure=f"the same by ansible -f {THREADS}",
                unit="s",
                measured=other,
                ratio=other / mine,
                aim=f">= {AIM_ANSIBLE:g} x ours",
                met=other >= AIM_ANSIBLE * mine,
                samples={"ansible": summary(theirs)},
                note="Ansible's ratio says how many times longer than ours it takes.",
            )
        )
    return rows


@click.command()
@click.option("--nodes", default=NODES)
@click.option("--rounds", default=ROUNDS)
@click.option("--ansible", type=click.Path(path_type=Path), help="The directory that holds the command ansible.")
def main(*, nodes: int, rounds: int, ansible: Path | None) -> None:
    """Measure this part alone and print its table."""
    program = None if ansible is None else str(ansible / "ansible")
    rows = asyncio.run(measure(nodes=nodes, rounds=rounds, step=lambda: None, ansible=program))
    sys.stdout.write(as_console(rows))


if __name__ == "__main__":
    main()
