"""Our own key storages before a server that says a secret in every part of its answers: no error repeats it."""

from __future__ import annotations

from typing import Any, Final

import pytest
import structlog

from runbus.plugin import KeyStorageError
from services.runner.inventory import PluginInventory
from services.runner.keystorage.guarded import RunnerKeys
from services.runner.keystorage.settings import StorageSettings
from tests.support.echoserver import echo_server
from tests.support.leaks import found_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

TOKEN: Final = "hvs.what-the-runner-is-let-in-by"
SHORT: Final = {"maxRetries": "0", "readTimeout": "0.5", "openTimeout": "2"}
VAULT: Final = {"address": "http://127.0.0.1:{port}", "token": TOKEN, **SHORT}
STORAGES: Final = {
    "vault": VAULT,
    "vault with fields": {**VAULT, "storageBehaviour": "vault", "engineVersion": "2"},
    "vault by login": {**VAULT, "token": "", "authBackend": "userpass", "username": "u", "password": TOKEN},
    "conjur": {"applianceUrl": "http://127.0.0.1:{port}", "login": "host/x", "apiKey": TOKEN, **SHORT},
    "aws-secrets-manager": {
        "endpoint": "http://127.0.0.1:{port}", "region": "eu-west-1", "accessKeyId": "AKIAXXXXXXXXXXXXXXXX",
        "secretAccessKey": TOKEN, **SHORT,
    },
}  # fmt: skip
SECRET: Final = "SecretOfLettersOnly"
"""What looks most like a word that may be repeated: a code, a kind."""


def opened(name: str, port: int) -> RunnerKeys:
    inventory = PluginInventory("a1")
    inventory.load()
    config = {key: value.format(port=port) for key, value in STORAGES[name].items()}
    settings = StorageSettings(type=name.partition(" ")[0], config=config, origin="a test")
    return RunnerKeys([settings], inventory.storages)


@pytest.mark.parametrize("name", STORAGES)
async def test_no_error_repeats_what_was_answered(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    with structlog.testing.capture_logs() as logs:
        async with echo_server(SECRET) as server:
            keys = opened(name, server.port)
            # boto3 takes a tenth of a second for each call: of its answers every third
            while all(server.turn() for _ in range(3 if name.startswith("aws") else 1)):
                said += await asked(keys)
                if name.startswith("vault"):  # it remembers its login, and what it was told of a mount
                    await keys.close()
                    keys = opened(name, server.port)
            await keys.close()
        said += map(repr, logs)
    printed = capfd.readouterr()
    haystack = "\n".join([*said, printed.out, printed.err])
    assert server.calls > 20, "it was asked"
    assert len(said) > 20, "and did not answer well"
    assert found_in(haystack.encode(), {"secret": SECRET, "token": TOKEN}) == [], lines_with(SECRET, haystack)


async def asked(keys: RunnerKeys) -> list[str]:
    """What goes wrong with one answer to all calls, in words."""
    said = []
    calls: list[Any] = [lambda: keys.read("db/pw"), lambda: keys.show("db/pw"), lambda: keys.listing("db", deep=True)]
    for call in calls:
        try:
            await call()
        except KeyStorageError as error:
            said.append(f"{error.message} {error.reason}")
    await keys.check()
    said += [info.problem for info in keys.infos if info.problem]
    return said


def lines_with(text: str, haystack: str) -> list[str]:
    return [line for line in haystack.splitlines() if text in line]
