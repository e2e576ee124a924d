"""What is sent to the keyproxy and is no request, and a keyproxy that hears and does not answer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import structlog

from runbus.cli import exits, keys
from runbus.cli.context import Options
from runbus.cli.session import Session
from runbus.cli.settings import settings_of
from schemas import catalog
from schemas.errors import ErrorCode
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.keys import KeyRemoveRequest, SealingKeyRequest
from tests.integration.cli_system import Cli
from tests.integration.test_keys import answers
from tests.support.system import System, refused
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

VALUE = "t0ld-by-m1stake"
VERBS = (
    catalog.KEY_LIST, catalog.KEY_SHOW, catalog.KEY_PUT, catalog.KEY_REMOVE, catalog.KEY_SEALING, catalog.KEY_OPEN,
)  # fmt: skip
FAULTY = (
    json.dumps({"path": "keys/db/pw", "value": VALUE}).encode(),
    json.dumps({"path": "keys/db/pw", "sealed": 5, "value": VALUE}).encode(),
    json.dumps({"path": {"value": VALUE}}).encode(),
    json.dumps({"path": "keys/db/pw", "sealed": VALUE, "runner": VALUE}).encode(),
    json.dumps({"path": "keys/db/pw", "sealed": VALUE, "fresh": VALUE}).encode(),
    f'{{"path": "keys/db/pw", "value": "{VALUE}"'.encode(),
    f'"{VALUE}"'.encode(),
    VALUE.encode(),
    VALUE.encode() + b"\xff",
)


async def test_what_is_no_request_is_repeated_nowhere(system: System) -> None:
    """Neither in the answer, its headers, the log nor the audit."""
    with structlog.testing.capture_logs() as logs:
        system.start_keyproxy()
        await system.up("local")
        await eventually(lambda: answers(system), what="the keyproxy answers")
        replies = [
            await system.bus.client.request(verb.subject(system.subjects), data, timeout=5)
            for verb in VERBS
            for data in FAULTY
        ]
        sealed = json.dumps({"type": "runbus.key_put.v1", "path": "keys/db/pw", "sealed": VALUE, "user": "ada"})
        replies.append(
            await system.bus.client.request(catalog.KEY_PUT.subject(system.subjects), sealed.encode(), timeout=5)
        )
    assert len([each for each in logs if each["event"] == "request.refused"]) >= len(replies)
    seen = [*(f"{reply.data!r} {reply.headers}" for reply in replies), str(logs)]
    stored = await system.stored(system.subjects.audit_stream, f"{system.subjects.prefix}.audit.>")
    for text in [*seen, *(data.decode() for _, data in stored)]:
        assert VALUE not in text


@pytest.fixture
async def hung(system: System, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Somebody who hears every request to the keyproxy, and does nothing."""

    async def ignore(_heard: object) -> None:
        return

    for verb in VERBS:
        await system.bus.subscribe(verb.subject(system.subjects), ignore)
    await system.bus.flush()
    monkeypatch.setattr(keys, "_CENTRE_WITHIN_S", 0.2)
    monkeypatch.setattr(keys, "_RUNNER_WITHIN_S", 0.4)
    options = Options(nats_url=system.url, prefix=system.subjects.prefix)
    return Session(system.client, settings_of(options), options)


def test_the_centre_is_not_waited_for_as_long_as_a_runner() -> None:
    assert (keys._CENTRE_WITHIN_S, keys._RUNNER_WITHIN_S) == (10, 65)


async def test_a_keyproxy_that_hangs_is_told_from_one_that_is_not_there(hung: Session, system: System) -> None:
    dmz = RunnerSelector(mode=SelectorMode.TAGS, filter="dmz")
    listed = await refused(ErrorCode.UNAVAILABLE, lambda: keys._listed(hung, "", None, deep=False))
    assert listed.message == (
        "the keyproxy did not answer within 0.2 s: it is connected, and does not get on. See its log and its disk, "
        "and restart it."
    )
    of_runner = await refused(ErrorCode.UNAVAILABLE, lambda: keys._listed(hung, "", dmz, deep=False))
    assert "the keyproxy, or the runner that it asked, did not answer within 0.4 s" in of_runner.message
    await refused(ErrorCode.UNAVAILABLE, lambda: keys._asked(hung, catalog.KEY_SEALING, SealingKeyRequest()))
    remove = KeyRemoveRequest(path="keys/db/pw")
    removed = await refused(ErrorCode.UNAVAILABLE, lambda: keys._asked(hung, catalog.KEY_REMOVE, remove))
    assert "Whether it was carried out is not known: 'runbus keys show keys/db/pw' tells." in removed.message
    nobody = Cli(system.url, system.directory, prefix="nobody")
    done = await nobody("keys", "list")
    assert (done.code, "nobody listens" in done.err) == (exits.ERROR, True)


async def test_a_value_as_an_argument_is_not_repeated(tmp_path: Path) -> None:
    cli = Cli("nats://127.0.0.1:1", tmp_path)
    key = f"-----BEGIN PRIVATE KEY-----\n{VALUE}\n-----END PRIVATE KEY-----"
    tries = [
        ("keys", "put", "keys/x", VALUE), ("keys", "put", "keys/x", VALUE, "--json"), ("keys", "put", "keys/x", key),
        ("keys", "put", "keys/x", f"--{VALUE}"), ("keys", "put", "--", "keys/x", f"-{VALUE}", VALUE),
    ]  # fmt: skip
    for done in await asyncio.gather(*(cli(*words, stdin=b"other") for words in tries)):
        assert done.code == exits.USAGE
        assert VALUE not in done.err + done.text
        assert "PRIVATE" not in done.err
        assert "A value is never an argument" in done.err + done.text
    typo = await cli("keys", "put", "keys/x", "--fil", "x")
    assert "--file" in typo.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("list", "runner"), "'runner' is a key of a runner: say which with --tags."),
        (("list", "keys", "--tags", "dmz"), "'keys' is a key of the centre: leave --tags away, or write runner/."),
        (("show", "/keys/a", "--tags", "d"), "'keys/a' is a key of the centre: leave --tags away, or write runner/a"),
        (("put", "keys/"), "'keys/' is no key: write keys/folder/name."),
        (("rm", "runner"), "'runner' is no key: write keys/folder/name."),
    ],
)  # fmt: skip
async def test_roots_are_told_from_keys(tmp_path: Path, words: tuple[str, ...], text: str) -> None:
    done = await Cli("nats://127.0.0.1:1", tmp_path)("keys", *words, stdin=b"x")
    assert done.code == exits.USAGE
    assert text in " ".join(done.err.split())


async def test_the_root_is_listed_by_whatever_name(system: System) -> None:
    system.start_keyproxy()
    await system.up("local")
    await eventually(lambda: answers(system), what="the keyproxy answers")
    cli = Cli.of(system)
    assert (await cli("keys", "put", "/keys/db/pw", stdin=VALUE.encode())).text == "Stored keys/db/pw (password).\n"
    for root in ("keys", "/keys", "keys/", "/", ""):
        assert "keys/db/ " in (await cli("keys", "list", root)).text, root
    assert "folder" in (await cli("keys", "show", "keys/")).text
    missing = await cli("keys", "show", "keys/none")
    assert "(key_unavailable: not_found, id " in missing.err
