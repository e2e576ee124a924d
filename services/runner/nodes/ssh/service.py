"""Commands and files over the pool's connections, with errors that name the node."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

import asyncssh

from domain.context.quoting import Target
from runbus.plugin import FailureReason, Node, NodeContext, ProcessExit, StepError, Stream
from services.runner.nodes.settings import NodeSettings
from services.runner.nodes.shell import hidden_input, holds_secret
from services.runner.nodes.ssh import failures
from services.runner.nodes.ssh.command import Command, ConnectionLostError, run_command
from services.runner.nodes.ssh.copying import CopyError, copy_file
from services.runner.nodes.ssh.opening import Opener
from services.runner.nodes.ssh.pool import IDLE_S, SESSIONS, Link, Pool
from services.runner.nodes.ssh.resolve import route_of
from services.runner.nodes.ssh.route import Route

T = TypeVar("T")

_SUDO: Final = re.compile(r"^sudo\s.*", re.DOTALL)
"""The original's ``sudo-command-pattern``, as it is by default."""


class SshService:
    """What both plugins of ``ssh`` do."""

    def __init__(self, *, idle_s: float = IDLE_S, grace_s: float = 5.0, linger_s: float = 5.0) -> None:
        self.pool = Pool(Opener(), idle_s=idle_s)
        self._grace_s = grace_s
        self._linger_s = linger_s

    async def execute(self, node: Node, line: str, context: NodeContext) -> ProcessExit:
        """Run a line. Raises :class:`StepError` with the reason."""
        settings = NodeSettings(node, context)
        _refuse_sudo(line, settings)
        route = await route_of(node, context)
        has_pty = settings.flag("always-set-pty", default=False)
        stdin = b""
        if not has_pty and _is_hidden(node, line, context, settings):
            line, stdin = hidden_input(line)
        command = Command(
            line=line,
            env=_sendable(context) if settings.flag("ssh-send-env", default=True) else None,
            stdin=stdin,
            has_pty=has_pty,
            grace_s=self._grace_s,
            linger_s=self._linger_s,
        )
        limit_ms = settings.number("ssh-command-timeout", default=0)
        work = partial(_run, command=command, context=context)
        try:
            async with asyncio.timeout(limit_ms / 1000 if limit_ms else None) as limit:
                return await self._on_link(node, route, work)
        except TimeoutError:
            if not limit.expired():
                raise
            raise StepError(
                f"Node {node.name} ({route}): the command ran longer than ssh-command-timeout allows "
                f"({limit_ms} ms) and was ended.",
                reason=FailureReason.CONNECTION_TIMEOUT,
            ) from None
        except ConnectionLostError as lost:
            raise failures.lost(node.name, route, lost.cause) from lost

    async def copy(self, node: Node, content: bytes, destination: str, context: NodeContext) -> None:
        """Write a file. Raises :class:`StepError` with the reason."""
        route = await route_of(node, context)
        try:
            await self._on_link(node, route, partial(copy_file, content=content, destination=destination))
        except CopyError as failed:
            raise StepError(
                f"Node {node.name} ({route}): the file {destination} could not be written: {failed}.",
                reason=FailureReason.IO_FAILURE,
            ) from failed
        except (asyncssh.Error, OSError) as cause:
            raise StepError(
                f"Node {node.name} ({route}): the connection was lost while {destination} was written ({cause}). "
                "What is there of it may be left.",
                reason=FailureReason.CONNECTION_FAILURE,
            ) from cause

    async def close(self) -> None:
        """End every connection."""
        await self.pool.close()

    async def _on_link(self, node: Node, route: Route, work: Callable[[Link], Awaitable[T]]) -> T:
        """Work on a connection; where nothing reached the server over a used or full one, once more on another."""
        for _ in range(SESSIONS + 1):
            try:
                async with self.pool.lease(route) as link:
                    was_used = link.used
                    try:
                        return await work(link)
                    except failures.NothingSentError as unsent:
                        if not _worth_another(link, unsent.cause, was_used=was_used):
                            raise failures.not_opened(node.name, route, unsent.cause) from unsent
            except failures.ConnectError as error:
                raise failures.connect_failed(node.name, route, error) from error
        raise failures.not_opened(
            node.name, route, asyncssh.ConnectionLost("connections break as soon as they stand")
        )


async def _run(link: Link, command: Command, context: NodeContext) -> ProcessExit:
    async def write(data: bytes, stream: Stream) -> None:
        await context.write(data, stream)

    return await run_command(link, command, write)


def _worth_another(link: Link, cause: BaseException, *, was_used: bool) -> bool:
    if link.connection.is_closed() or not isinstance(cause, asyncssh.ChannelOpenError):
        link.retired = True
        return was_used
    if link.sessions > 1:
        link.capacity = link.sessions - 1
        return True
    return False


def _sendable(context: NodeContext) -> dict[str, str]:
    return {name: value for name, value in context.env.items() if "\0" not in value}


def _is_hidden(node: Node, line: str, context: NodeContext, settings: NodeSettings) -> bool:
    """Whether a line goes by standard input: it holds a secret, and a shell of unix takes it."""
    is_unix = not Target(node.attributes.get("osFamily", "")).is_windows
    return is_unix and settings.flag("ssh-secrets-by-stdin", default=True) and holds_secret(context, line)


def _refuse_sudo(line: str, settings: NodeSettings) -> None:
    if _SUDO.match(line) and settings.flag("sudo-command-enabled", default=False):
        raise settings.wrong(
            "sudo-command-enabled wants a password typed at sudo's prompt, which Runbus does not do; allow the "
            "command with NOPASSWD in sudoers and leave the setting out"
        )
