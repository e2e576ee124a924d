"""A script may hold secrets: only the user who runs it may read it, wherever it is placed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.workflow.scripts import DIRECTORY
from schemas.events import Dispatch
from schemas.states import ExecutionState
from tests.support.workflows import Rig, a_rig, local_nodes, script

MODE = '#!/bin/sh\nstat -c %a "$0"\n'


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with a_rig(tmp_path) as opened:
        yield opened


async def test_a_script_that_is_copied_to_a_node(rig: Rig, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    nodes = local_nodes("n1", **{DIRECTORY: str(there)})
    ran = await rig.run(script(MODE), dispatch=Dispatch(nodes=nodes, filter="tags: web"))
    assert ran.end.state is ExecutionState.SUCCEEDED, ran.message
    assert ran.output() == "700\n"
    assert list(there.iterdir()) == []


async def test_a_script_on_the_runner_itself(rig: Rig) -> None:
    assert (await rig.run(script(MODE))).output() == "700\n"
