"""Keys that nobody who could take a job is able to read: told before the job is queued, not after it has begun."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from schemas import catalog
from schemas.api import ExecutionView, JobPutRequest, RunRequest
from schemas.errors import ErrorCode, ErrorInfo
from schemas.states import ExecutionState, RunnerStatus
from tests.integration.cli_system import Cli
from tests.support.automatic import automatic, load, serve
from tests.support.keydirs import key_files
from tests.support.system import WAIT_S, System, refused
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

VALUE = "told-bef0re-h4ndsh4ke"
SCRIPT = '#!/bin/sh\necho "<$RD_OPTION_OWN>"'


def option(path: str, *, required: bool, name: str = "own") -> str:
    is_required = str(required).lower()
    return f"{{name: {name}, secure: true, valueExposed: true, storagePath: '{path}', required: {is_required}}}"


def job(*options: str, tags: str = "dmz", name: str = "use", more: str = "") -> str:
    selector = f"runnerSelector: {{runnerFilterMode: TAGS, filter: {tags}}}\n  " if tags else ""
    return f"""\
- name: {name}
  uuid: {name}
  {selector}{more}options: [{", ".join(options)}]
  sequence: {{commands: [{{script: {json.dumps(SCRIPT)}}}]}}
"""


async def put(system: System, text: str) -> None:
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=text))


async def run(system: System, name: str = "use", **fields: Any) -> ExecutionView:
    return await system.client.run(RunRequest(job=name, **{"wait_s": WAIT_S, "user": "ada", **fields}))


async def stored(system: System) -> tuple[int, int]:
    """How many events and jobs there are on the bus."""
    subjects = system.subjects
    return await system.count(subjects.events_stream), await system.count(subjects.jobs_stream)


def key_storage(directory: Path, mount: str = "") -> str:
    """The file that says where a runner's keys are."""
    directory.mkdir(exist_ok=True)
    keys = key_files(directory / "keys", pw=VALUE, db__pw=VALUE)
    file = directory / "key-storage.yaml"
    file.write_text(f"- {{type: file, path: '{mount}', config: {{directory: {keys}}}}}\n")
    file.chmod(0o600)
    return str(file)


async def test_a_required_key_that_no_runner_could_read_is_refused(system: System) -> None:
    await system.up("local", "a1:dmz", "b1:dmz")
    await put(system, job(option("runner/db/pw", required=True)))
    before = await stored(system)
    error = await refused(ErrorCode.KEY_UNAVAILABLE, lambda: run(system, id="mine"))
    assert error.details == {
        "option": "own", "key": "runner/db/pw", "reason": "no_key_storage", "tags": ["dmz"], "runners": ["a1", "b1"],
    }  # fmt: skip
    assert "a1, b1 have no key storage. Start such a runner with RUNBUS_KEY_STORAGE" in error.message
    assert await stored(system) == before
    await refused(ErrorCode.UNKNOWN_EXECUTION, lambda: system.show("mine"))
    view = await run(system, options={"own": VALUE})
    assert (view.state, view.warnings) == (ExecutionState.SUCCEEDED, []), "a typed value needs no key"
    assert await system.output(view.id) == b"<[SECURE]>\n"


async def test_one_that_is_not_required_is_warned_of(system: System) -> None:
    await system.up("a1:dmz")
    await put(system, job(option("runner/db/pw", required=False)))
    view = await run(system)
    assert view.state is ExecutionState.SUCCEEDED
    (warning,) = view.warnings
    assert "'runner/db/pw', which no connected runner of dmz can read: a1 has no key storage. There is no" in warning
    assert await system.output(view.id) == b"<>\n"
    cli = Cli.of(system)
    done = await cli("job", "run", "use")
    assert (done.code, done.text) == (0, "<>\n")
    assert f"Warning: {warning}" in done.err


async def test_mounts_that_do_not_hold_the_path(system: System, tmp_path: Path) -> None:
    await system.up("a1:dmz", key_storage=key_storage(tmp_path, "vault"))
    await put(system, job(option("runner/db/pw", required=True)))
    error = await refused(ErrorCode.KEY_UNAVAILABLE, lambda: run(system))
    assert error.details["reason"] == "no_key_storage"
    assert "a1 has only keys that begin with runner/vault/" in error.message
    await put(system, job(option("runner/vault/db/pw", required=True)))
    view = await run(system)
    assert (view.state, view.warnings) == (ExecutionState.SUCCEEDED, [])
    assert await system.output(view.id) == b"<[SECURE]>\n"


async def test_where_some_have_it_those_without_are_named(system: System, tmp_path: Path) -> None:
    await system.up("a1:dmz", key_storage=key_storage(tmp_path))
    system.start_runner("b1", "dmz")
    await system.runners_ready("b1")
    await put(system, job(option("runner/db/pw", required=False)))
    view = await run(system)
    assert view.state is ExecutionState.SUCCEEDED
    (warning,) = view.warnings
    assert "which not every runner of dmz can read: b1 has no key storage." in warning
    assert "a1" not in warning


async def test_runners_that_would_find_different_keys(system: System, tmp_path: Path) -> None:
    await system.up("p1:dmz", key_storage=key_storage(tmp_path / "one"))
    system.start_runner("p2", "dmz", key_storage=key_storage(tmp_path / "two"))
    await system.runners_ready("p2")
    text = "the key storage of p2 is configured differently from that of p1: the same job may find another key there"
    file = tmp_path / "job.yaml"
    file.write_text(job(option("runner/db/pw", required=True)))
    (put_one,) = (await system.client.call(catalog.JOB_PUT, JobPutRequest(text=file.read_text()))).warnings
    assert put_one.startswith(f"use: {text}")
    view = await run(system)
    (warning,) = view.warnings
    assert (view.state, warning.startswith(text)) == (ExecutionState.SUCCEEDED, True)
    planned = await Cli.of(system)("job", "plan", str(file), "--fleet")
    assert f"Warning: {text}" in planned.err
    await put(system, job(option("keys/db/pw", required=False)))
    assert (await run(system, options={"own": VALUE})).warnings == []


async def test_a_runner_that_was_given_a_key_storage_is_known_to_have_it(system: System, tmp_path: Path) -> None:
    await system.up()
    without = system.start_runner("a1", "dmz")
    await system.runners_ready("a1")
    await put(system, job(option("runner/db/pw", required=True)))
    await refused(ErrorCode.KEY_UNAVAILABLE, lambda: run(system))
    await system.stop(without)
    await system.runner_is("a1", RunnerStatus.DOWN)
    system.start_runner("a1", "dmz", key_storage=key_storage(tmp_path))
    await system.runners_ready("a1")
    assert (await run(system)).state is ExecutionState.SUCCEEDED


async def test_of_a_set_without_a_connected_runner_nothing_is_known(system: System, tmp_path: Path) -> None:
    await system.up("local")
    await put(system, job(option("runner/db/pw", required=True)))
    await refused(ErrorCode.NO_RUNNER, lambda: run(system))
    view = await run(system, wait_s=0.0, when_no_runner="wait")
    assert (view.state, view.warnings) == (ExecutionState.QUEUED, [])
    system.start_runner("a1", "dmz", key_storage=key_storage(tmp_path))
    assert (await system.end_of(view.id)).state is ExecutionState.SUCCEEDED


async def test_the_local_runner_is_asked_when_it_runs(system: System) -> None:
    await system.up("local")
    await put(system, job(option("runner/db/pw", required=True), tags=""))
    view = await run(system)
    assert (view.state, view.warnings) == (ExecutionState.FAILED, [])
    assert view.error is not None
    assert view.error.code is ErrorCode.INVALID_OPTION


async def test_a_durable_request_is_an_execution_that_failed(system: System) -> None:
    await system.up("a1:dmz")
    await put(system, job(option("runner/db/pw", required=True)))
    await system.client.submit(RunRequest(job="use", id="durable"))

    async def ended() -> ErrorInfo | None:
        try:
            return (await system.show("durable")).error
        except Exception:  # noqa: BLE001  (not taken yet)
            return None

    error = await eventually(ended, what="the refusal is told")
    assert error is not None
    assert (error.code, error.details["reason"]) == (ErrorCode.KEY_UNAVAILABLE, "no_key_storage")


async def test_a_job_that_is_called_is_looked_at_as_well(system: System) -> None:
    await system.up("a1:dmz")
    outer = (
        "- {name: outer, uuid: outer, runnerSelector: {runnerFilterMode: TAGS, filter: dmz}, sequence: {commands: "
    )
    await put(system, job(option("runner/db/pw", required=True)) + outer + "[{jobref: {name: use, uuid: use}}]}}\n")
    view = await run(system, "outer")
    assert view.state is ExecutionState.FAILED
    (warning,) = view.warnings
    assert warning.startswith("option 'own' of job use (step 1) takes its value from 'runner/db/pw', which no conn")
    assert "That step fails." in warning


async def test_a_job_that_is_stored_is_looked_at(system: System, tmp_path: Path) -> None:
    await system.up("a1:dmz", key_storage=key_storage(tmp_path, "vault"))

    async def warnings(*options: str) -> list[str]:
        return (await system.client.call(catalog.JOB_PUT, JobPutRequest(text=job(*options, "{name: x}")))).warnings

    (required,) = await warnings(option("runner/db/pw", required=True))
    assert required.startswith(
        "use: it could not run now. option 'own' takes its value from 'runner/db/pw', which no"
    )
    (other,) = await warnings(option("runner/db/${option.x}", required=False))
    assert other.startswith("use: option 'own' takes its value from 'runner/db/${option.x}', which no")
    assert await warnings(option("runner/vault/db/pw", required=True)) == []
    assert await warnings(option("runner/${option.x}/pw", required=True)) == []


async def test_each_of_several_runners_is_looked_at(system: System, tmp_path: Path) -> None:
    await automatic(system, "a", nodes=1)
    system.start_runner("r-b", key_storage=key_storage(tmp_path))
    await system.runners_ready("r-b")
    await load(system, {"a1": {"zone": "a"}, "b1": {"zone": "b"}})
    await serve(system, "r-b", "zone: b")
    of_nodes = "nodefilters: {filter: 'name: .*'}\n  "
    await put(system, job(option("runner/db/pw", required=False), tags="", more=of_nodes))
    view = await run(system)
    assert (view.state, len(view.division)) == (ExecutionState.SUCCEEDED, 2), view.error
    (warning,) = view.warnings
    assert "no connected runner of @r-a can read: r-a has no key storage" in warning
    await put(system, job(option("runner/db/pw", required=True), tags="", more=of_nodes))
    error = await refused(ErrorCode.KEY_UNAVAILABLE, lambda: run(system))
    assert error.details["runners"] == ["r-a"]


async def test_the_command_line_says_what_to_do(system: System, tmp_path: Path) -> None:
    await system.up("a1:dmz")
    cli = Cli.of(system)
    file = tmp_path / "job.yaml"
    file.write_text(job(option("runner/db/pw", required=True)))
    text = "which no connected runner of dmz can read: a1 has no key storage. Start such a runner with RUNBUS_KEY_STO"
    assert (await cli("job", "put", str(file))).code == 0
    ran, planned, as_json, files = await asyncio.gather(
        cli("job", "run", "use"),
        cli("job", "plan", str(file), "--fleet"),
        cli("job", "run", "use", "--json"),
        cli("job", "plan", str(file), env={"RUNBUS_NATS_URL": "nats://127.0.0.1:1"}),
    )
    assert (ran.code, ran.out) == (125, b"")
    assert text in ran.err
    assert "(key_unavailable: no_key_storage, id " in ran.err
    assert as_json.error.error.details["reason"] == "no_key_storage"
    assert planned.code == 0
    assert "Warning: it could not run now. option 'own' takes its value from" in planned.err
    assert text in planned.err
    assert "own: runner/db/pw (required; read by the runner of dmz that claims the job" in planned.text
    assert (files.code, "--fleet looks" in files.err) == (0, True)
    nobody = await cli("job", "plan", str(file), "--fleet", "--project", "elsewhere")
    assert "elsewhere" in nobody.err
