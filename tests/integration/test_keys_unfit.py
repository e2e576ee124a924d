"""What is sent to be stored and is of no use, and paths that cannot be written: refused, with advice that fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.sealing import seal
from runbus.cli import exits
from schemas import catalog
from schemas.api import ExecutionListRequest, JobPutRequest
from schemas.codec import encode
from schemas.errors import ErrorCode
from schemas.keys import (
    KeyPutRequest,
    KeyRemoveRequest,
    KeyShowRequest,
    KeyStored,
    KeyType,
    KeyValue,
    SealingKeyRequest,
)
from tests.integration.cli_system import Cli
from tests.integration.test_keys import answers
from tests.support.system import System, refused
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

NUL = b"n0-use\0to-anybody"
BAD = ("keys/a//b", "keys/../a", "keys/a\\b", "keys/a/", "secret-in-place-of-a-path")


@pytest.fixture
async def keyed(system: System) -> System:
    system.start_keyproxy()
    await system.up("local")
    await eventually(lambda: answers(system), what="the keyproxy answers")
    return system


async def put(system: System, path: str, value: bytes, key_type: KeyType | None = None) -> KeyStored:
    public_key = (await system.client.call(catalog.KEY_SEALING, SealingKeyRequest())).public_key
    sealed = seal(public_key, encode(KeyValue(path=path, value=value)))
    return await system.client.call(catalog.KEY_PUT, KeyPutRequest(path=path, sealed=sealed, key_type=key_type))


async def test_the_keyproxy_refuses_a_password_that_no_job_could_be_given(keyed: System) -> None:
    for value in (NUL, b"\xff\xfen0-use"):
        error = await refused(ErrorCode.KEY_UNAVAILABLE, lambda: put(keyed, "keys/db/pw", value))  # noqa: B023
        assert error.details == {"key": "keys/db/pw", "reason": "malformed"}
        assert error.message.startswith("the value for keys/db/pw ")
        assert error.message.endswith("Nothing was stored.")
        assert "n0-use" not in error.message
    show = KeyShowRequest(path="db/pw")
    await refused(ErrorCode.KEY_UNAVAILABLE, lambda: keyed.client.call(catalog.KEY_SHOW, show))
    assert (await put(keyed, "keys/db/key", NUL, KeyType.PRIVATE_KEY)).created


async def test_the_command_warns_and_stores_all_the_same(keyed: System, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"x" * (128 << 10))
    done = await Cli.of(keyed)("keys", "put", "keys/long", "--file", str(file))
    assert (done.code, done.text) == (0, "Stored keys/long (password).\n")
    assert "Warning: the value has 131,072 bytes" in " ".join(done.err.split())


async def test_only_what_can_be_written_is_advised(keyed: System) -> None:
    cli = Cli.of(keyed)
    for path in BAD:
        remove = KeyRemoveRequest(path=path)
        errors = [
            await refused(ErrorCode.KEY_UNAVAILABLE, lambda: put(keyed, path, b"x")),  # noqa: B023
            await refused(ErrorCode.KEY_UNAVAILABLE, lambda: keyed.client.call(catalog.KEY_REMOVE, remove)),  # noqa: B023
        ]
        for error in errors:
            assert error.message.endswith(": write keys/folder/name."), error.message
            assert "secret" not in error.message.replace("may be a secret", "")
    for words in (("put", "a//b"), ("rm", "keys/a//b")):
        done = await cli("keys", *words, stdin=b"x")
        assert done.code == exits.ERROR
        assert "write keys/folder/name." in " ".join(done.err.split())
        assert "runner/" not in done.err


async def test_a_run_that_lacks_its_key_is_not_said_to_have_taken_no_time(keyed: System) -> None:
    option = "{name: pw, secure: true, required: true, storagePath: keys/none}"
    text = f"- {{name: use, uuid: use, options: [{option}], sequence: {{commands: [{{exec: echo ran}}]}}}}\n"
    await keyed.client.call(catalog.JOB_PUT, JobPutRequest(text=text))
    cli = Cli.of(keyed)
    done = await cli("job", "run", "use")
    assert "■ failed before it began\n" in done.err
    (view,) = (await keyed.client.call(catalog.EXECUTION_LIST, ExecutionListRequest(job="use"))).executions
    shown = await cli("execution", "show", view.id)
    assert "failed before it began" in shown.text
    assert "0ms" not in done.err + shown.text + (await cli("execution", "list")).text
