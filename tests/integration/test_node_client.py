"""A client that is not ours: Node, the official NATS client, JSON. Nothing of Runbus is installed for it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import pytest_asyncio

from schemas import catalog
from schemas.api import JobPutRequest, RunRequest
from schemas.keys import SealingKeyRequest
from schemas.subjects import Subjects
from tests.support.example_system import Ended, example_system, missing, must, run_command
from tests.support.leaks import found_in
from tests.support.overheard import files_below, overheard
from tests.support.parts import Part, ProgramPart
from tests.support.processes import ROOT
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = [pytest.mark.node, pytest.mark.slow]
in_module_loop = pytest.mark.asyncio(loop_scope="module")

EXAMPLE: Final = ROOT / "examples" / "node-client"
REFUSED: Final = 125
SECRET: Final = "s3cr3t & h4ndsh4ke ü"


class NodeClient:
    """The example's programs, installed in a copy."""

    def __init__(self, directory: Path, url: str) -> None:
        self._directory = directory
        self._url = url

    async def __call__(self, program: str, *args: str) -> Ended:
        return await run_command(["node", program, "--server", self._url, *args], cwd=self._directory)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            missing(f"{program} is not on PATH: the example needs Node.js 20 or newer with npm")
    copy = tmp_path_factory.mktemp("node") / "node-client"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("node_modules"))
    await must(["npm", "ci", "--prefer-offline", "--no-audit", "--no-fund"], cwd=copy)
    return copy


class Site(NamedTuple):
    """What runs for the client."""

    system: System
    dispatcher: Part


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(
    installed: Path,  # noqa: ARG001 (comes first, as it may skip)
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Site]:
    """Registry, dispatcher and a runner with two tags, each a process."""
    async with example_system(tmp_path_factory.mktemp("system")) as started:
        dispatcher = started.start_dispatcher(program=True)
        started.start_runner("web-1", "LINUX,DEV", program=True)
        await started.ready()
        await started.runners_ready("web-1")
        yield Site(started, dispatcher)


@pytest.fixture(scope="module")
def node(installed: Path, site: Site) -> NodeClient:
    return NodeClient(installed, site.system.url)


def test_it_is_pinned_and_comes_from_any_registry() -> None:
    lock = (EXAMPLE / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert '"@nats-io/jetstream": "3.4.0"' in (EXAMPLE / "package.json").read_text()


def test_it_knows_no_python_and_no_package_of_ours() -> None:
    sources = "".join(path.read_text() for path in EXAMPLE.rglob("*.mjs") if "node_modules" not in path.parts)
    imported = set(re.findall(r'^import .* from "(.+)";$', sources, re.MULTILINE))
    assert len(imported) > 5
    assert {each for each in imported if not each.startswith(("./", "node:"))} == {
        "@nats-io/transport-node",
        "@nats-io/jetstream",
        "libsodium-wrappers",
    }


@in_module_loop
async def test_run_prints_the_runner_then_the_log_then_the_result(node: NodeClient) -> None:
    ended = await node("run.mjs", "--tags", "LINUX+DEV", "--", "echo", "out;", "echo", "err", ">&2;", "exit", "3")
    lines = ended.stdout.splitlines()
    assert lines[:2] == ["runner: web-1", "out"]
    assert lines[2].startswith("result: failed, exit code 3, after 0.")
    assert len(lines) == 3
    assert ended.stderr.splitlines() == ["err", "step_failed: step 1 (command) failed: exit code 3."]
    assert ended.exit_code == 3


@in_module_loop
async def test_a_long_log_comes_whole_and_in_order(node: NodeClient) -> None:
    ended = await node("run.mjs", "--tags", "dev", "--", "seq 1 20000; printf '\\377\\n' >&2")
    lines = ended.stdout.splitlines()
    assert (ended.exit_code, lines[0]) == (0, "runner: web-1")
    assert lines[1:-1] == [str(number) for number in range(1, 20001)]
    assert lines[-1].startswith("result: succeeded, exit code 0, after ")
    assert ended.stderr == "\N{REPLACEMENT CHARACTER}\n"


@in_module_loop
async def test_no_output_at_all(node: NodeClient) -> None:
    ended = await node("run.mjs", "--tags", "dev", "--", "true")
    assert [line.split()[0] for line in ended.stdout.splitlines()] == ["runner:", "result:"]
    assert ended.exit_code == 0


@in_module_loop
async def test_a_signal_is_an_exit_code_as_in_the_shell(node: NodeClient) -> None:
    ended = await node("run.mjs", "--tags", "dev", "--", "kill -KILL $$")
    assert "result: failed, ended by SIGKILL, after" in ended.stdout
    assert ended.exit_code == 128 + 9


@in_module_loop
async def test_the_same_id_is_the_same_execution(node: NodeClient, tmp_path: Path) -> None:
    traces = tmp_path / "traces"
    command = f"echo ran >> {traces}; echo once"
    first = await node("run.mjs", "--tags", "dev", "--id", "same-1", "--", command)
    again = await node("run.mjs", "--tags", "dev", "--id", "same-1", "--", command)
    assert (first.exit_code, again) == (0, first)
    assert traces.read_text() == "ran\n"


@in_module_loop
async def test_unknown_tags_are_refused_with_code_and_text(node: NodeClient) -> None:
    ended = await node("run.mjs", "--tags", "LINUX+PROD", "--", "true")
    assert (ended.exit_code, ended.stdout) == (REFUSED, "")
    assert ended.stderr.startswith("no_runner: No connected runner of project default bears prod")
    assert "(dispatcher, error id " in ended.stderr


@in_module_loop
async def test_a_misused_command_line_sends_nothing(node: NodeClient) -> None:
    assert (await node("run.mjs", "--tag", "dev", "--", "true")).exit_code == 2
    assert (await node("submit.mjs", "--tags", "dev", "--", "true")).exit_code == 2
    assert (await node("run.mjs", "--deadline", "soon", "--", "true")).exit_code == 2


@in_module_loop
async def test_without_a_server_it_says_so(installed: Path) -> None:
    ended = await NodeClient(installed, "nats://127.0.0.1:1")("run.mjs", "--", "true")
    assert ended.exit_code == REFUSED
    assert ended.stderr == "unavailable: nats://127.0.0.1:1: connection refused\n"


@in_module_loop
async def test_submitted_and_followed(node: NodeClient) -> None:
    ended = await node("submit.mjs", "--id", "durable-1", "--tags", "LINUX+DEV", "--", "echo hi; exit 4")
    assert ended.stdout.splitlines()[:3] == ["stored: durable-1", "runner: web-1", "hi"]
    assert ended.exit_code == 4


@in_module_loop
async def test_a_refused_submission_ends_with_the_error(node: NodeClient) -> None:
    ended = await node("submit.mjs", "--id", "durable-2", "--tags", "PROD", "--", "true")
    assert ended.stdout.splitlines()[0] == "stored: durable-2"
    assert ended.stdout.splitlines()[1].startswith("result: failed, after 0.000 s")
    assert ended.stderr.startswith("no_runner: No connected runner of project default bears prod")
    assert ended.exit_code == REFUSED


@pytest_asyncio.fixture(loop_scope="module")
async def seen(site: Site, tmp_path: Path) -> Path:
    """A stored job with a secure option: where its child writes down what it was given."""
    path = tmp_path / "seen"
    script = f'printf %s "$RD_OPTION_PASSWORD" >> {path}; echo "with $RD_OPTION_PASSWORD"'
    text = f"""\
- name: login
  group: shop
  options: [{{name: password, secure: true, valueExposed: true, required: true}}]
  runnerSelector: {{filter: "LINUX,DEV", runnerFilterMode: TAGS, runnerFilterType: TAG_FILTER_AND}}
  sequence: {{commands: [{{script: {json.dumps(script)}}}]}}
"""
    await site.system.client.call(catalog.JOB_PUT, JobPutRequest(text=text))
    (tmp_path / "password").write_text(f"{SECRET}\n")
    return path


@in_module_loop
async def test_a_secure_value_reaches_the_child_and_nobody_else(node: NodeClient, site: Site, seen: Path) -> None:
    system = site.system
    async with overheard(system) as heard:
        ended = await node("secure.mjs", "--secure-option", f"password=@{seen.parent / 'password'}", "shop/login")
        assert ended.stdout.splitlines()[:2] == ["runner: web-1", "with [SECURE]"], ended.stderr
        assert (ended.exit_code, ended.stderr, seen.read_text()) == (0, "", SECRET)
        text = ended.stdout.encode() + b"".join(heard) + files_below(system.directory)
        assert b"sealed_options" in text
        assert b"runbus.assignment_finished.v1" in text
        assert found_in(text, {"password": SECRET}) == []

        await system.client.run(RunRequest(job="shop/login", options={"password": SECRET}, wait_s=20.0))
        assert found_in(b"".join(heard), {"password": SECRET}), "we would not hear one that is not sealed"


@in_module_loop
async def test_where_the_dispatcher_of_the_key_is_gone_another_is_asked(
    node: NodeClient, site: Site, seen: Path
) -> None:
    """The answer of one that is gone by now comes first; the one that is there is halted until it has come."""
    client, halted = site.system.client, site.dispatcher
    assert isinstance(halted, ProgramPart)
    asked = catalog.RUN_SEALING.subject(site.system.subjects)
    key = await client.call(catalog.RUN_SEALING, SealingKeyRequest())
    gone = json.dumps({"public_key": key.public_key, "instance": f"{key.instance}-before"}).encode()
    halted.program.signal(signal.SIGSTOP)
    try:
        early = await client.bus.client.subscribe(asked, max_msgs=1)
        await client.bus.flush()
        arguments = ("--id", "sealed-1", "--secure-option", f"password=@{seen.parent / 'password'}", "shop/login")
        async with asyncio.TaskGroup() as clients:
            run = clients.create_task(node("secure.mjs", *arguments))
            await (await early.next_msg(timeout=20)).respond(gone)
            halted.program.signal(signal.SIGCONT)
    finally:
        halted.program.signal(signal.SIGCONT)
    assert (run.result().exit_code, seen.read_text()) == (0, SECRET), run.result().stderr
    again = await node("secure.mjs", *arguments)
    assert (again, seen.read_text()) == (run.result(), SECRET), "under one id it is one execution"


@in_module_loop
async def test_what_secure_values_are_refused_for(node: NodeClient, seen: Path) -> None:
    password = f"@{seen.parent / 'password'}"
    unknown = await node("secure.mjs", "--secure-option", f"passwort={password}", "shop/login")
    assert (unknown.exit_code, unknown.stdout) == (REFUSED, "")
    assert "option 'passwort' is unknown: did you mean 'password'?" in unknown.stderr
    misused = ("--secure-option", "password=open"), ("--secure-option", "password=@nowhere"), ("shop/other",), ()
    for words in misused:
        ended = await node("secure.mjs", *words, *(["shop/login"] if words else []))
        assert (ended.exit_code, ended.stdout) == (2, ""), words
    assert not seen.exists()


@in_module_loop
async def test_submitted_while_every_dispatcher_is_down(node: NodeClient, site: Site, tmp_path: Path) -> None:
    """Last: it stops the dispatcher. Two copies of the client, one request, one run."""
    requests, traces = Subjects().requests_stream, tmp_path / "traces"
    system = site.system
    await system.stop(site.dispatcher)
    refused = await node("run.mjs", "--tags", "dev", "--", "true")
    assert refused.exit_code == REFUSED
    assert refused.stderr.startswith("unavailable: nobody serves rb.api.dispatcher.run now")

    async def is_stored() -> bool:
        return await system.count(requests, "rb.default.request") > 0

    arguments = ("--id", "durable-3", "--tags", "dev", "--", f"echo ran >> {traces}; seq 3")
    async with asyncio.TaskGroup() as clients:
        first = clients.create_task(node("submit.mjs", *arguments))
        await eventually(is_stored, what="the request is stored")
        second = clients.create_task(node("submit.mjs", *arguments))
        assert not first.done()
        system.start_dispatcher(program=True)
    for client, stored in ((first, "stored"), (second, "stored before")):
        ended = client.result()
        assert ended.stdout.splitlines()[:-1] == [f"{stored}: durable-3", "runner: web-1", "1", "2", "3"]
        assert ended.exit_code == 0
    assert traces.read_text() == "ran\n"
