"""Wrong input of each kind: one sentence that says what to do, a code, an exit code, and never a traceback."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from schemas.errors import ErrorCode
from schemas.states import RunnerStatus
from tests.integration.cli_system import Cli, Done
from tests.support.parts import ProgramPart
from tests.support.system import System

pytestmark = pytest.mark.slow

_BAD = "- name: a\n  sequence: {commands: []}\n- name: b\n  timeout: soon\n  sequence: {commands: [{exec: date}]}\n"
_PLUGIN = "- name: lookup\n  sequence: {commands: [{type: datadog, configuration: {}}]}\n"


def refused(done: Done, code: str, *parts: str, by_the_command: bool = False) -> None:
    """An id stands there exactly where a service refused: it is in the log of that one."""
    assert done.code == 125, done.err
    assert done.out == b""
    assert done.err.startswith("Error"), done.err
    reference = rf"\({code}\)" if by_the_command else rf"\({code}, id [0-9a-f]{{12}}\)"
    assert re.search(reference, done.err), done.err
    for part in parts:
        assert part in done.err


async def test_runs_that_are_refused(system: System) -> None:
    cli = Cli.of(await system.up("local", "web-1:LINUX"))
    (cli.directory / "big.sh").write_bytes(b"a" * (2 << 20))
    nobody, tag, big, job, project, name = await asyncio.gather(
        cli("run", "--tags", "LINUX+PROD", "--", "true"),
        cli("run", "--tags", "A++B", "--", "true"),
        cli("run", "--script", "big.sh"),
        cli("job", "run", "nix"),
        cli("run", "--project", "nix", "--", "true"),
        cli("run", "--id", "a b", "--", "true"),
    )
    refused(nobody, "no_runner", "No connected runner of project default bears prod", "--wait-for-runner")
    refused(tag, "invalid_tag", "'' is not a valid tag: a tag cannot be empty")
    refused(big, "too_large", "the bus takes 1048576 at most", by_the_command=True)
    refused(job, "unknown_job", "project default has no job 'nix'")
    refused(project, "unknown_project", "project 'nix' is not known; there are: default.")
    refused(name, "invalid_name", "execution id 'a b' is not a valid name")


async def test_a_plugin_that_no_runner_bears_in_the_words_of_the_original(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    put = await cli("job", "put", "-", stdin=_PLUGIN.encode())
    text = (
        "Reason: The datadog plugin was not found on Runner ID = local. "
        "You may need to upgrade your Runner or select a different Runner."
    )
    assert put.code == 0
    assert f"Warning: lookup: it could not run now. {text}\n" == put.err
    refused(await cli("job", "run", "lookup"), "plugin_not_found", text)


async def test_runners_and_executions_that_are_not_there(system: System) -> None:
    cli = Cli.of(await system.up("web-1:LINUX"))
    await cli("runner", "create", "new-1", "--tags", "A")
    ping, silent, star, show, abort, log, wild = await asyncio.gather(
        cli("runner", "ping", "nix"),
        cli("runner", "ping", "new-1"),
        cli("runner", "ping", "*"),
        cli("execution", "show", "nix"),
        cli("execution", "abort", "nix"),
        cli("execution", "log", "nix", "-f"),
        cli("execution", "log", "*"),
    )
    refused(ping, "unknown_runner", "no runner has the id 'nix'")
    refused(
        silent,
        "runner_not_connected",
        "runner new-1 is not connected: it is New, it has never checked in.",
        by_the_command=True,
    )
    refused(star, "invalid_name", "runner id '*' is not a valid name", by_the_command=True)
    for each in (show, abort, log):
        refused(each, "unknown_execution", "project default has no execution 'nix'.")
    refused(wild, "invalid_name", "execution id '*' is not a valid name", by_the_command=True)


async def test_a_runner_that_is_gone_is_told_with_when_it_was_seen(system: System) -> None:
    cli = Cli.of(await system.up())
    part = system.start_runner("web-1", "linux")
    await system.runners_ready("web-1")
    system.forget(part)
    drained = await cli("runner", "drain", "web-1")
    assert drained.text == "web-1 takes no new work and leaves.\n"
    await system.runner_is("web-1", RunnerStatus.DOWN)
    done = await cli("runner", "ping", "web-1")
    refused(done, "runner_not_connected", by_the_command=True)
    assert re.search(
        r"runner web-1 is not connected: it is Down, last seen (now|\S+ ago) \(\d{4}-.{14}\)\.", done.err
    )


async def test_a_runner_id_that_is_taken(system: System) -> None:
    cli = Cli.of(await system.up("web-1:LINUX"))
    done = await cli("runner", "start", "--id", "web-1", "--tags", "DEV")
    assert done.code == 1
    assert "the runner id 'web-1' is taken: another runner is connected under it" in done.err
    line = json.loads(done.err.splitlines()[-1])
    assert line["code"] == "runner_id_taken"
    assert re.fullmatch("[0-9a-f]{12}", line["error_id"])


async def test_the_id_of_a_failure_stands_in_the_log_of_the_runner(system: System) -> None:
    await system.up()
    part = system.start_runner("local", local=True, program=True)
    assert isinstance(part, ProgramPart)
    await system.runners_ready("local")
    done = await Cli.of(system)("run", "--timeout", "100ms", "--", "sleep 60")
    found = re.search(r"\(timeout, id ([0-9a-f]{12})\)", done.err)
    assert found, done.err
    assert found[1] in part.program.log


async def test_job_files_with_problems(system: System) -> None:
    cli = Cli.of(await system.up())
    (cli.directory / "bad.yaml").write_text(_BAD)
    (cli.directory / "good.yaml").write_text("- name: c\n  sequence: {commands: [{exec: date}]}\n")
    (cli.directory / "bytes.yaml").write_bytes(b"- name: \xff\n")
    problems = ["bad.yaml:2:24: [0].sequence.commands: no step;", "bad.yaml:4:12: [1].timeout: "]
    put, check = await asyncio.gather(
        cli("job", "put", "bad.yaml", "bytes.yaml", "good.yaml"),
        cli("job", "check", "bad.yaml", "bytes.yaml", "good.yaml"),
    )
    assert (put.code, check.code) == (125, 1)
    assert put.text.startswith("created c (")
    assert re.search(r"^Error \(invalid_job, id [0-9a-f]{12}\):\nbad\.yaml:2:24: ", put.err, re.M)
    assert "bytes.yaml:1:9: not UTF-8 text; save it as UTF-8" in put.err
    for problem in problems:
        assert problem in put.err
        assert problem in check.text
    assert "bytes.yaml:1:9: not UTF-8 text; save it as UTF-8\ngood.yaml: good, 1 job\n" in check.text


async def test_with_json_an_error_is_json_on_stdout(system: System) -> None:
    cli = Cli.of(await system.up())
    before, behind = await asyncio.gather(
        cli("--json", "run", "--tags", "nix", "--", "true"), cli("runner", "show", "nix", "--json")
    )
    assert (before.code, before.error.error.code) == (125, ErrorCode.NO_RUNNER)
    assert before.error.error.details["borne_by_none"] == ["nix"]
    assert behind.error.error.code is ErrorCode.UNKNOWN_RUNNER
    assert before.err == behind.err == ""


async def test_without_nats_it_says_so_at_once(tmp_path: Path) -> None:
    cli = Cli("nats://127.0.0.1:1", tmp_path)
    done = await cli("run", "--", "true")
    refused(
        done,
        "unavailable",
        "no NATS server answers at nats://127.0.0.1:1",
        "Start one with 'runbus up'",
        by_the_command=True,
    )


async def test_without_services_it_says_so_at_once(nats_url: str, tmp_path: Path) -> None:
    cli = Cli(nats_url, tmp_path, prefix="nobody-here")
    refused(
        await cli("run", "--", "true"),
        "unavailable",
        "nobody-here.api.dispatcher.run: nobody listens.",
        by_the_command=True,
    )


async def test_a_misspelt_variable_is_refused(tmp_path: Path) -> None:
    cli = Cli("nats://127.0.0.1:1", tmp_path)
    done = await cli("runner", "list", env={"RUNBUS_NATS_ULR": "x"})
    refused(done, "invalid_message", "RUNBUS_NATS_ULR", "did you mean RUNBUS_NATS_URL?", by_the_command=True)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("run",), "What is it to run? Give a command behind '--', or --script FILE."),
        (("run", "--", " "), "What is it to run?"),
        (("run", "--tags", "a", "--local", "--", "true"), "--tags, --filter and --local exclude each other"),
        (("run", "--interpreter", "sh", "--", "true"), "--interpreter goes with --script."),
        (("run", "--script", "nix.sh"), "File 'nix.sh' does not exist."),
        (("run", "--script", "-"), "the script - is empty."),
        (("run", "--timeout", "soon", "--", "true"), "'soon' is not a duration above 0"),
        (("execution", "list", "--since", "soon"), "'soon' is no moment"),
        (("execution", "list", "--state", "nix"), "'nix' is not one of 'queued'"),
        (("runner", "start",), "Missing option '--id'"),
        (("runner", "start", "--id", "a", "--tags", "A++B"), "'' is not a valid tag"),
        (("runner", "tags", "a", "--set", "x", "--add", "y"), "--set replaces all tags"),
        (("job", "put", "nix.yaml"), "File 'nix.yaml' does not exist."),
        (("contract", "nix"), "'nix' is not one of 'asyncapi', 'schema', 'subjects'."),
        (("nix",), "No such command 'nix'."),
        (("exection", "list"), "No such command 'exection'. Did you mean 'execution'?"),
        (("runner", "strat"), "No such command 'strat'. Did you mean 'start'?"),
    ],
)  # fmt: skip
async def test_a_wrong_command_line_ends_with_2(words: tuple[str, ...], text: str, tmp_path: Path) -> None:
    done = await Cli("nats://127.0.0.1:1", tmp_path)(*words)
    assert done.code == 2
    assert done.out == b""
    assert text in done.err
    assert done.err.startswith("Usage: runbus")


async def test_an_argument_that_is_no_text_is_refused(system: System) -> None:
    cli = Cli.of(await system.up("local"))
    done = await cli("run", "--", b"echo \xff")
    assert done.code == 2
    assert r"'echo \udcff' is not valid UTF-8 text" in done.err
