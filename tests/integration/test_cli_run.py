"""``runbus run`` and ``job run``: output, exit codes, signals, following."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import signal

import pytest

from bus.server import EmbeddedServer
from schemas.states import ExecutionState
from tests.integration.cli_system import RUNBUS, Cli
from tests.support.system import System

pytestmark = pytest.mark.slow

_ID = r"[0-9a-z]{26}"


async def test_output_goes_where_a_local_command_would_put_it(system: System) -> None:
    cli = Cli.of(await system.up("web-1:LINUX,DEV"))
    done = await cli(
        "run", "--tags", "LINUX+DEV", "--", r"echo out; printf 'err\n' >&2; printf '\377\376\000x'; exit 3"
    )
    assert done.out == b"out\n\xff\xfe\x00x"
    assert done.code == 3
    top, middle, last = done.err.splitlines()
    assert re.fullmatch(rf"▶ {_ID} on runner web-1 \(dev\+linux\)", top)
    assert middle == "err"
    assert re.fullmatch(r"■ failed, exit code 3, \d+ms", last)


async def test_without_a_selection_it_runs_on_the_local_runner_for_the_user(system: System) -> None:
    cli = Cli.of(await system.up("local", "web-1:LINUX"))
    done = await cli("run", "--json", "--", "echo $RD_JOB_USERNAME")
    assert done.final.runner == "local"
    assert done.final.user == "ann"
    assert [line["state"] for line in done.lines if "state" in line] == ["queued", "running", "succeeded"]
    (log,) = [line for line in done.lines if line["type"] == "runbus.cli.log.v1"]
    assert log["entries"][0]["text"] == "ann\n"
    assert done.err == ""


async def test_one_word_is_a_shell_line_and_several_are_quoted(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    line, words, unmarked = await asyncio.gather(
        cli("run", "--", "echo $((1 + 2)) | tr 3 4"),
        cli("run", "--", "printf", "[%s]", "a  b", "it's", "$HOME", "*", ""),
        cli("run", "printf", "[%s]", "--json", "-x"),
    )
    assert line.out == b"4\n"
    assert words.out == b"[a  b][it's][$HOME][*][]"
    assert unmarked.out == b"[--json][-x]"


async def test_scripts_get_the_words_as_their_arguments(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    script = "#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1:], sys.argv[0][-3:])\n"
    (cli.directory / "s.py").write_text(script)
    of_file, of_stdin, by_interpreter = await asyncio.gather(
        cli("run", "--script", "s.py", "--", "a b", "c'd", "$HOME"),
        cli("run", "--script", "-", "--", "x y", stdin=b'echo "<$1>"'),
        cli("run", "--script", "-", "--interpreter", "cat", stdin=b"as it is\n"),
    )
    assert of_file.text == """['a b', "c'd", '$HOME'] .py\n"""
    assert of_stdin.out == b"<x y>\n"
    assert by_interpreter.out == b"as it is\n"


async def test_exit_codes(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    wanted = {
        "true": 0, "exit 77": 77, "kill -KILL $$": 137, "/no/such/command": 127, "kill -TERM $$": 143,
    }  # fmt: skip
    done = await asyncio.gather(*(cli("run", "--", command) for command in wanted))
    assert [each.code for each in done] == list(wanted.values())
    assert "■ failed, killed by SIGKILL, " in done[2].last_remark
    late = await cli("run", "--timeout", "200ms", "--", "sleep 60")
    assert late.code == 124
    assert "■ timedout, " in late.err
    assert "limit of 0.2 s. (timeout, id " in late.last_remark


async def test_an_execution_that_someone_aborts_ends_with_130(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    running = await cli.start("run", "--id", "mine", "--", "echo on; sleep 60")
    await running.says("on\n", on="out")
    aborted = await cli("execution", "abort", "mine", "--reason", "no need")
    assert re.fullmatch(r"mine: aborted, .*\n", aborted.text)
    done = await running.end()
    assert done.code == 130
    assert "aborted by ann: no need. (aborted, id " in done.last_remark


async def test_a_lost_runner_ends_with_123_after_all_its_output(system: System) -> None:
    cli = Cli.of(await system.up())
    first = system.start_runner("web-1", "linux", program=True)
    await system.runners_ready("web-1")
    running = await cli.start("run", "--tags", "linux", "--", "echo begun; exec sleep 5")
    await running.says("begun\n", on="out")
    await system.kill(first)
    system.start_runner("web-1", "linux")
    done = await running.end()
    assert done.code == 123
    assert done.out == b"begun\n"
    assert "runner web-1 was restarted while it " in done.last_remark


async def test_the_first_ctrl_c_aborts_and_waits_for_the_end(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    running = await cli.start("run", "--", "trap 'echo cleaned; exit 9' TERM; echo on; while :; do sleep 0.05; done")
    await running.says("on\n", on="out")
    running.signal(signal.SIGINT)
    done = await running.end()
    assert done.code == 130
    assert done.out == b"on\ncleaned\n"
    assert re.search(rf"Aborting {_ID} \.\.\. \(Ctrl-C again leaves at once\)\n(.*\n)?■ aborted, ", done.err)
    assert "aborted by ann: Ctrl-C. (aborted, id " in done.last_remark


async def test_the_second_ctrl_c_leaves_and_says_how_to_go_on(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    running = await cli.start("run", "--id", "stubborn", "--", "trap '' TERM; echo on; while :; do sleep 0.05; done")
    await running.says("on\n", on="out")
    running.signal(signal.SIGINT)
    await running.says("Aborting stubborn")
    running.signal(signal.SIGINT)
    done = await running.end()
    assert done.code == 130
    assert re.fullmatch(
        r"The execution is being aborted: runbus execution log --follow stubborn --offset \d+", done.last_remark
    )
    assert (await system.end_of("stubborn")).state is ExecutionState.ABORTED


async def test_sigterm_leaves_the_execution_alone(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    running = await cli.start("run", "--id", "x1", "--", "echo on; while [ ! -e go ]; do sleep 0.05; done; echo off")
    await running.says("on\n", on="out")
    running.signal(signal.SIGTERM)
    done = await running.end()
    assert done.code == 143
    assert done.last_remark.startswith("The execution goes on: runbus execution log --follow x1 --offset ")
    assert (await cli("execution", "abort", "x1")).code == 0


async def test_a_reader_that_goes_away_ends_the_command_and_not_the_execution(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    read, write = os.pipe()
    try:
        command = "echo on; while :; do echo more; sleep 0.02; done"
        running = await cli.start("run", "--id", "x2", "--", command, stdout=write)
    finally:
        os.close(write)
    await asyncio.to_thread(os.read, read, 1)
    os.close(read)
    done = await running.end()
    assert done.code == 141
    assert done.last_remark.startswith("The execution goes on: runbus execution log --follow x2 --offset ")
    assert (await system.show("x2")).state is ExecutionState.RUNNING
    assert (await cli("execution", "abort", "x2")).code == 0


async def test_output_that_cannot_be_written_is_said(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    full = os.open("/dev/full", os.O_WRONLY)
    running = await cli.start("run", "--", "echo on", stdout=full)
    os.close(full)
    done = await running.end()
    assert done.code == 125
    assert "Error: the output cannot be written (No space left on device)." in done.last_remark


async def test_no_byte_of_a_large_output_is_lost(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    done = await cli("run", "--", "seq 1 500000")
    assert done.code == 0
    wanted = "".join(f"{number}\n" for number in range(1, 500_001)).encode()
    assert hashlib.sha256(done.out).digest() == hashlib.sha256(wanted).digest()


async def test_the_last_line_never_stands_behind_half_a_line(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    read, write = os.pipe()
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", 'exec "$0" run -- printf half 2>&1', str(RUNBUS),
        env=cli.env, stdout=write,
    )  # fmt: skip
    os.close(write)
    assert await process.wait() == 0
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read().decode()
    assert "\nhalf\n■ succeeded, exit code 0, " in text


async def test_detached_it_prints_the_id_and_can_be_followed(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    command = f"echo one; while [ ! -e {cli.directory / 'go'} ]; do sleep 0.02; done; echo two"
    started = await cli("run", "--detach", "--", command)
    execution = started.text.strip()
    assert re.fullmatch(_ID, execution)
    assert f"runbus execution log --follow {execution}" in started.err
    following = await cli.start("execution", "log", "-f", execution)
    await following.says("one\n", on="out")
    following.signal(signal.SIGINT)
    left = await following.end()
    assert left.code == 130
    found = re.search(rf"runbus execution log --follow {execution} --offset (\d+)$", left.last_remark)
    assert found
    (cli.directory / "go").touch()
    rest = await cli("execution", "log", "-f", execution, "--offset", found[1])
    assert (rest.code, rest.out) == (0, b"two\n")
    assert "■ succeeded, exit code 0" in rest.last_remark


async def test_a_chosen_id_makes_a_second_run_follow_the_first(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    one, two = await asyncio.gather(*(cli("run", "--id", "once", "--", "echo $$; exit 4") for _ in range(2)))
    assert (one.code, two.code) == (4, 4)
    assert one.out == two.out
    other = await cli("run", "--id", "once", "--", "echo another")
    assert other.code == 125
    assert "(already_exists, id " in other.err


async def test_a_run_that_waits_for_its_runner_says_so(system: System) -> None:
    cli = Cli.of(await system.up())
    running = await cli.start("run", "--wait-for-runner", "--tags", "late", "--", "echo here")
    await running.says("is queued: waiting for a runner (late)")
    system.start_runner("late-1", "late")
    done = await running.end()
    assert (done.code, done.out) == (0, b"here\n")
    assert " on runner late-1 (late)\n" in done.err


async def test_a_queued_run_ends_at_its_deadline(system: System) -> None:
    cli = Cli.of(await system.up())
    done = await cli("run", "--wait-for-runner", "--deadline", "300ms", "--tags", "never", "--", "true")
    assert done.code == 124
    assert "■ timedout\n" in done.err
    assert "No connected runner of project default bears never" in done.last_remark


async def test_the_connection_may_be_lost_while_it_follows(own_system: System, server: EmbeddedServer) -> None:
    cli = Cli.of(await own_system.up("local"))
    command = f"echo one; while [ ! -e {cli.directory / 'go'} ]; do sleep 0.02; done; echo two"
    running = await cli.start("run", "--", command)
    await running.says("one\n", on="out")
    await server.stop()
    await running.says("The connection to NATS is lost; trying again ...")
    await server.start()
    await running.says("Connected to NATS again.")
    (cli.directory / "go").touch()
    done = await running.end()
    assert (done.code, done.out) == (0, b"one\ntwo\n")
