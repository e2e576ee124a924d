"""An execution shown while it runs: what it prints goes where a local command's output would."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Final, NoReturn, Protocol, TextIO

import click
import msgspec

from domain.ids import new_execution_id
from runbus.cli import exits
from runbus.cli.context import forget_stdout
from runbus.cli.failure import paint, reference
from runbus.cli.render import clean, duration, print_json, print_json_line, sentence, state_text
from runbus.cli.session import Session
from runbus.client import LogPiece
from schemas import catalog
from schemas.api import AbortRequest, ExecutionView, RunRequest
from schemas.errors import ErrorCode, RunbusError
from schemas.events import LogEntry
from schemas.states import FINAL, ExecutionState
from schemas.tokens import TagSet, identifier

PATIENCE_S: Final = 1.0
"""An execution that is queued for longer is said to be."""


class LogLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="runbus.cli.log.v1"):
    """A piece of log as ``--json`` prints it; ``--offset`` with its ``offset`` goes on behind it."""

    offset: int
    assignment: str
    runner: str
    entries: list[LogEntry]


class View(Protocol):
    """How an execution is shown."""

    def state(self, view: ExecutionView) -> None:
        """Its state has changed."""

    async def piece(self, piece: LogPiece) -> None:
        """It has printed something."""

    def remark(self, text: str) -> None:
        """Something about it that it did not print itself."""


class Output:
    """Our stdout and stderr as bytes. A remark never stands behind half a line."""

    def __init__(self) -> None:
        self._same = _same_file(sys.stdout, sys.stderr)
        self._open_lines = {"stdout": False, "stderr": False}

    async def write(self, stream: str, data: bytes) -> None:
        """Write, in a thread: a reader that pauses must not keep us from hearing Ctrl-C."""
        file = sys.stdout if stream == "stdout" else sys.stderr
        if file is not None and data:
            await asyncio.to_thread(_write_all, file, data)
            self._open_lines["stderr" if self._same else stream] = not data.endswith(b"\n")

    def remark(self, text: str) -> None:
        """A line on stderr."""
        start = "\n" if self._open_lines["stderr"] else ""
        self._open_lines["stderr"] = False
        click.echo(start + text, err=True)


class TextView:
    """For people: the runner at the top, then the output, then the end."""

    def __init__(self, output: Output, view: ExecutionView, *, timestamps: bool = False, framed: bool = True) -> None:
        self._output = output
        self._view = view
        self._framed = framed
        self._stamps = _Stamps() if timestamps else None
        self._told: tuple[str, int] = ("", 0)

    def state(self, view: ExecutionView) -> None:
        """The top line once a runner has it, the last line once it has ended."""
        self._view = view
        if view.runner:
            self._top(view.runner, view.attempt)
        if view.state in FINAL and self._framed:
            self._end(view)

    async def piece(self, piece: LogPiece) -> None:
        """Output goes where it would have gone; remarks of the runner go to stderr."""
        if not self._told[0]:
            self._top(piece.runner, 1)
        for entry in piece.entries:
            data = entry_bytes(entry)
            if self._stamps:
                data = self._stamps.put_before_lines(entry, data)
            await self._output.write("stdout" if entry.stream == "stdout" else "stderr", data)

    def remark(self, text: str) -> None:
        """To stderr."""
        self._output.remark(text)

    def _top(self, runner: str, attempt: int) -> None:
        if self._framed and self._told != (runner, attempt):
            self._told = (runner, attempt)
            again = f", attempt {attempt}" if attempt > 1 else ""
            self.remark(f"{paint('▶', 'cyan')} {self._view.id} on runner {paint(runner, bold=True)} "
                        f"({set_text(self._view)}){again}")  # fmt: skip

    def _end(self, view: ExecutionView) -> None:
        self.remark(f"■ {state_text(end_text(view))}")
        if view.error and not (view.error.code is ErrorCode.STEP_FAILED and len(view.steps) == 1):
            self.remark(f"  {clean(view.error.message)} {paint(reference(view.error), dim=True)}")


class JsonView:
    """For programs: one JSON object a line; the last one is the final state, unless only the log is wanted."""

    def __init__(self, *, states: bool = True) -> None:
        self._states = states

    def state(self, view: ExecutionView) -> None:
        """A ``runbus.execution.v1``."""
        if self._states:
            print_json_line(view)

    async def piece(self, piece: LogPiece) -> None:
        """A ``runbus.cli.log.v1``."""
        print_json_line(log_line(piece))

    def remark(self, text: str) -> None:
        """Nothing: it is for people."""


class _Stamps:
    """Puts the local time before each line of each stream."""

    def __init__(self) -> None:
        self._within_line = {"stdout": False, "stderr": False, "runner": False}

    def put_before_lines(self, entry: LogEntry, data: bytes) -> bytes:
        local = time.localtime(entry.at)
        stamp = f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}.{int(entry.at % 1 * 1000):03d} ".encode()
        lines = data.splitlines(keepends=True) if data.count(b"\r") == 0 else _lines(data)
        stamped = [line if at == 0 and self._within_line[entry.stream] else stamp + line
                   for at, line in enumerate(lines)]  # fmt: skip
        self._within_line[entry.stream] = not data.endswith(b"\n")
        return b"".join(stamped)


def _lines(data: bytes) -> list[bytes]:
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def entry_bytes(entry: LogEntry) -> bytes:
    """What the process wrote, to the byte."""
    return base64.b64decode(entry.base64) if entry.base64 else entry.text.encode()


def log_line(piece: LogPiece) -> LogLine:
    """As ``--json`` prints it."""
    return LogLine(offset=piece.seq, assignment=piece.assignment, runner=piece.runner, entries=piece.entries)


def set_text(view: ExecutionView) -> str:
    """The tags as people write them: ``dev+linux``."""
    return str(TagSet.from_token(view.set)) if view.set else "local"


def end_text(view: ExecutionView) -> str:
    """``failed, exit code 3, 1.2s``."""
    how = f"killed by {view.signal}" if view.signal else f"exit code {view.exit_code}"
    known = view.signal or view.exit_code is not None
    return sentence(str(view.state), how if known else "", duration(view.duration_s) if view.started_at else "")


async def start(session: Session, request: RunRequest, *, detach: bool) -> int:
    """Start a run and follow it to its end. We choose the id, so that it can be named whatever happens."""
    request = msgspec.structs.replace(
        request, project=session.project, user=session.user, id=request.id or new_execution_id()
    )
    accepted = await _accepted(session, request)
    if detach:
        _print_detached(session, accepted)
        return exits.OK
    following = Following(session, accepted)
    with following.interrupts({signal.SIGINT: following.abort_or_leave, signal.SIGTERM: following.terminate}):
        final = await following.run()
    return exits.of_execution(final)


async def _accepted(session: Session, request: RunRequest) -> ExecutionView:
    """Where no answer comes, say how to find out; a Ctrl-C meanwhile cannot know whether it came too late."""
    later = session.options.hint(f"execution show {request.id}")
    try:
        return await session.client.run(request)
    except RunbusError as error:
        if str(error.details.get("reason", "")).startswith("no answer"):
            error.message += f" It may have been accepted all the same: {later}"
        raise
    except asyncio.CancelledError:
        click.echo(f"It may have been accepted before this Ctrl-C: {later}", err=True)
        raise


def _print_detached(session: Session, view: ExecutionView) -> None:
    if session.options.as_json:
        print_json(view)
        return
    click.echo(view.id)
    hint = session.options.hint(f"execution log --follow {view.id}")
    click.echo(f"Accepted for {set_text(view)}. Follow it: {hint}", err=True)


class Following:
    """One execution followed to its end, and what signals do meanwhile."""

    def __init__(
        self,
        session: Session,
        view: ExecutionView,
        *,
        shown: View | None = None,
        after_log_seq: int = 0,
        to_the_end: bool = True,
    ) -> None:
        self._session = session
        self._first = view
        self._to_the_end = to_the_end
        self._shown = shown or (JsonView() if session.options.as_json else TextView(Output(), view))
        self._state = view.state
        self._aborting: asyncio.Task[None] | None = None
        self.offset = after_log_seq
        """Where to resume: behind the last piece that was printed."""

    async def run(self) -> ExecutionView:
        """Show it until it has ended (or what there is by now), and return its end."""
        queued = asyncio.get_running_loop().call_later(PATIENCE_S, self._say_queued)
        final = self._first
        try:
            async with aclosing(self._items()) as items:
                async for item in items:
                    if isinstance(item, LogPiece):
                        await self._shown.piece(item)
                        self.offset = item.seq
                    else:
                        final = item
                        self._state = item.state
                        self._shown.state(item)
        except OSError as cause:
            self._output_failed(cause)
        finally:
            queued.cancel()
        return final

    async def _items(self) -> AsyncGenerator[ExecutionView | LogPiece, None]:
        client, names = self._session.client, (self._first.project, self._first.id)
        if self._to_the_end:
            async for item in client.follow(*names, after_log_seq=self.offset):
                yield item
        else:
            async for piece in client.log(*names, after_seq=self.offset):
                yield piece

    @contextmanager
    def interrupts(self, handlers: dict[signal.Signals, Callable[[], None]]) -> Iterator[None]:
        """Have signals handled within the block."""
        loop = asyncio.get_running_loop()
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def abort_or_leave(self) -> None:
        """SIGINT: first abort, then leave."""
        if self._aborting is not None:
            self.leave(exits.ABORTED)
        self._shown.remark(f"Aborting {self._first.id} ... (Ctrl-C again leaves at once)")
        self._aborting = asyncio.ensure_future(self._abort())

    def terminate(self) -> None:
        """SIGTERM: leave."""
        self.leave(exits.TERMINATED)

    def leave(self, code: int) -> NoReturn:
        """End this process now, whatever it waits for, and say how to go on. The execution is not touched."""
        with suppress(OSError):
            click.echo(self._how_to_go_on(), err=True)
        os._exit(code)

    def _how_to_go_on(self) -> str:
        offset = f" --offset {self.offset}" if self.offset else ""
        command = self._session.options.hint(f"execution log --follow {self._first.id}{offset}")
        if self._state in FINAL:
            return f"The rest of its log: {command}"
        return f"The execution {'is being aborted' if self._aborting else 'goes on'}: {command}"

    async def _abort(self) -> None:
        names = self._first.id, self._first.project
        request = AbortRequest(
            execution=names[0], project=names[1], user=self._session.user, reason="Ctrl-C", wait_s=0.0
        )
        try:
            await self._session.call(catalog.ABORT, request, timeout_s=10.0)
        except RunbusError as error:
            if error.code is not ErrorCode.ALREADY_ENDED:
                self._shown.remark(f"{paint('Not aborted:', 'red')} {error.message}")

    def _say_queued(self) -> None:
        if self._state is ExecutionState.QUEUED:
            self._shown.remark(f"◌ {self._first.id} is queued: waiting for a runner ({set_text(self._first)})")

    def _output_failed(self, cause: OSError) -> NoReturn:
        """Our own output cannot be written; that is no reason to end what runs."""
        forget_stdout()
        if not isinstance(cause, BrokenPipeError):
            text = f"the output cannot be written ({cause.strerror}). {self._how_to_go_on()}"
            raise RunbusError(ErrorCode.UNAVAILABLE, text) from cause
        if self._state not in FINAL:
            self.leave(exits.CLOSED_PIPE)
        raise click.exceptions.Exit(exits.CLOSED_PIPE)


def execution_id(value: str) -> str:
    """An id as typed, if it can be one. Raises ``invalid_name``: in a subject a ``*`` would mean all of them."""
    return identifier("execution id", value)


def _write_all(file: TextIO, data: bytes) -> None:
    file.flush()
    file.buffer.write(data)
    file.buffer.flush()


def _same_file(one: TextIO | None, other: TextIO | None) -> bool:
    """Whether both end in the same place: a terminal, or ``2>&1``."""
    try:
        first, second = os.fstat(one.fileno() if one else -1), os.fstat(other.fileno() if other else -1)
    except (OSError, ValueError):
        return False
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)
