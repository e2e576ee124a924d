"""``runbus up``, and a part of it that does not go on: how that ended is said."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from runbus.cli.supervisor import Part, PartSpec
from tests.integration.cli_system import Cli

pytestmark = pytest.mark.slow


async def test_a_part_that_is_killed_is_named_with_the_signal(tmp_path: Path) -> None:
    up = await Cli("", tmp_path).start("up", "--port", "0", "--data-dir", "data")
    said = await up.says("Ready in ", on="out")
    found = re.search(r"keyproxy +ready +process (\d+)", said)
    assert found is not None, said
    os.kill(int(found[1]), signal.SIGKILL)
    done = await up.end()
    assert done.code == 1
    assert (
        "keyproxy ended unexpectedly: killed by SIGKILL, by hand or because memory had run out. Its log (" in done.err
    )


@pytest.mark.parametrize(
    ("command", "text"),
    [("kill -TERM $$", "killed by SIGTERM"), ("kill -36 $$", "killed by signal 36"), ("exit 3", "exit code 3")],
)
async def test_how_a_part_ended_is_said(tmp_path: Path, command: str, text: str) -> None:
    part = Part(PartSpec(name="a", module="a", env={}), tmp_path / "a.log")
    assert part.how_it_ended == ""
    part._process = await asyncio.create_subprocess_exec("sh", "-c", command)
    await asyncio.wait_for(part.ended(), 10)
    assert part.how_it_ended == text
