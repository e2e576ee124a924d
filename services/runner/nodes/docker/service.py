"""Commands and files in containers."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from typing import Any, Final

from aiodocker.containers import DockerContainer
from aiodocker.execs import Exec
from aiodocker.stream import Stream as ExecStream

from runbus.plugin import FailureReason, Node, NodeContext, ProcessExit, StepError, Stream
from services.runner.nodes.docker.client import FAULTS, Engines, failed
from services.runner.nodes.docker.place import Place, place_of
from services.runner.nodes.marks import environment_of, new_mark, signal_script
from services.runner.nodes.settings import NodeSettings
from services.runner.nodes.shell import LINE, OF_VARIABLE, holds_secret, is_posix

_STDERR: Final = 2
_KILLED_WITHIN_S: Final = 2.0
_SETTLE_WITHIN_S: Final = 2.0
"""How long an engine may take to know the exit code of a command whose output has ended."""
_LOOK_EVERY_S: Final = 0.02
_FEED_BYTES: Final = 64 * 1024


class DockerService:
    """What both plugins of ``docker`` do."""

    def __init__(self, *, grace_s: float = 5.0) -> None:
        self._engines = Engines()
        self._grace_s = grace_s

    async def execute(self, node: Node, line: str, context: NodeContext) -> ProcessExit:
        """Run a line. Raises :class:`StepError` with the reason."""
        place, mark = place_of(node, NodeSettings(node, context)), new_mark()
        hidden = {LINE: line} if holds_secret(context, line) and is_posix(place.shell) else {}
        try:
            container = await self._container(place)
            running = await container.exec(
                [place.shell, "-c", OF_VARIABLE if hidden else line],
                user=place.user,
                environment={**context.env, **environment_of(mark), **hidden},
            )
            pumping = asyncio.create_task(_pump(running, context))
            try:
                await asyncio.shield(pumping)
            except BaseException:
                await self._stop(container, place, mark, pumping)
                raise
            code = await _exit_code(running)
        except FAULTS as cause:
            raise failed(node.name, place, cause) from cause
        if code is None:
            raise StepError(
                f"Node {node.name} ({place}): the engine broke off while the command ran; whether it goes on "
                "there is not known. Look in the container before you run it again.",
                reason=FailureReason.CONNECTION_FAILURE,
            )
        return ProcessExit(exit_code=code)

    async def copy(self, node: Node, content: bytes, destination: str, context: NodeContext) -> None:
        """Write a file, as the user that commands run as. Raises :class:`StepError` with the reason.

        By a command and not as an archive: what an engine unpacks does not reach what is mounted in the container,
        such as a ``/tmp`` in memory.
        """
        place = place_of(node, NodeSettings(node, context))
        path = shlex.quote(destination)
        script = (
            f"umask 077; set -C; rm -f -- {path} && head -c {len(content)} > {path} && "
            f"[ $(wc -c < {path}) = {len(content)} ] || {{ rm -f -- {path}; exit 1; }}"
        )
        try:
            container = await self._container(place)
            code, said = await _run(container, [place.shell, "-c", script], user=place.user, stdin=content)
        except FAULTS as cause:
            raise failed(node.name, place, cause) from cause
        if code != 0:
            why = said.decode(errors="replace").strip() or f"the shell there ended with {code}"
            raise StepError(
                f"Node {node.name} ({place}): the file {destination} could not be written: {why}. Nothing is left; "
                "look at the directory, its owner and its free space.",
                reason=FailureReason.IO_FAILURE,
            )

    async def close(self) -> None:
        """Close every connection."""
        await self._engines.close()

    async def _container(self, place: Place) -> DockerContainer:
        client = await self._engines.client(place.engine)
        return await client.containers.get(place.container)

    async def _stop(self, container: DockerContainer, place: Place, mark: str, pumping: asyncio.Task[None]) -> None:
        """SIGTERM, grace, SIGKILL, by second commands: an engine passes no signals on to what it executes."""
        try:
            for signal, within_s in (("TERM", self._grace_s), ("KILL", _KILLED_WITHIN_S)):
                if pumping.done():
                    return
                with contextlib.suppress(*FAULTS):
                    script = signal_script(mark, signal, siblings=False)
                    await _run(container, [place.shell, "-c", script], user="0")
                await asyncio.wait({pumping}, timeout=within_s)
        finally:
            pumping.cancel()
            await asyncio.gather(pumping, return_exceptions=True)


async def _pump(running: Exec, context: NodeContext) -> None:
    async with running.start(detach=False) as stream:
        while (message := await stream.read_out()) is not None:
            await context.write(message.data, Stream.STDERR if message.stream == _STDERR else Stream.STDOUT)


async def _exit_code(running: Exec) -> int | None:
    deadline_s = time.monotonic() + _SETTLE_WITHIN_S
    while True:
        found: dict[str, Any] = await running.inspect()
        if not found["Running"]:
            code = found["ExitCode"]
            return None if code is None else int(code)
        if time.monotonic() > deadline_s:
            return None
        await asyncio.sleep(_LOOK_EVERY_S)


async def _run(
    container: DockerContainer, argv: list[str], *, user: str, stdin: bytes | None = None
) -> tuple[int | None, bytes]:
    """The exit code, and everything that it wrote."""
    running = await container.exec(argv, user=user, stdin=stdin is not None)
    parts = []
    async with running.start(detach=False) as stream:
        writing = asyncio.create_task(_feed(stream, stdin or b""))
        try:
            while (message := await stream.read_out()) is not None:
                parts.append(message.data)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
    return await _exit_code(running), b"".join(parts)


async def _feed(stream: ExecStream, data: bytes) -> None:
    """A program that ends before it has read everything is no error here: its exit code tells."""
    with contextlib.suppress(*FAULTS):
        for start in range(0, len(data), _FEED_BYTES):
            await stream.write_in(data[start : start + _FEED_BYTES])
