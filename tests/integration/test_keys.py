"""Keys from where they are kept to where they are used: listed by path, read by the runner that does the work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas import catalog
from schemas.api import ExecutionView, JobPutRequest, RunRequest
from schemas.codec import decode
from schemas.errors import ErrorCode, RunbusError
from schemas.events import AssignmentStarted
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.keys import (
    KeyAccess,
    KeyListRequest,
    KeyOpenRequest,
    KeyRemoveRequest,
    KeyShowRequest,
    KeyType,
    SealingKeyRequest,
)
from schemas.states import ExecutionState
from tests.integration.test_secure_options import event_of, everything
from tests.support.gate import Gate
from tests.support.keydirs import key_files, put_key
from tests.support.system import WAIT_S, System, refused
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

OF_RUNNER, OF_CENTRE = "runner-h4ndsh4ke", "centre-h4ndsh4ke"
DMZ = RunnerSelector(mode=SelectorMode.TAGS, filter="dmz")


@pytest.fixture
async def keyed(system: System, tmp_path: Path) -> System:
    """A runner ``a1`` of the tag DMZ with a key storage, and a keyproxy."""
    system.start_keyproxy()
    await system.up("local")
    keys = key_files(tmp_path / "keys", db__password=OF_RUNNER, tls__key="line one\nline two\n")
    system.start_runner("a1", "DMZ", keys_dir=str(keys))
    await system.runners_ready("a1")
    await eventually(lambda: answers(system), what="the keyproxy answers")
    return system


async def answers(system: System) -> bool:
    """Whether this system's keyproxy is there by now."""
    try:
        await system.client.call(catalog.KEY_SEALING, SealingKeyRequest(), timeout_s=1.0)
    except RunbusError as error:
        assert error.code is ErrorCode.UNAVAILABLE, error.message
        return False
    return True


async def put_job(system: System, script: str, *options: str) -> None:
    text = f"""\
- name: use
  uuid: use
  runnerSelector: {{runnerFilterMode: TAGS, filter: dmz}}
  runnerSelectorEditable: true
  options: [{", ".join(options)}]
  sequence:
    commands:
    - script: {json.dumps(f"#!/bin/sh{chr(10)}{script}")}
"""
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=text))


def option(name: str, path: str, *, required: bool = True) -> str:
    return (
        f"{{name: {name}, secure: true, valueExposed: true, storagePath: {path}, required: {str(required).lower()}}}"
    )


async def run(system: System) -> ExecutionView:
    return await system.client.run(RunRequest(job="use", wait_s=WAIT_S, user="ada"))


async def accesses(system: System) -> list[tuple[str, str, str, str]]:
    """Action, path, runner and outcome of everything in the audit."""
    stored = await system.stored(system.subjects.audit_stream, f"{system.subjects.prefix}.audit.>")
    told = [decode(data, KeyAccess) for _, data in stored]
    return [(each.action, each.path, each.runner, each.outcome) for each in told]


async def test_a_job_reads_keys_of_its_runner_and_of_the_centre(keyed: System) -> None:
    await put_key(keyed.client, "keys/db/password", OF_CENTRE)
    script = 'echo "<$RD_OPTION_OWN> <$RD_OPTION_CENTRE>"; printf %s "$RD_OPTION_OWN$RD_OPTION_CENTRE" | wc -c'
    await put_job(keyed, script, option("own", "runner/db/password"), option("centre", "keys/db/password"))
    view = await run(keyed)
    assert view.state is ExecutionState.SUCCEEDED, view.error
    assert await keyed.output(view.id) == b"<[SECURE]> <[SECURE]>\n%d\n" % len(OF_RUNNER + OF_CENTRE)
    told = await accesses(keyed)
    assert ("create", "keys/db/password", "", "ok") in told
    assert ("read", "runner/db/password", "a1", "ok") in told
    assert ("read", "keys/db/password", "a1", "ok") in told
    found = await everything(keyed)
    for secret in (OF_RUNNER, OF_CENTRE):
        assert secret.encode() not in found


async def test_a_key_that_vanished_fails_the_run_before_its_first_step(keyed: System, tmp_path: Path) -> None:
    await put_job(keyed, "echo never", option("own", "runner/db/password"))
    (tmp_path / "keys" / "db" / "password").unlink()
    view = await run(keyed)
    assert view.state is ExecutionState.FAILED
    assert view.error is not None
    assert view.error.code is ErrorCode.INVALID_OPTION
    assert "option 'own'" in view.error.message
    assert "'runner/db/password' cannot be read on runner a1" in view.error.message
    assert await keyed.output(view.id) == b""
    assert ("read", "runner/db/password", "a1", "not_found") in await accesses(keyed)


async def test_an_option_that_is_not_required_goes_without(keyed: System) -> None:
    await put_job(keyed, 'echo "<$RD_OPTION_OWN>"', option("own", "runner/db/none", required=False))
    view = await run(keyed)
    assert view.state is ExecutionState.SUCCEEDED, view.error
    assert await keyed.output(view.id) == b"<>\n"
    remarks = await keyed.output(view.id, "runner")
    assert b"option 'own' has no value: key 'runner/db/none' cannot be read on runner a1" in remarks


async def test_a_key_of_another_project_is_not_given(keyed: System) -> None:
    await put_key(keyed.client, "keys/project/other/token", OF_CENTRE)
    path = "keys/project/other/token"
    await put_job(keyed, 'echo "<$RD_OPTION_CENTRE>"', option("centre", path, required=False))
    view = await run(keyed)
    assert await keyed.output(view.id) == b"<>\n"
    assert b"it belongs to project other" in await keyed.output(view.id, "runner")
    assert ("read", "keys/project/other/token", "a1", "forbidden") in await accesses(keyed)


async def test_only_the_claimant_is_given_a_key_of_the_centre(keyed: System, tmp_path: Path) -> None:
    await put_key(keyed.client, "keys/db/password", OF_CENTRE)
    with Gate(tmp_path) as gate:
        view = await keyed.start(gate.command, "DMZ")
        await eventually(lambda: gate.inside, what="it runs")
        subject = keyed.subjects.events_of_assignment("default", view.id, "1")
        stored = await keyed.stored(keyed.subjects.events_stream, subject)
        (claim,) = [each for _, data in stored if isinstance(each := event_of(data), AssignmentStarted)]

        async def ask(runner: str, instance: str, execution: str = view.id, path: str = "keys/db/password") -> object:
            return await keyed.client.call(
                catalog.KEY_OPEN,
                KeyOpenRequest(
                    path=path, runner=runner, instance=instance, project="default", execution=execution,
                    assignment="1",
                ),
            )  # fmt: skip

        answer = await ask("a1", claim.instance)
        assert OF_CENTRE not in str(answer)  # sealed: whoever overhears it can do nothing with it
        local = (await keyed.runners())["local"].instance
        for wrong in (("a1", "earlier"), ("local", local), ("nobody", claim.instance), ("a1", claim.instance, "x")):
            await refused(ErrorCode.KEY_UNAVAILABLE, lambda: ask(*wrong))  # noqa: B023
        await refused(ErrorCode.KEY_UNAVAILABLE, lambda: ask("a1", claim.instance, path="runner/db/password"))
        gate.open()
        await keyed.end_of(view.id)
        await refused(ErrorCode.KEY_UNAVAILABLE, lambda: ask("a1", claim.instance))


async def test_keys_of_a_runner_are_listed_without_a_value(keyed: System) -> None:
    found = await keyed.client.call(catalog.KEY_LIST, KeyListRequest(runner=DMZ, deep=True), timeout_s=30)
    assert [(each.path, each.folder, each.type) for each in found.keys] == [
        ("db", True, None), ("db/password", False, KeyType.PASSWORD),
        ("tls", True, None), ("tls/key", False, KeyType.PRIVATE_KEY),
    ]  # fmt: skip
    assert (found.runner, [each.type for each in found.storage], found.warnings) == ("a1", ["file"], [])
    page = await keyed.client.call(catalog.KEY_LIST, KeyListRequest(runner=DMZ, deep=True, limit=1, after="db"))
    assert ([each.path for each in page.keys], page.more) == (["db/password"], True)
    shown = await keyed.client.call(catalog.KEY_SHOW, KeyShowRequest(path="db/password", runner=DMZ))
    assert (shown.key.size_bytes, shown.runner) == (len(OF_RUNNER), "a1")
    assert ("show", "runner/db/password", "a1", "ok") in await accesses(keyed)


@pytest.mark.parametrize("path", ["../db", "db/../..", "db//password", "%2e%2e/x", "db\\x", "a" * 2000, "db/\0"])
async def test_a_path_that_leaves_the_storage_is_refused(keyed: System, path: str) -> None:
    for runner in (DMZ, None):
        request = KeyShowRequest(path=path, runner=runner)
        error = await refused(ErrorCode.KEY_UNAVAILABLE, lambda: keyed.client.call(catalog.KEY_SHOW, request))  # noqa: B023
        assert error.details["reason"] == "outside"


async def test_runners_that_disagree_are_pointed_out_and_the_usual_one_is_asked(
    keyed: System, tmp_path: Path
) -> None:
    other = key_files(tmp_path / "other", db__password="another")
    keyed.start_runner("b1", "DMZ", keys_dir=str(other))
    keyed.start_runner("c1", "DMZ")
    await keyed.runners_ready("b1", "c1")
    found = await keyed.client.call(catalog.KEY_LIST, KeyListRequest(runner=DMZ), timeout_s=30)
    assert found.runner in ("a1", "b1")
    assert [text.partition(":")[0] for text in found.warnings] == [
        "c1 of the selected runners has no key storage; the others have",
        "the key storage of b1 is configured differently from that of a1",
    ]


async def test_where_no_runner_has_a_key_storage_it_is_said(keyed: System) -> None:
    keyed.start_runner("c1", "LAB")
    await keyed.runners_ready("c1")
    request = KeyListRequest(runner=RunnerSelector(mode=SelectorMode.TAGS, filter="lab"))
    error = await refused(ErrorCode.KEY_UNAVAILABLE, lambda: keyed.client.call(catalog.KEY_LIST, request))
    assert error.details["reason"] == "no_key_storage"
    assert "RUNBUS_KEY_STORAGE" in error.message


async def test_what_is_removed_is_gone(keyed: System) -> None:
    await put_key(keyed.client, "keys/db/password", OF_CENTRE)
    await keyed.client.call(catalog.KEY_REMOVE, KeyRemoveRequest(path="keys/db/password"))
    remove = KeyRemoveRequest(path="keys/db/password")
    await refused(ErrorCode.KEY_UNAVAILABLE, lambda: keyed.client.call(catalog.KEY_REMOVE, remove))
    found = await keyed.client.call(catalog.KEY_LIST, KeyListRequest())
    assert found.keys == []


async def test_what_a_step_tells_of_is_masked_from_there_on(keyed: System) -> None:
    script = 'printf "::add-"; printf "mask::tok-%s\\n" 4711; echo "<tok-4711>"; echo "<tok-4711>" >&2; echo tok-4712'
    view = await keyed.run(script, "DMZ")
    assert view.state is ExecutionState.SUCCEEDED, view.error
    assert await keyed.output(view.id) == b"::add-mask::[SECURE]\n<[SECURE]>\ntok-4712\n"
    assert await keyed.output(view.id, "stderr") == b"<[SECURE]>\n"
    other = await keyed.run("echo tok-4711", "DMZ")
    assert await keyed.output(other.id) == b"tok-4711\n"
