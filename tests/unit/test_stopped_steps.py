"""How the process of a step ended that was stopped, where the log takes nothing and so the plugin is cut off."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ErrorCode
from schemas.events import Assignment, StepOutcome
from schemas.jobs import Step
from schemas.states import ExecutionState
from services.runner.scope import scope_of
from services.runner.units import carry_out_unit
from tests.support.bench import a_bench, a_task, step_log


class StuckShip:
    """The bus is away, and its buffer full."""

    async def write(self, *_what: Any) -> None:
        await asyncio.Event().wait()


ASSIGNMENT = Assignment(execution="e1", assignment="1", project="p", attempt=1, title="", steps=[], timeout_s=0.2)


async def carry_out(directory: Path, command: str) -> StepOutcome:
    stuck: Any = StuckShip()
    bench = a_bench(directory, ASSIGNMENT, ship=stuck)
    deadline_s = asyncio.get_running_loop().time() + 0.2
    task = a_task(bench, Step(plugin="command", config={"command": command}))
    try:
        return await carry_out_unit(bench, scope_of(ASSIGNMENT, {}), task, step_log(bench), deadline_s=deadline_s)
    finally:
        bench.groups.close()


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
