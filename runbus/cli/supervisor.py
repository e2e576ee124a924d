"""Parts of a Runbus on one machine, each a process of its own: started together, watched, stopped in order."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.environment import taken
from schemas.errors import ErrorCode, RunbusError
from services.dispatcher.settings import OWN_SECRETS

READY_WITHIN_S: Final = 30.0
STOP_WITHIN_S: Final = 30.0
_PR_SET_PDEATHSIG: Final = 1
_TAIL_LINES: Final = 5
_MAX_CHARS: Final = 2000
_GRAVE: Final = frozenset({"error", "critical"})
_OWN: Final[dict[str, frozenset[str]]] = {
    "services.keyproxy": frozenset(
        {"RUNBUS_MASTER_KEY", "RUNBUS_MASTER_KEY_FILE", "RUNBUS_NEW_MASTER_KEY", "RUNBUS_KEYS_TAKE_OVER"}
    ),
    "services.dispatcher": OWN_SECRETS,
}
"""Variables that one part alone is given: jobs of the Local Runner can read the environments of all of them."""


class PartSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A part: its name on the screen, the module that runs it, its settings as environment, a remark."""

    name: str
    module: str
    env: dict[str, str]
    remark: str = ""


class Part:
    """One running process, whose readiness it tells itself (systemd's ``sd_notify`` protocol)."""

    def __init__(self, spec: PartSpec, log_path: Path) -> None:
        self.spec = spec
        self.log_path = log_path
        self._process: asyncio.subprocess.Process | None = None
        self._address = f"runbus-{os.getpid()}-{spec.name.replace(' ', '-')}"
        self._ready = asyncio.Event()
        self._log_from = 0

    @property
    def pid(self) -> int:
        """Its process id; 0 while it is not started."""
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Start the process; its log goes to its file."""
        await self._listen()
        env = {**os.environ, **self.spec.env, "NOTIFY_SOCKET": f"@{self._address}"}
        with self.log_path.open("ab") as log:
            self._log_from = log.tell()  # earlier runs have written to it, too
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", self.spec.module,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True,
                preexec_fn=_die_with_parent,
            )  # fmt: skip

    async def ready(self) -> None:
        """Wait until it says that it is ready. Raises ``unavailable`` where it ends or takes over 30 s."""
        ended = asyncio.ensure_future(self.ended())
        ready = asyncio.ensure_future(self._ready.wait())
        try:
            await asyncio.wait({ended, ready}, timeout=READY_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            if not self._ready.is_set():
                raise self.failure("did not get ready" if not ended.done() else f"ended: {self.how_it_ended}")
        finally:
            ended.cancel()
            ready.cancel()

    @property
    def how_it_ended(self) -> str:
        """Its exit code, or the signal that killed it; empty while it runs."""
        code = self._process.returncode if self._process else None
        if code is None:
            return ""
        if code >= 0:
            return f"exit code {code}"
        why = ", by hand or because memory had run out" if -code == signal.SIGKILL else ""
        return f"killed by {signal_name(-code)}{why}"

    async def ended(self) -> int:
        """Wait until the process ends, and return its exit code."""
        return await self._process.wait() if self._process else 0

    async def stop(self) -> None:
        """SIGTERM: it drains and ends; after 30 s SIGKILL. Safe to call twice and before the start."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def failure(self, what: str) -> RunbusError:
        """The error for a part that did not do as it should, with the last that it has said of why in this run."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_from)
            said = last_words(log.read().decode(errors="replace").splitlines())
        told = f" It said: {said.removesuffix('.')}." if said else ""
        return RunbusError(ErrorCode.UNAVAILABLE, f"{self.spec.name} {what}.{told} Its log is {self.log_path}.")

    async def _listen(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        sock.bind(f"\0{self._address}")
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Notified(self._ready), sock=sock)


def last_words(lines: Sequence[str]) -> str:
    """Of a log in JSON lines: what an error at its end says, or the last line where that is none, of a traceback.

    Empty where there is neither: a part that is killed says nothing of it.
    """
    for line in [each.strip() for each in reversed(lines) if each.strip()][:_TAIL_LINES]:
        try:
            record = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError:
            return line[:_MAX_CHARS]
        if record.get("level") in _GRAVE:
            return str(record.get("error") or record.get("event") or "")[:_MAX_CHARS]
    return ""


class Supervisor:
    """Several parts. Started in parallel; stopped in the reverse of their order, so that work ends before its bus."""

    def __init__(self, specs: list[PartSpec], log_dir: Path, *, on_ready: Callable[[Part], None]) -> None:
        own = {module: taken(names) for module, names in _OWN.items()}
        self.parts = [
            Part(_with(own.get(spec.module, {}), spec), log_dir / f"{spec.name.replace(' ', '-')}.log")
            for spec in specs
        ]
        self._on_ready = on_ready

    def starting(self) -> list[Coroutine[None, None, None]]:
        """For each part: start it and wait until it is ready. Each raises the failure of its part."""
        return [self._start(part) for part in self.parts]

    async def first_end(self) -> Part:
        """Wait until any part ends by itself, and return it."""
        waiting = {asyncio.ensure_future(part.ended()): part for part in self.parts}
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return waiting[done.pop()]
        finally:
            for task in waiting:
                task.cancel()

    async def stop(self, *, on_stopped: Callable[[Part], None] = lambda _part: None) -> None:
        """Stop all, the last started first."""
        for part in reversed(self.parts):
            await part.stop()
            on_stopped(part)

    def kill(self) -> None:
        """End all at once."""
        for part in self.parts:
            part.kill()

    async def _start(self, part: Part) -> None:
        await part.start()
        await part.ready()
        self._on_ready(part)


class _Notified(asyncio.DatagramProtocol):
    def __init__(self, ready: asyncio.Event) -> None:
        self._ready = ready

    def datagram_received(self, data: bytes, _addr: object) -> None:
        if b"READY=1" in data.splitlines():
            self._ready.set()


def part_specs(common: Mapping[str, str], runners: list[PartSpec]) -> list[PartSpec]:
    """Registry, nodesource, keyproxy and dispatcher, and then these runners, with the environment that all share."""
    centre = [
        PartSpec(name="registry", module="services.registry", env=dict(common)),
        PartSpec(name="nodesource", module="services.nodesource", env=dict(common)),
        PartSpec(name="keyproxy", module="services.keyproxy", env=dict(common)),
        PartSpec(name="dispatcher", module="services.dispatcher", env=dict(common)),
    ]
    return centre + [msgspec.structs.replace(runner, env={**common, **runner.env}) for runner in runners]


def runner_spec(runner: str, *, tags: str = "", local: bool = False) -> PartSpec:
    """A runner, the Local Runner among them."""
    env = {"RUNBUS_RUNNER_ID": runner, "RUNBUS_RUNNER_TAGS": tags, "RUNBUS_RUNNER_LOCAL": str(local).lower()}
    remark = "the Local Runner" if local else f"tags {tags}"
    return PartSpec(name=f"runner {runner}", module="services.runner", env=env, remark=remark)


def _with(own: Mapping[str, str], spec: PartSpec) -> PartSpec:
    return msgspec.structs.replace(spec, env={**own, **spec.env})


def signal_name(number: int) -> str:
    """``SIGKILL``, ``signal 35``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
