"""Taking secrets out of the environment of a process."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from bus.environment import taken

SECRET = "s3cret-\N{SNOWMAN}-" * 10
SHOWN = """
import os
import sys
from bus.environment import taken
os.environ["LATER"] = "x" * 5000
print(len(taken({"RUNBUS_MASTER_KEY", "RUNBUS_EMPTY", "RUNBUS_ABSENT"})), flush=True)
sys.stdout.buffer.write(open("/proc/self/environ", "rb").read().replace(b"\\0", b"\\n"))
"""


def test_what_is_taken_is_returned_and_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBUS_A", SECRET)
    monkeypatch.setenv("RUNBUS_AB", "kept")
    monkeypatch.delenv("RUNBUS_B", raising=False)
    assert taken({"RUNBUS_A", "RUNBUS_B"}) == {"RUNBUS_A": SECRET}
    assert "RUNBUS_A" not in os.environ
    assert os.environ["RUNBUS_AB"] == "kept"
    assert taken({"RUNBUS_A", "RUNBUS_B"}) == {}


async def test_what_a_process_was_started_with_is_blanked_out() -> None:
    given = {"RUNBUS_MASTER_KEY": SECRET, "RUNBUS_MASTER_KEY_FILE": "kept", "RUNBUS_EMPTY": "", "RUNBUS_PREFIX": "rb"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SHOWN, stdout=asyncio.subprocess.PIPE, env={**os.environ, **given}
    )
    said, _ = await process.communicate()
    lines = said.decode().splitlines()
    assert lines[0] == "2", "of the three, those that were set"
    assert f"RUNBUS_MASTER_KEY={'x' * len(SECRET.encode())}" in lines
    assert {"RUNBUS_MASTER_KEY_FILE=kept", "RUNBUS_EMPTY=", "RUNBUS_PREFIX=rb"} <= set(lines)
    assert "s3cret" not in said.decode()
