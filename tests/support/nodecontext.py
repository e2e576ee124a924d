"""What a node executor has of its runner, recorded: a :class:`runbus.plugin.NodeContext` without a runner."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from runbus.plugin import FailureReason, Node, ProcessExit, StepError, Stream
from services.runner.process import ChildProcess, ProcessSpec
from services.runner.process import Stream as OutputStream


class RecordingContext:
    """Settings are the node's attributes, else ``settings``; output is kept; processes run for real."""

    def __init__(
        self, node: Node, work_dir: Path, *, settings: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None, env: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.runner = "test-runner"
        self.project = "default"
        self.execution = "0001"
        self.work_dir = work_dir
        self.env = dict(env or {})
        self.written: list[tuple[Stream, bytes]] = []
        self.flow = asyncio.Event()
        """Writing waits while it is not set."""
        self.flow.set()
        self._node = node
        self._settings = dict(settings or {})
        self._secrets = dict(secrets or {})

    @property
    def stdout(self) -> bytes:
        return self._text(Stream.STDOUT)

    @property
    def stderr(self) -> bytes:
        return self._text(Stream.STDERR)

    @property
    def remarks(self) -> str:
        return self._text(Stream.RUNNER).decode()

    def setting(self, name: str) -> str | None:
        return self._node.attributes.get(name, self._settings.get(name))

    async def secret(self, path: str) -> str:
        try:
            return self._secrets[path]
        except KeyError:
            raise StepError(f"there is no key {path}.", reason=FailureReason.NOT_FOUND) from None

    async def write(self, data: str | bytes, stream: Stream = Stream.STDOUT) -> None:
        await self.flow.wait()
        self.written.append((stream, data.encode() if isinstance(data, str) else data))

    async def run_process(
        self, argv: Sequence[str], *, stdin: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> ProcessExit:
        async def on_output(stream: OutputStream, data: bytes) -> None:
            await self.write(data, Stream(stream))

        whole = {**os.environ, **self.env, **(env or {})}
        spec = ProcessSpec(argv=argv, env=whole, cwd=self.work_dir, stdin=stdin)
        result = await ChildProcess(spec, on_output=on_output).run()
        return ProcessExit(exit_code=result.exit_code, signal=result.signal)

    def _text(self, stream: Stream) -> bytes:
        return b"".join(data for each, data in self.written if each is stream)
