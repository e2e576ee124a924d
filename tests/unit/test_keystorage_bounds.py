"""Providers that answer for ever, or byte by byte: bounded in memory and time, and asked again once they are well."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from runbus.plugin import KeyFailure, KeyStorageError
from services.runner.keystorage.aws import AwsConfig, AwsSecrets
from services.runner.keystorage.conjur import ConjurVariables
from services.runner.keystorage.guarded import RunnerKeys
from services.runner.keystorage.settings import StorageSettings
from services.runner.keystorage.vault import VaultKeyStorage
from tests.support.badprovider import VALUE, BadProvider, bad_provider
from tests.support.waiting import eventually

PLUGINS: dict[str, Any] = {
    "vault": VaultKeyStorage, "conjur": ConjurVariables, "aws-secrets-manager": AwsSecrets,
}  # fmt: skip
KINDS = pytest.mark.parametrize("kind", list(PLUGINS))
_PLACES = 20
"""More calls than that are under way at once in no storage."""


@pytest.fixture(autouse=True)
def _nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def _opened(provider: BadProvider, kind: str, deadline_s: float | None = 1.5, **settings: str) -> RunnerKeys:
    if kind.startswith("aws"):
        pytest.importorskip("boto3")
    config = provider.settings(kind, **settings)
    return RunnerKeys([StorageSettings(type=kind, config=config)], PLUGINS, deadline_s=deadline_s)


async def _failure(keys: RunnerKeys, path: str = "a") -> KeyStorageError:
    with pytest.raises(KeyStorageError) as caught:
        await keys.read(path)
    return caught.value


async def _failing(keys: RunnerKeys, number: int) -> KeyFailure:
    return (await _failure(keys, f"k{number}")).reason


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("runbus-")}


@KINDS
@pytest.mark.parametrize("way", ["endless", "endless chunks"])
async def test_an_endless_answer_is_cut_off(kind: str, way: str) -> None:
    async with bad_provider() as provider:
        keys = _opened(provider, kind, deadline_s=20.0)
        assert VALUE in await keys.read("a")
        provider.way, provider.sent_bytes = way, 0
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        error = await _failure(keys)
        assert error.reason is KeyFailure.TOO_LARGE
        assert "4 MiB" in error.message
        assert provider.sent_bytes < 24 << 20  # with what the system holds between the two
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 48 << 10
        provider.way = "good"
        assert VALUE in await keys.read("a")
        await keys.close()


@KINDS
@pytest.mark.parametrize("way", ["drip", "drip head", "drip chunks", "silent"])
async def test_it_comes_back_when_the_provider_does(kind: str, way: str) -> None:
    before = _threads()
    async with bad_provider() as provider:
        keys = _opened(provider, kind, openTimeout="2")  # a connection is there; how soon is the machine's matter
        assert VALUE in await keys.read("a")
        provider.way = way
        began_s = time.monotonic()
        found = await asyncio.gather(*(_failing(keys, number) for number in range(3 * _PLACES)))
        assert set(found) == {KeyFailure.TIMEOUT}
        assert time.monotonic() - began_s < 6.0
        provider.way = "good"
        assert VALUE in await keys.read("a")
        await keys.close()

        async def none_left() -> bool:
            return not _threads() - before

        await eventually(none_left, what="no thread is left")


@KINDS
@pytest.mark.parametrize("way", ["drip", "drip head"])
async def test_a_login_that_drips_is_not_everybodys_for_ever(kind: str, way: str) -> None:
    async with bad_provider() as provider:
        provider.way = way
        keys = _opened(provider, kind)
        assert (await _failure(keys)).reason is KeyFailure.TIMEOUT
        provider.way = "good"
        assert VALUE in await keys.read("a")
        await keys.close()


@pytest.mark.parametrize("kind", list(PLUGINS))
async def test_one_that_closes_the_connection_is_not_reached(kind: str) -> None:
    async with bad_provider() as provider:
        provider.way = "closed"
        keys = _opened(provider, kind)
        error = await _failure(keys)
        await keys.close()
    assert error.reason is KeyFailure.UNREACHABLE
    assert "none of" not in error.message


_PROCESS = """
import asyncio, os, sys
from tests.unit.test_keystorage_bounds import PLUGINS
from services.runner.keystorage.guarded import RunnerKeys
from services.runner.keystorage.settings import StorageSettings
import msgspec

async def main():
    config = msgspec.json.decode(sys.argv[2])
    keys = RunnerKeys([StorageSettings(type=sys.argv[1], config=config)], PLUGINS)
    reads = [asyncio.create_task(keys.read(f"k{number}")) for number in range(30)]
    await asyncio.sleep(1.0)
    print("closing", flush=True)
    await keys.close()
    await asyncio.gather(*reads, return_exceptions=True)

asyncio.run(main())
print("left", flush=True)
"""


@pytest.mark.slow
@KINDS
@pytest.mark.parametrize("way", ["drip head", "drip", "silent"])
async def test_a_process_ends_although_its_provider_drips(kind: str, way: str) -> None:
    if kind.startswith("aws"):
        pytest.importorskip("boto3")
    async with bad_provider() as provider:
        provider.way = way
        config = provider.settings(kind, readTimeout="60", openTimeout="60")
        given = "{" + ", ".join(f'"{name}": "{value}"' for name, value in config.items()) + "}"
        root = Path(__file__).parents[2]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _PROCESS, kind, given, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 30.0) == b"closing\n"
        began_s = time.monotonic()
        out, err = await asyncio.wait_for(process.communicate(), 15.0)
    assert (out, process.returncode) == (b"left\n", 0), err.decode()
    assert time.monotonic() - began_s < 6.0


@pytest.mark.parametrize(
    ("kind", "settings", "within_s"),
    [
        ("vault", {}, 50.0),  # five retries of 25 s, and less than a command waits
        ("vault", {"maxRetries": "0"}, 25.0),
        ("vault", {"maxRetries": "0", "readTimeout": "30"}, 35.0),
        ("vault", {"maxRetries": "0", "readTimeout": "1", "openTimeout": "1"}, 20.0),
        ("vault", {"readTimeout": "3000"}, 50.0),
        ("conjur", {"maxRetries": "1"}, 30.0),
        ("aws-secrets-manager", {"maxRetries": "2"}, 45.0),
    ],
)
def test_how_long_a_storage_is_waited_for(kind: str, settings: dict[str, str], within_s: float) -> None:
    given = BadProvider().settings(kind) | {"maxRetries": "", "openTimeout": "", "readTimeout": ""} | settings
    keys = RunnerKeys([StorageSettings(type=kind, config=given)], PLUGINS)
    assert keys._storages[0]._deadline_s == within_s


async def test_what_would_not_help_is_not_advised() -> None:
    async with bad_provider() as provider:
        provider.way = "silent"
        keys = _opened(provider, "vault")
        assert (await _failure(keys)).message.endswith("within 0.5 s. Is it overloaded? Else raise readTimeout")
        await keys.close()
    from services.runner.keystorage.vault.faults import too_slow  # noqa: PLC0415

    for read_s, is_told in (("44", True), ("45", False), ("600", False)):
        config = VaultKeyStorage.config_type(token="t", read_timeout_s=float(read_s))
        assert ("raise readTimeout" in too_slow(config).message) is is_told


@KINDS
async def test_one_that_hangs_until_the_guard_gives_it_up_is_named_by_its_address(kind: str) -> None:
    async with bad_provider() as provider:
        provider.way = "silent"
        keys = _opened(provider, kind, deadline_s=0.4, readTimeout="20")
        error = await _failure(keys)
        assert error.reason is KeyFailure.TIMEOUT
        assert f" at http://127.0.0.1:{provider.port}" in error.message
        assert error.message.endswith("had not answered after 0.4 s. Is the provider up?")
        assert ("AWS Secrets Manager" in error.message and " in eu-west-1 had" in error.message) == (
            kind[:3] == "aws"
        )
        await keys.close()


def test_what_aws_takes_from_the_environment_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-south-2")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert AwsConfig().place == "AWS Secrets Manager at http://127.0.0.1:9 in eu-south-2"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://ada:pw@127.0.0.1:9")
    assert AwsConfig(region="eu-west-1").place == "AWS Secrets Manager in eu-west-1"
