"""``runbus up``: the whole of it on one machine, in the foreground."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from bus.address import without_credentials
from bus.connection import connect
from bus.lifecycle import EXIT_OK, Background, StopSignal, report_as_text, run_process
from bus.server import EmbeddedServer, ServerSettings, require_free
from runbus.cli.failure import clean
from runbus.cli.supervisor import Part, Supervisor, part_specs, runner_spec
from schemas.errors import ErrorCode, RunbusError
from schemas.version import VERSION


class UpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What ``runbus up`` was asked for. ``nats_url`` empty: an embedded server."""

    data_dir: Path
    host: str
    port: int
    nats_url: str = ""
    prefix: str = "rb"
    nats_server: str = ""
    sync_always: bool = False
    quiet: bool = False


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), default=Path("runbus-data"), envvar="RUNBUS_DATA_DIR",
              show_default=True, help="Where NATS, the ledger and the logs are kept.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the embedded NATS listens.")
@click.option("--port", default=4222, show_default=True, help="Its port; 0 takes a free one.")
@click.option("--nats-url", default="", help="Use the NATS server that is there (JetStream on) instead.")
@click.option("--nats-server", default="", envvar="RUNBUS_NATS_SERVER", help="The nats-server binary to embed.")
@click.option(
    "--prefix", default="rb", envvar="RUNBUS_PREFIX", show_default=True, help="First token of all subjects."
)
@click.option("--sync-always", is_flag=True, help="Sync every write to disk: a power cut loses nothing.")
def up(**options: object) -> None:
    """Start NATS, the services and a Local Runner; Ctrl-C drains and stops."""
    settings = msgspec.convert(options, UpSettings)
    raise SystemExit(run_process(lambda stop: run_up(settings, stop), report=_report_folded))


def _report_folded(error: RunbusError) -> None:
    """In lines as wide as the terminal: what a part has said of its end may be long."""
    if sys.stderr is not None and sys.stderr.isatty():
        error.message = folded(error.message, shutil.get_terminal_size().columns)
    report_as_text(error)


def folded(text: str, width: int) -> str:
    """Without control characters, and no line longer than that, unless one word is."""
    lines = [clean(line) for line in text.split("\n")]
    return "\n".join(
        textwrap.fill(line, max(width, 20), break_long_words=False, break_on_hyphens=False) for line in lines
    )


async def run_up(settings: UpSettings, stop: StopSignal) -> int:
    """Start everything, wait for the stop signal or the end of a part, stop in order."""
    started_s = time.monotonic()
    with held_directory(settings.data_dir):
        server = _server(settings)
        say(settings, f"Runbus {VERSION}, data in {settings.data_dir}")
        url = server.url if server else settings.nats_url
        supervisor = _supervisor(settings, url)
        try:
            if await _started(settings, server, supervisor, stop):
                say(settings, f"Ready in {time.monotonic() - started_s:.1f} s. Ctrl-C drains and stops.")
                say(settings, _first_command(url))
                return await _watch(supervisor, server, stop)
            return EXIT_OK
        finally:
            await _stop(settings, server, supervisor)


@contextmanager
def held_directory(data_dir: Path) -> Iterator[None]:
    """Make the data directory and hold it alone.

    Raises ``unavailable`` where it cannot be written, or another ``runbus up`` holds it.
    """
    try:
        (data_dir / "logs").mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "runbus.lock").open("a+")
    except OSError as cause:
        raise RunbusError(
            ErrorCode.UNAVAILABLE,
            f"the data directory {data_dir} cannot be used ({cause.strerror}): name a writable one with --data-dir.",
        ) from cause
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise RunbusError(
                ErrorCode.UNAVAILABLE,
                f"the data directory {data_dir} is in use by another 'runbus up' (process {holder}): "
                "stop that one, or name another directory with --data-dir.",
                details={"pid": holder},
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def say(settings: UpSettings, line: str) -> None:
    """Print a line now."""
    if not settings.quiet:
        print(line, flush=True)


def _server(settings: UpSettings) -> EmbeddedServer | None:
    if settings.nats_url:
        return None
    if settings.port:
        require_free(settings.host, settings.port)
    return EmbeddedServer(
        ServerSettings(
            data_dir=settings.data_dir,
            host=settings.host,
            port=settings.port,
            binary=settings.nats_server,
            sync_always=settings.sync_always,
        )
    )


def _supervisor(settings: UpSettings, url: str) -> Supervisor:
    common = {
        "RUNBUS_NATS_URL": url,
        "RUNBUS_PREFIX": settings.prefix,
        "RUNBUS_DATA_DIR": str(settings.data_dir),
        "RUNBUS_LOG_FORMAT": "json",
    }
    specs = part_specs(common, [runner_spec("local", local=True)])

    def on_ready(part: Part) -> None:
        say(settings, _line(part.spec.name, "ready", part.spec.remark or f"process {part.pid}"))

    return Supervisor(specs, settings.data_dir / "logs", on_ready=on_ready)


async def _started(
    settings: UpSettings, server: EmbeddedServer | None, supervisor: Supervisor, stop: StopSignal
) -> bool:
    """Start everything; False if told to stop meanwhile. The services start while NATS does, and wait for it."""
    async with Background(_start_bus(settings, server), *supervisor.starting()) as starting:
        return await starting.finished_before(stop)


async def _start_bus(settings: UpSettings, server: EmbeddedServer | None) -> None:
    if server is not None:
        await server.start()
        say(settings, _line("nats", "ready", f"{server.url}, JetStream on disk"))
        return
    async with connect(settings.nats_url, name="runbus-up") as bus:
        await bus.require_jetstream()
    say(settings, _line("nats", "given", without_credentials(settings.nats_url)))


async def _watch(supervisor: Supervisor, server: EmbeddedServer | None, stop: StopSignal) -> int:
    """Until told to stop; a part that ends by itself ends the rest, and the exit code says so."""

    async def part_ends() -> None:
        part = await supervisor.first_end()
        raise part.failure(f"ended unexpectedly: {part.how_it_ended}")

    async def server_ends() -> None:
        if server is None:
            await stop.wait()
        else:
            await server.ended()
            raise server.failure("it ended unexpectedly")

    async with Background(part_ends(), server_ends()) as background:
        await background.until(stop)
    return EXIT_OK


async def _stop(settings: UpSettings, server: EmbeddedServer | None, supervisor: Supervisor) -> None:
    await supervisor.stop(on_stopped=lambda part: say(settings, _line(part.spec.name, "stopped", "")))
    if server is not None:
        await server.stop()
        say(settings, _line("nats", "stopped", ""))


def _line(name: str, state: str, remark: str) -> str:
    return f"  {name:<14}{state:<9}{remark}".rstrip()


def _first_command(url: str) -> str:
    """What to try. Credentials are not repeated: terminals keep what they show, and so do journals."""
    shown = without_credentials(url)
    if shown != url:
        return "Try, with this NATS and its credentials in RUNBUS_NATS_URL: runbus run -- uname -a"
    option = "" if url == "nats://127.0.0.1:4222" else f"--nats-url {url} "
    return f"Try: runbus {option}run -- uname -a"
