"""A line that a secure value was filled into is no argument of a shell: the process list shows it to everybody."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.api import SecretValues
from schemas.states import ExecutionState
from services.runner.nodes.shell import hidden_input
from tests.support.workflows import Rig, a_rig, line, on, run, script

SECRET = "it's s3cr3t-$HOME"
PLAIN = "pl4in-s3cr3t"
HELD = SecretValues(exposed={"pw": SECRET, "plain": PLAIN})
SHELLS = ("sh", "bash", "dash", "zsh", "mksh", "ksh93", "fish", "tcsh")
SEEN = "cat /proc/[0-9]*/cmdline > {file} 2>/dev/null; "


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with a_rig(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("nodes", [{}, on("n1")], ids=["own", "node"])
async def test_on_the_runner(rig: Rig, tmp_path: Path, nodes: dict[str, Any]) -> None:
    seen = tmp_path / "seen"
    step = run(f"{SEEN.format(file=seen)} echo ${{option.pw}} ${{option.plain}} | tee {tmp_path}/got; exit 3")
    ran = await rig.run(step, secrets=HELD, **nodes)
    assert ran.outcome("1", "n1" if nodes else "").exit_code == 3
    assert (tmp_path / "got").read_text() == f"{SECRET} {PLAIN}\n"
    assert ran.output() == "[SECURE] [SECURE]\n"
    found = seen.read_text(errors="replace")
    assert "tee" in found or "eval" in found
    assert "s3cr3t-$HOME" not in found
    assert PLAIN not in found


async def test_a_value_that_only_the_log_tells_of(rig: Rig, tmp_path: Path) -> None:
    """``::add-mask::``: it is known from there on, whatever brings it into a line."""
    seen = tmp_path / "seen"
    lines = [line("echo ::add-mask::l34rned-v4lue"), line(f"{SEEN.format(file=seen)} echo l34rned-v4lue >/dev/null")]
    ran = await rig.run(*lines)
    assert ran.end.state is ExecutionState.SUCCEEDED
    assert b"l34rned-v4lue" not in seen.read_bytes()


@pytest.mark.parametrize(
    "command",
    [
        'echo "$0 $# [$-] ${RUNBUS_LINE-none}"; env | grep ^RUNBUS_LINE; cat; :',
        "set -e; false; echo not reached",
        "set -u; echo $NOT_SET; echo not reached",
        "exit 7",
        "kill -TERM $$",
        "cat <<END\n$HOME `echo sub` $(echo sub) \\$x\nEND",
        'printf "%s|" "a  b" \'c"d\' e\\ f; echo',
        "cd /; pwd; umask; trap 'echo bye' EXIT; false",
        "unfinished '",
        "echo a \\",
        "nosuch; echo $?",
        "f() { echo $1; return 4; }; f x",
        "exec sh -c 'exit 5'",
        "# only a comment",
    ],
)
async def test_it_runs_as_by_sh_c(rig: Rig, command: str) -> None:
    bare = await rig.run(line(command))
    hidden = await rig.run(line(command), secrets=SecretValues(exposed={"all": command}))
    ended = [(ran.outcome("1").state, ran.outcome("1").exit_code, ran.outcome("1").signal) for ran in (bare, hidden)]
    assert ended[0] == ended[1]
    assert hidden.output() == bare.output()
    assert hidden.output("stderr").replace("eval: ", "") == bare.output("stderr")


async def test_the_environment_is_the_step_s_and_no_file_is_left(rig: Rig) -> None:
    ran = await rig.run(run("ls -A; echo $RD_JOB_EXECID $RD_OPTION_PLAIN ${option.plain}"), secrets=HELD)
    assert ran.output() == "e1 [SECURE] [SECURE]\n"


async def test_a_script_s_shell_does_not_have_it_either(rig: Rig, tmp_path: Path) -> None:
    """The script is asked for by its author to have it as an argument; the shell that starts it need not."""
    seen = tmp_path / "seen"
    text = f"cat /proc/$PPID/cmdline > {seen}; [ \"$1\" = '{PLAIN}' ]"
    ran = await rig.run(script(text, args="${option.plain} '${option.pw}'"), secrets=HELD)
    assert ran.end.state is ExecutionState.SUCCEEDED
    assert PLAIN.encode() not in seen.read_bytes()


@pytest.mark.parametrize("shell", [each for each in SHELLS if shutil.which(each)])
@pytest.mark.parametrize("text", ["echo one 'two  three' x!; cat; echo four", "exit 7", "echo unfinished '"])
def test_what_is_sent_to_a_node_means_the_same_to_every_login_shell(shell: str, text: str) -> None:
    """Run as sshd runs it, by those that are installed."""
    program = shutil.which(shell) or ""
    sent, given = hidden_input(text)

    def ran(words: str, stdin: bytes) -> tuple[int, bytes]:
        env = {**os.environ, "SHELL": program}
        done = subprocess.run([program, "-c", words], input=stdin, env=env, capture_output=True, check=False)
        return done.returncode, done.stdout

    assert ran(sent, given) == ran(text, b"")
    assert ran(sent, given[:-1]) == (255, b""), "half of it is not run"
