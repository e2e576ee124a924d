"""The life of a process: start, say ready, run until told to stop, drain; a second signal ends at once."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

import structlog

from schemas.errors import RunbusError

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_KILLED: Final = 130

log = structlog.get_logger("lifecycle")


class StopSignal:
    """Set once by the first SIGTERM or SIGINT, or by whoever wants the process to end; carries the reason."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason = ""

    def set(self, reason: str) -> None:
        """Ask for the end; the first reason is kept."""
        if not self._event.is_set():
            self.reason = reason
            self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._event.is_set()

    async def wait(self) -> str:
        """Wait for it, and return the reason."""
        await self._event.wait()
        return self.reason


def notify(state: str) -> None:
    """Tell a supervisor (systemd's ``sd_notify`` protocol): ``READY=1``, ``STOPPING=1``, ``STATUS=…``.

    Without ``NOTIFY_SOCKET`` in the environment there is nobody to tell.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError as cause:
            log.warning("notify.failed", socket=address, error=str(cause))


def run_process(main: Callable[[StopSignal], Coroutine[Any, Any, int]], *, use_uvloop: bool = False) -> int:
    """Run ``main`` until it returns the exit code.

    The first SIGTERM or SIGINT sets the stop signal; the second ends the process at once with code 130. A typed
    error that ``main`` raises is printed, and the code is 1.
    """
    factory = None
    if use_uvloop:
        with suppress(ImportError):
            import uvloop  # noqa: PLC0415  (not in processes that spawn: spawning is three times slower under it)

            factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        try:
            return runner.run(_main_with_signals(main))
        except RunbusError as error:
            _report(error)
            return EXIT_FAILED


def _report(error: RunbusError) -> None:
    if sys.stderr.isatty():
        print(f"Error: {error.message}", file=sys.stderr)
    else:
        log.error("stopped", code=error.code, error=error.message)


async def _main_with_signals(main: Callable[[StopSignal], Coroutine[Any, Any, int]]) -> int:
    stop = StopSignal()
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set:
            os._exit(EXIT_KILLED)
        stop.set(number.name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        return await main(stop)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def run_until_stopped(stop: StopSignal, tasks: list[Awaitable[None]]) -> None:
    """Wait for the stop signal; a background task that fails before it is raised as it is."""
    running = [asyncio.ensure_future(task) for task in tasks]
    waiter = asyncio.ensure_future(stop.wait())
    try:
        done, _ = await asyncio.wait([waiter, *running], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {waiter}:
            await task
    finally:
        for task in (waiter, *running):
            task.cancel()
        await asyncio.gather(waiter, *running, return_exceptions=True)
