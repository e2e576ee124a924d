"""The log of an execution on several nodes, as ``runbus execution log`` prints it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from schemas.codec import encode
from schemas.events import AssignmentFinished, AssignmentStarted, Event, ExecutionQueued, LogChunk, LogEntry
from schemas.jobs import Step
from schemas.states import ExecutionState
from tests.integration.cli_system import Cli
from tests.support.system import System

PROJECT, EXECUTION = "default", "made-by-hand"


async def put(system: System) -> None:
    """Store the history of an execution on two nodes, as a dispatcher and a runner do."""
    now = datetime.now(UTC)
    entries = [
        LogEntry(at=0.0, stream="stdout", step=1, text="one\n", node="web-1"),
        LogEntry(at=0.0, stream="stdout", step=1, text="two\nthree\n", node="db"),
        LogEntry(at=0.0, stream="stderr", step=2, text="four\n", node="web-1", context="2/1"),
    ]
    chunk = LogChunk(chunk=1, attempt=1, entries=entries)
    seq = await system.bus.append(system.subjects.log(PROJECT, EXECUTION, "1", "web"), encode(chunk))
    step = Step(plugin="command", config={"command": "true"})
    queued = ExecutionQueued(
        execution=EXECUTION, project=PROJECT, at=now, title="true", steps=[step], set="linux", node_count=2
    )
    started = AssignmentStarted(
        execution=EXECUTION, assignment="1", project=PROJECT, attempt=1, at=now, runner="web", instance="i"
    )
    finished = AssignmentFinished(
        execution=EXECUTION, assignment="1", project=PROJECT, attempt=1, at=now, state=ExecutionState.SUCCEEDED,
        runner="web", last_log_seq=seq,
    )  # fmt: skip
    history: list[tuple[str, str, Event]] = [
        ("0", "dispatcher", queued),
        ("1", "web", started),
        ("1", "web", finished),
    ]
    for assignment, author, event in history:
        await system.bus.append(system.subjects.event(PROJECT, EXECUTION, assignment, author), encode(event))


@pytest.mark.slow
async def test_lines_bear_their_node_and_can_be_chosen_by_it(system: System) -> None:
    cli = Cli.of(await system.up())
    await put(system)

    everything = await cli("execution", "log", EXECUTION)
    assert everything.text == "web-1 | one\ndb    | two\ndb    | three\n"
    assert everything.err == "web-1 2/1 | four\n"

    one = await cli("execution", "log", EXECUTION, "--node", "db")
    assert (one.text, one.err) == ("two\nthree\n", "")

    followed = await cli("execution", "log", "--follow", EXECUTION, "--node", "web-1", "--node", "gone")
    assert followed.text == "web-1 | one\n"
    assert followed.err.splitlines()[1] == "web-1 2/1 | four"
    assert followed.last_remark == "The log has nothing of node gone."

    asked = await cli("execution", "log", "--json", EXECUTION, "--node", "db")
    assert [[entry["node"] for entry in line["entries"]] for line in asked.lines] == [["db"]]
