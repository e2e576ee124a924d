"""What a step runs, how it ends, and what the execution says of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ErrorCode
from schemas.jobs import Step
from schemas.states import ExecutionState
from services.runner import workdir
from tests.support.system import System, script


@pytest.fixture(autouse=True)
async def local(system: System) -> None:
    await system.up("local")


async def test_an_inline_script_gets_its_arguments(system: System) -> None:
    ended = await system.run(script('printf "%s|" "$@"', args=["one", "two words", "$HOME"]))
    assert ended.state is ExecutionState.SUCCEEDED
    assert await system.output(ended.id) == b"one|two words|$HOME|"


async def test_arguments_in_one_text_are_split_as_a_shell_does(system: System) -> None:
    ended = await system.run(script('printf "%s|" "$@"', args="one 'two words'"))
    assert await system.output(ended.id) == b"one|two words|"


async def test_a_first_line_names_the_interpreter(system: System) -> None:
    ended = await system.run(script("#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1:])", args=["a"]))
    assert await system.output(ended.id) == b"['a']\n"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"interpreter": "python3 -I", "args": ["x"]}, b"['x']\n"),
        ({"interpreter": "python3 ${scriptfile} first", "args": ["x"]}, b"['first', 'x']\n"),
    ],
)
async def test_an_interpreter_is_used(system: System, config: dict[str, Any], expected: bytes) -> None:
    ended = await system.run(script("import sys\nprint(sys.argv[1:])", **config))
    assert await system.output(ended.id) == expected, ended.error


async def test_an_interpreter_that_wants_one_quoted_argument(system: System) -> None:
    config = {"interpreter": "sh -c", "interpreter_args_quoted": True, "args": ["a b"]}
    ended = await system.run(script('echo "$1"', **config))
    assert await system.output(ended.id) == b"a b\n", ended.error


async def test_a_script_file_of_the_runner(system: System, tmp_path: Path) -> None:
    path = tmp_path / "job.sh"
    path.write_text('echo "from a file: $1"\n')
    ended = await system.run([Step(plugin="script", config={"file": str(path), "args": ["x"]})])
    assert await system.output(ended.id) == b"from a file: x\n"


async def test_a_script_file_that_is_not_there(system: System, tmp_path: Path) -> None:
    ended = await system.run([Step(plugin="script", config={"file": str(tmp_path / "none.sh")})])
    assert ended.state is ExecutionState.FAILED
    assert ended.error is not None
    assert ended.error.code is ErrorCode.STEP_FAILED
    assert "none.sh is not there on runner local" in ended.error.message


async def test_steps_run_in_order_in_one_directory_until_one_fails(system: System) -> None:
    commands = ["echo one > note", "cat note; exit 4", "echo never"]
    steps = [Step(plugin="command", config={"command": each}) for each in commands]
    ended = await system.run(steps)
    assert (ended.state, ended.exit_code) == (ExecutionState.FAILED, 4)
    assert [(each.step, each.state) for each in ended.outcomes] == [
        (1, ExecutionState.SUCCEEDED),
        (2, ExecutionState.FAILED),
    ]
    assert await system.output(ended.id) == b"one\n"


@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
async def test_the_exit_code_is_that_of_the_command(system: System, code: int) -> None:
    ended = await system.run(f"exit {code}")
    assert (ended.exit_code, ended.signal) == (code, None)
    assert ended.state is (ExecutionState.FAILED if code else ExecutionState.SUCCEEDED)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
async def test_a_signal_is_named(system: System, name: str) -> None:
    ended = await system.run(f"kill -{name.removeprefix('SIG')} $$")
    assert (ended.state, ended.exit_code, ended.signal) == (ExecutionState.FAILED, None, name)
    assert ended.error is not None
    assert name in ended.error.message


async def test_a_program_that_is_not_there(system: System) -> None:
    ended = await system.run(script("x", interpreter="no-such-interpreter"))
    assert (ended.state, ended.exit_code) == (ExecutionState.FAILED, 127)


async def test_an_error_that_no_message_could_hold_still_ends_the_execution(system: System) -> None:
    ended = await system.run(script("x", interpreter="x" * 400_000), wait_s=5.0)
    assert ended.state is ExecutionState.FAILED
    assert ended.error is not None
    assert ended.error.code is ErrorCode.SPAWN_FAILED


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_thousands_of_steps_are_told_in_one_message(system: System) -> None:
    steps = [Step(plugin="command", config={"command": ":"})] * 3500
    ended = await system.run(steps, wait_s=100.0)
    assert ended.state is ExecutionState.SUCCEEDED
    assert len(ended.outcomes) == 3500


@pytest.mark.parametrize(
    "config",
    [{}, {"command": 1}, {"command": "true", "shell": "bash"}, {"command": None}],
)
async def test_a_configuration_that_the_plugin_does_not_take(system: System, config: dict[str, Any]) -> None:
    ended = await system.run([Step(plugin="command", config=config)])
    assert ended.state is ExecutionState.FAILED
    assert ended.error is not None
    assert "configuration is not valid" in ended.error.message


async def test_the_job_sees_its_context_and_none_of_the_runners_settings(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBUS_TEST_SECRET", "hidden")
    ended = await system.run("env", user="alice")
    env = dict(line.split("=", 1) for line in (await system.output(ended.id)).decode().splitlines() if "=" in line)
    assert env["RD_JOB_EXECID"] == ended.id
    assert (env["RD_JOB_PROJECT"], env["RD_JOB_USERNAME"]) == ("default", "alice")
    assert not [key for key in env if key.startswith("RUNBUS_")]


async def test_the_work_directory_is_gone_afterwards(system: System) -> None:
    ended = await system.run("pwd; touch file; mkdir -p a/b")
    path = Path((await system.output(ended.id)).decode().strip())
    assert path.is_absolute()
    assert not path.exists()


async def test_a_daemon_of_one_job_does_not_write_among_the_files_of_the_next(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a session of its own and let go of the output: only its directory tells that it is there."""
    monkeypatch.setattr(workdir, "LOOK_AT", 1)
    daemon = f"until [ -e {tmp_path}/go ]; do sleep 0.01; done; touch stray; touch {tmp_path}/done"
    first = await system.run(f"pwd; setsid sh -c '{daemon}' >/dev/null 2>&1 &")
    second = await system.run(f"pwd; touch {tmp_path}/go; until [ -e {tmp_path}/done ]; do sleep 0.01; done; ls")
    place = (await system.output(first.id)).decode().strip()
    assert second.state is ExecutionState.SUCCEEDED
    assert place.encode() not in await system.output(second.id)
    assert b"stray" not in await system.output(second.id)


async def test_a_work_directory_that_cannot_be_made_fails_the_job(system: System, tmp_path: Path) -> None:
    parent = tmp_path / "work"
    system.start_runner("b1", "linux", work_dir=str(parent))
    await system.runners_ready("b1")
    shutil.rmtree(parent)
    ended = await system.run("true", "linux", wait_s=5.0)
    assert (ended.state, ended.runner) == (ExecutionState.FAILED, "b1")
    assert ended.error is not None
    assert ended.error.code is ErrorCode.UNAVAILABLE
    assert str(parent) in ended.error.message
    assert (await system.ping("b1")).running == 0


async def test_work_directories_that_somebody_clears_away_are_made_anew(system: System, tmp_path: Path) -> None:
    parent = tmp_path / "work"
    parent.mkdir()
    system.start_runner("b1", "linux", work_dir=str(parent))
    await system.runners_ready("b1")
    assert (await system.run("true", "linux")).state is ExecutionState.SUCCEEDED
    for path in parent.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for command in ("true", "pwd; touch x"):
        assert (await system.run(command, "linux")).state is ExecutionState.SUCCEEDED
