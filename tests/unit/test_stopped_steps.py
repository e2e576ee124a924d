"""How the process of a step ended that was stopped, where the log takes nothing and so the plugin is cut off."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from runbus.plugin import Stream
from schemas.errors import ErrorCode
from schemas.events import Assignment, StepOutcome
from schemas.jobs import Step
from schemas.states import ExecutionState
from services.runner.inventory import PluginInventory
from services.runner.process import GroupFile
from services.runner.steps import Bench, Stopper, carry_out_step


class StuckLog:
    """The bus is away, and its buffer full."""

    async def write(self, _stream: Stream, _step: int, _data: bytes) -> None:
        await asyncio.Event().wait()


def bench(directory: Path) -> Bench:
    plugins = PluginInventory("a1")
    plugins.load()
    stuck: Any = StuckLog()
    assignment = Assignment(
        execution="e1", assignment="1", project="p", attempt=1, title="", steps=[], timeout_s=0.2
    )  # fmt: skip
    return Bench(
        runner="a1", assignment=assignment, work_dir=directory, env={"PATH": os.environ["PATH"]},
        groups=GroupFile.open(directory / "groups"), log=stuck, plugins=plugins, stopper=Stopper(), grace_s=0.1,
    )  # fmt: skip


async def carry_out(directory: Path, command: str) -> StepOutcome:
    at = bench(directory)
    deadline_s = asyncio.get_running_loop().time() + 0.2
    try:
        return await carry_out_step(at, 1, Step(plugin="command", config={"command": command}), deadline_s)
    finally:
        at.groups.close()


@pytest.mark.parametrize(
    ("command", "signal", "code"),
    [
        ("echo; exec sleep 60", "SIGTERM", None),
        ("trap '' TERM; echo; while :; do sleep 0.01; done", "SIGKILL", None),
        ("trap 'exit 7' TERM; echo; while :; do sleep 0.01; done", None, 7),
    ],
)
async def test_the_end_of_the_process_is_told(
    tmp_path: Path, command: str, signal: str | None, code: int | None
) -> None:
    outcome = await carry_out(tmp_path, command)
    assert (outcome.state, outcome.signal, outcome.exit_code) == (ExecutionState.TIMEDOUT, signal, code)
    assert outcome.error is not None
    assert outcome.error.code is ErrorCode.TIMEOUT
