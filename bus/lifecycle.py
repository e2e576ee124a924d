"""The life of a process: start, say ready, run until told to stop, drain.

A signal while it starts ends it at once, and so does a second one later.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Protocol, Self, TypeVar

import structlog

from bus import logs
from bus.settings import load
from schemas.errors import RunbusError

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_KILLED: Final = 130
_CANCEL_AGAIN_S: Final = 0.2
_CLEAN_UP_S: Final = 1.0
"""How long a cancelled task has for its own end before it is cancelled again."""

log = structlog.get_logger("lifecycle")


class ServiceSettings(Protocol):
    """What the settings of every service have."""

    @property
    def log_level(self) -> str:
        """``debug``, ``info``, ``warning``, ``error``."""

    @property
    def log_format(self) -> logs.LogFormat:
        """``auto``, ``console``, ``json``."""


S = TypeVar("S", bound=ServiceSettings)


class StopSignal:
    """Set once by the first SIGTERM or SIGINT, or by whoever wants the process to end; carries the reason."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason = ""
        self.awaited = False
        """Whether the process has come so far that it waits for this, and will end in order."""

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
        self.awaited = True
        await self._event.wait()
        return self.reason

    async def outlasts(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do ``work``, unless told to stop before it is done: then it is cancelled. Whether it was done."""
        async with Background(work) as background:
            return await background.finished_before(self)


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


def report_in_log(error: RunbusError) -> None:
    """For services: an error that ends the process, as a line of the log; as plain text on a terminal."""
    if sys.stderr.isatty():
        report_as_text(error)
    else:
        log.error("stopped", code=error.code, error=error.message, error_id=error.error_id)


def report_as_text(error: RunbusError) -> None:
    """For commands: an error as a person reads it."""
    looked_up = f", id {error.error_id}" if error.origin else ""
    print(f"Error: {error.message} ({error.code}{looked_up})", file=sys.stderr)


def run_process(
    main: Callable[[StopSignal], Coroutine[Any, Any, int]],
    *,
    use_uvloop: bool = False,
    report: Callable[[RunbusError], None] = report_in_log,
) -> int:
    """Run ``main`` until it returns the exit code.

    The first SIGTERM or SIGINT sets the stop signal; where ``main`` does not wait for that yet, still starting, it is
    cancelled, and the code is 0. The second ends the process at once with code 130. A typed error that ``main``
    raises is reported, and the code is 1.
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
            report(error)
            return EXIT_FAILED


async def _main_with_signals(main: Callable[[StopSignal], Coroutine[Any, Any, int]]) -> int:
    stop = StopSignal()
    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(main(stop))

    def cut_off() -> None:
        """Cancel it, again and again: a connection under way may swallow that."""
        if not (work.done() or stop.awaited):
            work.cancel()
            loop.call_later(_CANCEL_AGAIN_S, cut_off)

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set:
            os._exit(EXIT_KILLED)
        stop.set(number.name)
        cut_off()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        return await work
    except (asyncio.CancelledError, RunbusError):
        if not stop.is_set or stop.awaited:
            work.cancel()
            raise
        log.info("stopped", reason=stop.reason, phase="starting")
        sys.stderr.flush()
        os._exit(EXIT_OK)  # a name that does not resolve would hold the process by its thread, for seconds
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


class Background:
    """Tasks that run beside the rest of an ``async with`` block, and are cancelled at its end."""

    def __init__(self, *coroutines: Coroutine[Any, Any, None]) -> None:
        self._coroutines = coroutines
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Start them."""
        self._tasks = [asyncio.ensure_future(each) for each in self._coroutines]
        return self

    async def until(self, stop: StopSignal) -> None:
        """Wait for the stop signal; a task that fails before it is raised as it is."""
        waiter = asyncio.ensure_future(stop.wait())
        try:
            done, _ = await asyncio.wait([waiter, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {waiter}:
                await task
        finally:
            waiter.cancel()

    async def finished_before(self, stop: StopSignal) -> bool:
        """Wait for all of them to end, or for the stop signal; whether they ended. What one raises is raised."""
        waiter = asyncio.ensure_future(stop.wait())
        work = asyncio.ensure_future(asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION))
        try:
            await asyncio.wait([waiter, work], return_when=asyncio.FIRST_COMPLETED)
            for task in self._tasks:
                if task.done():
                    task.result()
            return all(task.done() for task in self._tasks)
        finally:
            waiter.cancel()
            work.cancel()

    async def __aexit__(self, *_exc: object) -> None:
        """Cancel what still runs, and wait until it has ended."""
        left = set(self._tasks)
        while left:  # again and again: Python 3.11's wait_for, which nats-py uses, may swallow a cancellation
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=_CLEAN_UP_S)
        await asyncio.gather(*self._tasks, return_exceptions=True)


def main_of_service(
    part: str, settings_type: type[S], run: Callable[[S, StopSignal], Coroutine[Any, Any, int]], *, use_uvloop: bool
) -> int:
    """``__main__`` of a service: settings from the environment, logs, run, exit code."""
    return run_configured(part, lambda: load(settings_type, os.environ), run, use_uvloop=use_uvloop)


def run_configured(
    part: str,
    read_settings: Callable[[], S],
    run: Callable[[S, StopSignal], Coroutine[Any, Any, int]],
    *,
    use_uvloop: bool,
) -> int:
    """Read the settings, set the logs up, run until stopped; a typed error is reported, and the code is 1."""
    try:
        settings = read_settings()
    except RunbusError as error:
        logs.configure(part=part)
        report_in_log(error)
        return EXIT_FAILED
    logs.configure(part=part, level=settings.log_level, form=settings.log_format)
    return run_process(lambda stop: run(settings, stop), use_uvloop=use_uvloop)
