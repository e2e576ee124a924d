"""The embedded NATS server: found, started on a data directory, waited for, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
from pathlib import Path
from typing import Final

import msgspec

from schemas.errors import ErrorCode, RunbusError

READY_WITHIN_S: Final = 20.0
_STOP_WITHIN_S: Final = 10.0
_PR_SET_PDEATHSIG: Final = 1


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the embedded server listens and keeps its data. ``port`` 0: one that is free."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 4222
    binary: str = ""
    sync_always: bool = False
    """Sync every write to disk before it is acknowledged: a power cut loses nothing, at the price of speed."""


class EmbeddedServer:
    """A ``nats-server`` process with JetStream on disk, that ends when this process ends, however it ends."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self.port = settings.port or free_port(settings.host)

    @property
    def url(self) -> str:
        """What clients connect to."""
        return f"nats://{self._settings.host}:{self.port}"

    @property
    def log_path(self) -> Path:
        """The server's own log."""
        return self._settings.data_dir / "nats-server.log"

    async def start(self) -> None:
        """Start, and return when it takes connections.

        Raises ``unavailable`` where the binary is missing, or the server ends (port in use) or is not ready within
        20 s; the text has the last lines of its log.
        """
        settings = self._settings
        binary = find_binary(settings.binary)
        config = settings.data_dir / "nats-server.conf"
        config.write_text(self._configuration())
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 (a fork takes under a millisecond)
                [binary, "-c", str(config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 (started before any thread; runs one system call)
            )  # fmt: skip
        await self._ready()

    async def stop(self) -> None:
        """Stop it gracefully (SIGTERM), then for certain (SIGKILL after 10 s). Safe to call twice."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, _STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    async def ended(self) -> int:
        """Wait until the process ends, and return its exit code."""
        if self._process is None:
            return 0
        return await asyncio.to_thread(self._process.wait)

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process else None

    def _configuration(self) -> str:
        sync = "\n  sync_interval: always" if self._settings.sync_always else ""
        return (
            f"listen: {self._settings.host}:{self.port}\n"
            f"server_name: runbus\n"
            f"jetstream {{\n  store_dir: {str(self._settings.data_dir / 'jetstream')!r}{sync}\n}}\n"
        )

    async def _ready(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_WITHIN_S
        while loop.time() < deadline:
            if self._process is not None and self._process.poll() is not None:
                raise self.failure("it ended at once")
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    reader, writer = await asyncio.open_connection(self._settings.host, self.port)
                    greeting = await reader.readline()
                    writer.close()
                if greeting.startswith(b"INFO ") and b'"jetstream":true' in greeting:
                    return
            await asyncio.sleep(0.01)
        await self.stop()
        raise self.failure(f"it was not ready within {READY_WITHIN_S:g} s")

    def failure(self, reason: str) -> RunbusError:
        """The error for a server that did not do as it should, with the end of its log."""
        tail = "\n".join(self.log_path.read_text(errors="replace").splitlines()[-5:])
        return RunbusError(
            ErrorCode.UNAVAILABLE,
            f"the NATS server failed: {reason}. Its log ({self.log_path}) ends with:\n{tail}",
        )


def find_binary(configured: str = "") -> str:
    """The configured server, else the one on PATH, else the one installed with Runbus."""
    installed = Path(sysconfig.get_path("scripts")) / "nats-server"
    candidates = [configured] if configured else [shutil.which("nats-server") or "", str(installed)]
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    raise RunbusError(
        ErrorCode.UNAVAILABLE,
        f"no nats-server was found ({', '.join(filter(None, candidates))}): install it, "
        "name it with RUNBUS_NATS_SERVER, or use a server that runs with --nats-url.",
    )


def free_port(host: str) -> int:
    """A TCP port that is free now."""
    with socket.socket() as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


def require_free(host: str, port: int) -> None:
    """Raise ``unavailable`` if the port cannot be listened on."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as cause:
            raise RunbusError(
                ErrorCode.UNAVAILABLE,
                f"{host}:{port} cannot be listened on ({cause.strerror}). Choose another port with --port, "
                f"or use the server that is there with --nats-url nats://{host}:{port}.",
                details={"host": host, "port": port},
            ) from cause


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
