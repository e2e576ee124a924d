"""``runbus up``, and a part of it that does not go on: how that ended is said."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from runbus.cli.supervisor import Part, PartSpec, last_words
from runbus.cli.up import folded
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
        "keyproxy ended unexpectedly: killed by SIGKILL, by hand or because memory had run out. Its log is data/logs/"
        "keyproxy.log." in done.err
    )


async def test_what_it_said_in_this_run_is_told_and_nothing_of_earlier_ones(tmp_path: Path) -> None:
    cli = Cli("", tmp_path)
    words = ("up", "--port", "0", "--data-dir", "data")
    log = tmp_path / "data" / "logs" / "keyproxy.log"
    log.parent.mkdir(parents=True)
    log.write_text('{"level": "error", "event": "stopped", "error": "of an earlier run"}\n' * 5)
    done = await cli(*words, env={"RUNBUS_MASTER_KEY": "n0-base64!"})
    assert done.code == 1
    assert done.err.splitlines()[-1] == (
        "Error: keyproxy ended: exit code 1. It said: the master key in RUNBUS_MASTER_KEY is no base64. It is 32 "
        "random bytes in base64: 'openssl rand -base64 32' makes one. Its log is data/logs/keyproxy.log. "
        "(unavailable)"
    )
    assert "earlier" not in done.err
    assert '{"' not in done.err


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([], ""),
        (['{"level": "info", "event": "ready"}'], ""),
        (
            ['{"level": "error", "event": "stopped", "error": "no disk."}', '{"level": "info", "event": "x"}'],
            "no disk.",
        ),
        (['{"level": "error", "event": "fell"}', ""], "fell"),
        (['{"level": "error", "error": "old"}', *['{"level": "info", "event": "ready"}'] * 5], ""),
        (
            ['{"level": "info"}', "Traceback (most recent call last):", "  in x", "ImportError: none"],
            "ImportError: none",
        ),
        (["[1]"], "[1]"),
    ],
)
def test_the_last_words_of_a_log(lines: list[str], text: str) -> None:
    assert last_words(lines) == text


def test_long_words_are_folded() -> None:
    assert folded("one two three four\n  five", 20) == "one two three four\n  five"
    assert folded("a part that ended said this", 20) == "a part that ended\nsaid this"
    assert folded("bad\x1b[2J", 20) == "bad\ufffd[2J"


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
