"""Who asked for which key, through which runner, and what came of it: of refusals as well."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from bus.sealing import seal
from schemas import catalog
from schemas.api import RunRequest
from schemas.codec import decode, encode
from schemas.errors import ErrorCode
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.keys import (
    KeyAccess,
    KeyListRequest,
    KeyOpenRequest,
    KeyPutRequest,
    KeyRemoveRequest,
    KeyShowRequest,
    KeyValue,
    SealingKeyRequest,
)
from schemas.states import ExecutionState
from tests.integration.test_keys import answers, option, put_job
from tests.support.keydirs import key_files, put_key
from tests.support.system import WAIT_S, System, refused
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

VALUE = "aud1ted-h4ndsh4ke"
DMZ = RunnerSelector(mode=SelectorMode.TAGS, filter="dmz")


class Told(NamedTuple):
    """A line of the audit."""

    action: str
    path: str
    user: str
    runner: str
    outcome: str


@pytest.fixture
async def keyed(system: System, tmp_path: Path) -> System:
    """Runners ``a1`` and ``b1`` of the tag DMZ with the same key storage, and a keyproxy."""
    system.start_keyproxy()
    await system.up("local")
    keys = key_files(tmp_path / "keys", db__password=VALUE)
    for runner in ("a1", "b1"):
        system.start_runner(runner, "DMZ", keys_dir=str(keys))
    await system.runners_ready("a1", "b1")
    await eventually(lambda: answers(system), what="the keyproxy answers")
    return system


async def audit(system: System) -> list[Told]:
    stored = await system.stored(system.subjects.audit_stream, f"{system.subjects.prefix}.audit.>")
    told = [decode(data, KeyAccess) for _, data in stored]
    return [Told(each.action, each.path, each.user, each.runner, each.outcome) for each in told]


async def put(system: System, path: str, *, fresh: bool = False, sealed: str = "") -> object:
    if not sealed:
        public_key = (await system.client.call(catalog.KEY_SEALING, SealingKeyRequest())).public_key
        sealed = seal(public_key, encode(KeyValue(path=path, value=VALUE.encode())))
    return await system.client.call(catalog.KEY_PUT, KeyPutRequest(path=path, sealed=sealed, fresh=fresh, user="ada"))


async def test_a_refused_look_names_the_runner_that_answered(keyed: System) -> None:
    lists = KeyListRequest(path="db/none", runner=DMZ, user="ada")
    error = await refused(ErrorCode.KEY_UNAVAILABLE, lambda: keyed.client.call(catalog.KEY_LIST, lists))
    show = KeyShowRequest(path="db/none", runner=DMZ, user="ada")
    shown = await refused(ErrorCode.KEY_UNAVAILABLE, lambda: keyed.client.call(catalog.KEY_SHOW, show))
    assert {error.details["runner"], shown.details["runner"]} <= {"a1", "b1"}
    assert await audit(keyed) == [
        Told("list", "runner/db/none", "ada", error.details["runner"], "not_found"),
        Told("show", "runner/db/none", "ada", shown.details["runner"], "not_found"),
    ]
    assert "the keys in 'runner/db/none' cannot be listed on runner" in error.message


async def test_what_nobody_answered_names_the_one_that_was_asked(keyed: System) -> None:
    one = RunnerSelector(mode=SelectorMode.TAGS, filter="@b1")
    for path in ("../db", "db//x"):  # refused before anybody is asked
        request = KeyListRequest(path=path, runner=one, user="ada")
        error = await refused(ErrorCode.KEY_UNAVAILABLE, lambda: keyed.client.call(catalog.KEY_LIST, request))  # noqa: B023
        assert error.details == {"key": f"runner/{path}", "reason": "outside"}
    shown = await keyed.client.call(catalog.KEY_SHOW, KeyShowRequest(path="", runner=one, user="ada"))
    assert (shown.key.path, shown.key.folder) == ("", True)
    assert await audit(keyed) == [
        Told("list", "runner/../db", "ada", "", "outside"),
        Told("list", "runner/db//x", "ada", "", "outside"),
        Told("show", "runner/", "ada", "b1", "ok"),
    ]


async def test_a_read_names_who_has_run_what_read_it(keyed: System) -> None:
    await put_key(keyed.client, "keys/db/password", VALUE)
    await put_key(keyed.client, "keys/project/other/x", VALUE)
    options = [
        option("own", "runner/db/password"), option("centre", "keys/db/password"),
        option("foreign", "keys/project/other/x", required=False),
    ]  # fmt: skip
    await put_job(keyed, "true", *options)
    view = await keyed.client.run(RunRequest(job="use", wait_s=WAIT_S, user="grace"))
    assert view.state is ExecutionState.SUCCEEDED, view.error
    (runner,) = {each.runner for each in await audit(keyed) if each.path == "runner/db/password"}
    assert {each for each in await audit(keyed) if each.action == "read"} == {
        Told("read", "runner/db/password", "grace", runner, "ok"),
        Told("read", "keys/db/password", "grace", runner, "ok"),
        Told("read", "keys/project/other/x", "grace", runner, "forbidden"),
    }
    for execution, project in ((view.id, "default"), ("*", "default"), (">", "default"), ("no such", "no such")):
        ask = KeyOpenRequest(
            path="keys/db/password", runner="b1", instance="x", project=project, execution=execution, assignment="1"
        )
        await refused(ErrorCode.KEY_UNAVAILABLE, lambda: keyed.client.call(catalog.KEY_OPEN, ask))  # noqa: B023
    refusals = [each for each in await audit(keyed) if each.outcome == "forbidden" and each.runner == "b1"][-4:]
    assert [each.user for each in refusals] == ["grace", "", "", ""]


async def test_what_was_refused_is_told_as_what_it_would_have_been(keyed: System) -> None:
    await put(keyed, "keys/db/pw")
    await put(keyed, "keys/db/pw")
    await refused(ErrorCode.ALREADY_EXISTS, lambda: put(keyed, "keys/db/pw", fresh=True))
    await refused(ErrorCode.ALREADY_EXISTS, lambda: put(keyed, "keys/db/pw/below"))
    await refused(ErrorCode.INVALID_MESSAGE, lambda: put(keyed, "keys/db/pw", sealed="bm90aGluZw=="))
    for path in ("keys/../x", "keys/a//b", "runner/db/pw", VALUE):
        await refused(ErrorCode.KEY_UNAVAILABLE, lambda: put(keyed, path))  # noqa: B023
        remove = KeyRemoveRequest(path=path, user="ada")
        await refused(ErrorCode.KEY_UNAVAILABLE, lambda: keyed.client.call(catalog.KEY_REMOVE, remove))  # noqa: B023
    told = await audit(keyed)
    assert [(each.action, each.path, each.outcome) for each in told] == [
        ("create", "keys/db/pw", "ok"), ("update", "keys/db/pw", "ok"),
        ("create", "keys/db/pw", "already_exists"), ("create", "keys/db/pw/below", "already_exists"),
        ("update", "keys/db/pw", "too_short"),
        *((action, path, "outside") for path in ("keys/../x", "keys/a//b", "runner/db/pw", "")
          for action in ("update", "remove")),
    ]  # fmt: skip
    assert {each.user for each in told} == {"ada"}
