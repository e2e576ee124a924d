"""An execution followed while it runs, and what signals do meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Final, NoReturn

import click
import msgspec

from domain.ids import new_execution_id
from runbus.cli import exits
from runbus.cli.context import forget_stdout
from runbus.cli.failure import paint
from runbus.cli.render import print_json
from runbus.cli.session import Session
from runbus.cli.show import JsonView, Output, TextView, View, set_text
from runbus.client import LogPiece
from schemas import catalog
from schemas.api import AbortRequest, ExecutionView, RunRequest
from schemas.errors import ErrorCode, RunbusError
from schemas.states import FINAL, ExecutionState
from schemas.tokens import identifier

PATIENCE_S: Final = 1.0
"""An execution that is queued for longer is said to be."""


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
        return await (session.client.run_sealed(request) if request.options else session.client.run(request))
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
