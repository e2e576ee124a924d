"""Secure option values typed for a run: told to the runner that claimed it, and to nobody and nothing else."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import pytest

from bus.sealing import seal
from schemas import catalog
from schemas.api import ExecutionView, JobPutRequest, RunRequest, SealedOptions, SecretsRequest
from schemas.codec import decode, encode
from schemas.errors import ErrorCode
from schemas.events import AssignmentStarted, Event
from schemas.keys import SealingKeyRequest
from schemas.states import ExecutionState
from services.dispatcher import retries
from services.dispatcher.retries import retry_id
from services.dispatcher.secrets import SecretKeeper
from tests.support.automatic import automatic, end_of
from tests.support.gate import Gate
from tests.support.system import WAIT_S, System, refused
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

SECRET, PRIVATE = "s3cr3t-h4ndsh4ke", "pr1v4te-h4ndsh4ke"
VALUES = {"open": SECRET, "shut": PRIVATE}


async def put(system: System, script: str, more: str = "") -> None:
    text = f"""\
- name: login
  uuid: login
  {more}
  options:
  - {{name: open, secure: true, valueExposed: true}}
  - {{name: shut, secure: true}}
  sequence:
    commands:
    - script: {json.dumps(f"#!/bin/sh{chr(10)}{script}")}
"""
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=text))


async def run(system: System, **fields: Any) -> ExecutionView:
    return await system.client.run(RunRequest(job="login", **{"wait_s": WAIT_S, "options": VALUES, **fields}))


def keepers() -> list[SecretKeeper]:
    gc.unfreeze()  # a dispatcher freezes what it has once it is ready
    return [each for each in gc.get_objects() if isinstance(each, SecretKeeper)]


def held() -> int:
    return sum(len(keeper._held) for keeper in keepers())


async def everything(system: System) -> bytes:
    """All that any stream of the system holds, and the ledgers."""
    found = b""
    for info in await system.bus.js.streams_info():
        name = str(info.config.name)
        prefix = system.subjects.prefix
        if not name.lower().removeprefix("kv_").startswith(prefix):
            continue
        for seq in range(max(1, info.state.first_seq), info.state.last_seq + 1):
            try:
                message = await system.bus.js.get_msg(name, seq)
            except Exception as gone:  # noqa: BLE001  (removed by now)
                assert "not found" in str(gone) or "no message" in str(gone), gone
                continue
            found += str(message.subject).encode() + bytes(message.data or b"")
    for path in Path(system.directory).rglob("ledger.sqlite*"):
        found += path.read_bytes()
    return found


async def test_scripts_see_an_exposed_value_and_no_stream_ever_holds_one(system: System, tmp_path: Path) -> None:
    await system.up("local")
    seen = tmp_path / "seen"
    await put(system, f"echo $RD_OPTION_OPEN-$RD_OPTION_SHUT- | tee {seen}; echo in the log: $RD_OPTION_OPEN")
    view = await run(system)
    assert view.state is ExecutionState.SUCCEEDED
    assert seen.read_text() == f"{SECRET}--\n", "what is not exposed is for logins only"
    assert b"in the log: [SECURE]" in await system.output(view.id)
    stored = await everything(system)
    assert view.id.encode() in stored
    for value in VALUES.values():
        assert value.encode() not in stored
        assert value not in repr(view)


async def test_nobody_but_the_claimant_is_told(system: System, tmp_path: Path) -> None:
    await system.up("local")
    with Gate(tmp_path) as gate:
        await put(system, gate.command)
        view = await run(system, wait_s=0.0)
        await eventually(lambda: gate.inside, what="it runs")
        (claim,) = [
            event
            for _, data in await system.stored(
                system.subjects.events_stream, system.subjects.events_of_assignment("default", view.id, "1")
            )
            if isinstance(event := event_of(data), AssignmentStarted)
        ]
        (keeper,) = [each for each in keepers() if ("default", view.id) in each._held]

        async def ask(runner: str, instance: str, execution: str = view.id) -> object:
            question = SecretsRequest(
                project="default", execution=execution, assignment="1", runner=runner, instance=instance
            )
            return await system.client.call(catalog.SECRETS, question, runner=keeper.instance)

        assert await ask(claim.runner, claim.instance)
        wrong = [("thief", claim.instance, view.id), (claim.runner, "earlier", view.id)]
        for runner, instance, execution in [*wrong, (claim.runner, claim.instance, "x")]:
            error = await refused(ErrorCode.UNKNOWN_EXECUTION, lambda: ask(runner, instance, execution))  # noqa: B023
            assert SECRET not in str(error.message) + str(error.details)
        gate.open()
        await system.end_of(view.id)
        await eventually(lambda: not held(), what="the values are let go")
        await refused(ErrorCode.UNKNOWN_EXECUTION, lambda: ask(claim.runner, claim.instance))


def event_of(data: bytes) -> object:
    return decode(data, Event)  # type: ignore[arg-type]


async def test_a_durable_request_with_secure_values_is_refused(system: System) -> None:
    await system.up("local")
    await put(system, "true")
    await system.client.submit(RunRequest(job="login", id="durable", options={**VALUES}))
    ended = await end_of(system, "durable")
    assert ended.error is not None
    assert ended.error.code is ErrorCode.INVALID_OPTION
    assert "rests on the bus" in ended.error.message
    assert SECRET.encode() not in await everything(system)
    await system.bus.append(
        system.subjects.request("default"),
        json.dumps({"id": "misspelt", "job": "login", "options": VALUES, "runer": "x"}).encode(),
    )
    ended = await end_of(system, "misspelt")
    assert ended.error is not None
    assert ended.error.code is ErrorCode.INVALID_MESSAGE
    assert SECRET.encode() not in await everything(system)
    await system.client.submit(RunRequest(job="login", id="without"))
    assert (await end_of(system, "without")).state is ExecutionState.SUCCEEDED


async def test_a_durable_request_cannot_bring_sealed_options(system: System, tmp_path: Path) -> None:
    """They would be passed over: the job would run without."""
    await system.up("local")
    seen = tmp_path / "seen"
    await put(system, f"echo ran > {seen}")
    key = await system.client.call(catalog.RUN_SEALING, SealingKeyRequest())
    box = seal(key.public_key, encode(SealedOptions(id="durable", job="login", options={**VALUES})))
    await system.client.submit(RunRequest(job="login", id="durable", sealed_options=box))
    ended = await end_of(system, "durable")
    assert ended.error is not None
    assert (ended.error.code, seen.exists()) == (ErrorCode.INVALID_OPTION, False)
    assert "cannot bring sealed options" in ended.error.message


@pytest.mark.parametrize(
    ("id_", "plain", "said"),
    [
        ("a", {"id": "a", "job": "login", "options": {"open": 5}}, "can be opened, but are not a valid"),
        ("a", {"id": "a", "job": "login"}, "missing required field `options`"),
        ("a", [SECRET], "can be opened, but are not a valid"),
        ("a", {"id": "b", "job": "login", "options": {"open": SECRET}}, "those of another run"),
        ("", {"id": "", "job": "login", "options": {"open": SECRET}}, "need an id of your own"),
    ],
)
async def test_what_is_wrong_with_sealed_options_is_said_without_them(
    system: System, id_: str, plain: object, said: str
) -> None:
    system.start_registry()
    system.start_dispatcher()
    await system.ready()
    await put(system, "true")
    key = await system.client.call(catalog.RUN_SEALING, SealingKeyRequest())
    box = seal(key.public_key, json.dumps(plain).encode())
    request = RunRequest(id=id_, job="login", sealed_options=box)
    error = await refused(
        ErrorCode.INVALID_OPTION,
        lambda: system.client.call(catalog.RUN_SEALED, request, runner=key.instance),
    )
    assert said in error.message
    assert SECRET not in error.message + str(error.details)


async def test_without_the_dispatcher_that_has_them_the_run_fails_and_says_why(
    system: System, tmp_path: Path
) -> None:
    system.start_registry()
    first = system.start_dispatcher(program=True)
    await system.ready()
    await put(system, "true")
    view = await run(system, wait_s=0.0, when_no_runner="wait")
    await system.kill(first)
    system.start_dispatcher(data_dir=str(tmp_path / "another"))
    await system.ready()
    system.start_runner("local", local=True)
    ended = await system.end_of(view.id)
    assert (ended.state, ended.exit_code) == (ExecutionState.FAILED, None)
    assert ended.error is not None
    assert "run the job again" in ended.error.message


async def test_what_was_refused_or_repeated_leaves_no_values_behind(system: System) -> None:
    await system.up("local")
    await put(system, "true")
    await refused(ErrorCode.UNKNOWN_OPTION, lambda: run(system, options=VALUES | {"what": "x"}))
    await refused(ErrorCode.NO_RUNNER, lambda: nobody_has_it(system))
    for _ in range(3):
        assert (await run(system, id="same")).state is ExecutionState.SUCCEEDED
    await eventually(lambda: not held(), what="nothing is held")


async def nobody_has_it(system: System) -> ExecutionView:
    selector = "{filter: far, runnerFilterMode: TAGS, runnerFilterType: TAG_FILTER_AND}"
    options = "[{name: open, secure: true}]"
    rest = f"runnerSelector: {selector}, options: {options}, sequence: {{commands: [{{exec: ls}}]}}"
    text = f"- {{name: far, uuid: far, {rest}}}"
    await system.client.call(catalog.JOB_PUT, JobPutRequest(text=text))
    return await system.client.run(RunRequest(job="far", options={"open": SECRET}))


async def test_each_of_several_runners_is_told(system: System, tmp_path: Path) -> None:
    await automatic(system, "a", "b", nodes=1)
    seen = tmp_path / "seen"
    await put(system, f"echo $RD_OPTION_OPEN >> {seen}", "nodefilters: {filter: 'name: .*'}")
    view = await run(system)
    assert (view.state, len(view.parts)) == (ExecutionState.SUCCEEDED, 2)
    assert seen.read_text() == f"{SECRET}\n" * 2
    assert SECRET.encode() not in await everything(system)


async def test_a_retry_has_the_values_of_the_run_before(system: System, tmp_path: Path) -> None:
    await system.up("local")
    system.start_dispatcher()
    seen = tmp_path / "seen"
    await put(system, f"echo $RD_OPTION_OPEN >> {seen}; false", "retry: {retry: 2, delay: 1s}")
    view = await run(system)
    assert view.state is ExecutionState.FAILED_WITH_RETRY
    last = retry_id(view.id, 2)

    async def over() -> bool:
        return seen.exists() and seen.read_text() == f"{SECRET}\n" * 3

    await eventually(over, what="three attempts had it")
    await end_of(system, last)
    await eventually(lambda: not held(), what="the values are let go")
    assert SECRET.encode() not in await everything(system)


@pytest.mark.slow
async def test_a_retry_whose_dispatcher_is_gone_is_an_execution_that_failed(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "HOLDER_FIRST_S", 0.3)
    system.start_registry()
    first = system.start_dispatcher(program=True)
    await system.ready()
    system.start_runner("local", local=True)
    await system.runners_ready("local")
    await put(system, "false", "retry: {retry: 1, delay: 2s}")
    view = await run(system)
    assert view.state is ExecutionState.FAILED_WITH_RETRY
    await system.kill(first)
    system.start_dispatcher()
    await system.ready()
    ended = await end_of(system, retry_id(view.id, 1))
    assert ended.state is ExecutionState.FAILED
    assert ended.error is not None
    assert "run the job again" in ended.error.message
