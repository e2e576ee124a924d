"""How workflows end that are stopped: aborted, timed out, out of log; and secrets, which nothing tells."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.api import SecretValues
from schemas.errors import ErrorCode
from schemas.events import StoredKey
from schemas.jobs import Flow, LogLimit, Step, Strategy
from schemas.states import ExecutionState
from tests.support.waiting import eventually
from tests.support.workflows import (
    CAPTURE,
    Log,
    Ran,
    Rig,
    a_rig,
    an_assignment,
    call,
    job,
    line,
    on,
    run,
    say,
    script,
)

ABORTED, FAILED, OTHER = ExecutionState.ABORTED, ExecutionState.FAILED, ExecutionState.OTHER
SUCCEEDED, TIMEDOUT = ExecutionState.SUCCEEDED, ExecutionState.TIMEDOUT


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with a_rig(tmp_path) as opened:
        yield opened


def sleeping(directory: Path) -> Step:
    """Notes its process, and stays."""
    return line(f"touch {directory}/$$; exec sleep 60", error_handler=say("never"))


def alive(directory: Path) -> list[int]:
    return [int(path.name) for path in directory.iterdir() if os.path.exists(f"/proc/{path.name}")]  # noqa: PTH110


async def aborted(rig: Rig, *steps: Step, started: Any, state: ExecutionState = ABORTED, **fields: Any) -> Ran:
    """Run, and abort once ``started`` says so."""
    log = Log(SecretValues())
    running = asyncio.ensure_future(rig.carry_out(an_assignment(*steps, **fields), log))
    await eventually(started, what="it runs")
    rig.stop(state, "aborted by ann.")
    await running
    return Ran(log)


@pytest.mark.parametrize("strategy", Strategy)
async def test_aborted_while_several_nodes_run(rig: Rig, tmp_path: Path, strategy: Strategy) -> None:
    place = tmp_path / "pids"
    place.mkdir()
    ran = await aborted(
        rig, sleeping(place), say("never"), started=lambda: len(alive(place)) == 3,
        **on(*"abcde", threads=3, keepgoing=True, flow=Flow(strategy=strategy, keepgoing=True)),
    )  # fmt: skip
    assert not alive(place)
    assert (ran.end.state, ran.message) == (ABORTED, "aborted by ann.")
    # in parallel, the second step had ended on some nodes before
    first = [each for each in ran.end.steps if each.step == 1]
    assert {(each.state, each.signal, each.reason) for each in first} == {(ABORTED, "SIGTERM", "Interrupted")}
    assert not [each for each in ran.end.steps if each.handler]
    if strategy is not Strategy.PARALLEL:
        assert ran.end.nodes == {"failed": ["a", "b", "c"], "not_run": ["d", "e"]}


async def test_aborted_in_a_called_job(rig: Rig, tmp_path: Path) -> None:
    place = tmp_path / "pids"
    place.mkdir()
    calls = {"1": job(call(step={"error_handler": say("never")})), "1/1": job(sleeping(place))}
    step = call(step={"error_handler": say("never", keepgoing_on_success=True)})
    ran = await aborted(rig, step, say("never"), started=lambda: alive(place), calls=calls)
    assert ran.places == ["1/1/1", "1/1", "1"]
    assert {each.state for each in ran.end.steps} == {ABORTED}
    assert (ran.end.state, ran.message, ran.lines) == (ABORTED, "aborted by ann.", [])


async def test_aborted_while_a_plugin_waits(rig: Rig) -> None:
    def runs() -> bool:
        return rig.slots.find(("p", "e1", "1")) is not None

    ran = await aborted(rig, Step(plugin="waiting"), say("never"), started=runs)
    assert (ran.end.state, ran.end.exit_code, ran.lines) == (ABORTED, None, [])


async def test_timed_out_on_several_nodes(rig: Rig, tmp_path: Path) -> None:
    place = tmp_path / "pids"
    place.mkdir()
    ran = await rig.run(sleeping(place), **on("a", "b", "c", threads=2, keepgoing=True), timeout_s=0.3)
    assert not alive(place)
    assert ran.end.state is TIMEDOUT
    assert ran.message == "timed out: it ran longer than its limit of 0.3 s."
    assert ran.end.nodes == {"failed": ["a", "b"], "not_run": ["c"]}
    assert sorted(ran.places) == ["1@a", "1@b"]


async def test_a_limit_that_is_over_between_two_steps_starts_nothing_more(rig: Rig, tmp_path: Path) -> None:
    """The plugin is cancelled and ends as if it had been done."""
    trace = tmp_path / "trace"
    ran = await rig.run(
        line("trap 'exit 0' TERM; sleep 60 & wait"), line(f"touch {trace}"), timeout_s=0.2,
        flow=Flow(keepgoing=True),
    )  # fmt: skip
    assert ran.end.state is TIMEDOUT
    assert not trace.exists()


async def test_an_earlier_failure_does_not_hide_the_limit(rig: Rig) -> None:
    ran = await rig.run(line("exit 3"), line("exec sleep 60"), timeout_s=0.3, flow=Flow(keepgoing=True))
    assert (ran.end.state, ran.end.signal) == (TIMEDOUT, "SIGTERM")
    assert "timed out" in ran.message


@pytest.mark.parametrize(
    ("status", "state", "own"),
    [("failed", FAILED, ""), ("aborted", ABORTED, ""), ("too much", OTHER, "too much")],
)
@pytest.mark.parametrize("where", ["exec", "last words", "called"])
async def test_the_log_limit_halts(rig: Rig, status: str, state: ExecutionState, own: str, where: str) -> None:
    limit = LogLimit(limit="3", action="halt", status=status)
    endless = line("while :; do echo x; sleep 0.01; done", error_handler=say("never"))
    steps = {"exec": endless, "last words": line("seq 10"), "called": call(step={"error_handler": say("never")})}
    ran = await rig.run(
        steps[where], say("never"), log_limit=limit, calls={"1": job(endless)}, flow=Flow(keepgoing=True)
    )
    assert (ran.end.state, ran.end.status) == (state, own)
    assert "the log limit of 3 was reached" in ran.message
    assert "never" not in ran.output()


async def test_the_log_limit_truncates(rig: Rig) -> None:
    ran = await rig.run(line("seq 10"), say("more"), log_limit=LogLimit(limit="3", action="truncate"))
    assert ran.end.state is SUCCEEDED
    assert ran.lines == ["1", "2", "3", "4"]


async def test_the_log_limit_of_each_node(rig: Rig) -> None:
    limit = LogLimit(limit="2/node", action="halt")
    assert (await rig.run(line("seq 2"), log_limit=limit, **on("a", "b"))).end.state is SUCCEEDED
    ran = await rig.run(line("seq 3"), log_limit=limit, **on("a", "b"))
    assert (ran.end.state, ran.output()) == (FAILED, "1\n2\n3\n")


async def test_a_log_limit_that_cannot_be_read(rig: Rig) -> None:
    ran = await rig.run(say("x"), log_limit=LogLimit(limit="many"))
    assert (ran.end.state, ran.end.steps) == (FAILED, [])
    assert "the log limit 'many' cannot be read" in ran.message


# secrets

SECRETS = SecretValues(exposed={"shown": "open-sesame"}, private={"hidden": "s3cr3t-hidden"})
NEVER = re.compile(rb"open-sesame|s3cr3t-hidden")


async def test_what_scripts_see_of_secure_options(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "seen"
    ran = await rig.run(
        script(f"env > {file}; echo shown $RD_OPTION_SHOWN; echo '@option.shown@ @option.hidden@'"),
        run("echo ${option.shown} ${option.hidden} ${secureOption.shown}"),
        say("plugin ${option.shown} ${option.hidden}"),
        secrets=SECRETS,
    )
    env = dict(each.split("=", 1) for each in file.read_text().splitlines() if each.startswith("RD_"))
    assert env["RD_OPTION_SHOWN"] == env["RD_SECUREOPTION_SHOWN"] == "open-sesame"
    assert "s3cr3t-hidden" not in file.read_text()
    assert ran.lines == [
        "shown [SECURE]", "[SECURE] ", "[SECURE] [SECURE]", "plugin [SECURE] ${option.hidden}",
    ]  # fmt: skip
    assert not NEVER.search(b"".join(each.data for each in ran.log.messages))


async def test_captured_secrets_are_for_this_runner_only(rig: Rig) -> None:
    ran = await rig.run(
        line('echo "RUNDECK:DATA:x=a-$RD_OPTION_SHOWN"; echo "RUNDECK:DATA:y=1"', log_filters=[CAPTURE]),
        script('test "$RD_DATA_X" = a-open-sesame && echo ok @data.x@'),
        secrets=SECRETS, part=True,
    )  # fmt: skip
    assert ran.lines[-1] == "ok a-[SECURE]"
    assert ran.end.data["1@a1"] == {"data": {"y": "1"}}
    assert not NEVER.search(b"".join(each.data for each in ran.log.messages))


async def test_a_key_where_no_storage_is(rig: Rig) -> None:
    stored = {"pw": StoredKey(path="keys/pw", required=True)}
    ran = await rig.run(say("x"), stored=stored)
    assert (ran.end.state, ran.end.steps) == (FAILED, [])
    assert ran.end.error is not None
    assert ran.end.error.code is ErrorCode.INVALID_OPTION
    assert "keys/pw" in ran.message
    optional = {"pw": msgspec.structs.replace(stored["pw"], required=False)}
    assert (await rig.run(say("x"), stored=optional)).end.state is SUCCEEDED
