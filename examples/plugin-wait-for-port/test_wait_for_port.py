# ruff: noqa: D102, D103, S101  (tests)
"""The plugin's own tests: a step is a plain class, so it needs no Runbus that runs. ``python -m pytest``."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
from runbus_wait_for_port import WaitForPortConfig, WaitForPortStep

from runbus.plugin import Node, ProcessExit, StepContext, StepError, StepResult, Stream


class FakeContext:
    """What a runner would give; it keeps what is written."""

    runner, project, execution, step = "web-1", "default", "my-1", 1
    work_dir = Path()
    node = Node(name="web-1")

    def __init__(self) -> None:
        self.env: Mapping[str, str] = {}
        self.log: list[tuple[Stream, str]] = []

    async def write(self, data: str | bytes, stream: Stream = Stream.STDOUT) -> None:
        self.log.append((stream, data if isinstance(data, str) else data.decode()))

    async def run_process(
        self, argv: Sequence[str], *, stdin: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> ProcessExit:
        raise AssertionError(f"this step runs no process: {argv} {stdin!r} {env}")


def wait(context: StepContext, **config: object) -> StepResult:
    """Convert the configuration as the runner does, and run the step."""
    converted = msgspec.convert(config, WaitForPortConfig)
    return asyncio.run(WaitForPortStep().run(converted, context))


def test_an_open_port() -> None:
    context = FakeContext()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert wait(context, host="127.0.0.1", port=port) == StepResult()
    assert context.log[-1] == (Stream.STDOUT, f"127.0.0.1:{port} accepts connections\n")


def test_a_closed_port_says_what_the_last_attempt_met() -> None:
    context = FakeContext()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but it does not listen
        port = taken.getsockname()[1]
        with pytest.raises(StepError, match=r"no connection within 0.1 s \(last: ConnectionRefusedError: "):
            wait(context, host="127.0.0.1", port=port, timeout_s=0.1, interval_s=0.01)
    assert len(context.log) == 2


@pytest.mark.parametrize(("field", "value"), [("port", 65536), ("port", "80"), ("timeout_s", 0), ("prot", 80)])
def test_a_wrong_configuration(field: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError, match=field):
        wait(FakeContext(), **{"host": "localhost", "port": 80, field: value})
