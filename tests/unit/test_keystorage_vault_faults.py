"""What can go wrong with Vault: each a typed error, and no secret in any text or log."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
import traceback
from pathlib import Path

import pytest

from runbus.plugin import KeyFailure, KeyStorageError
from services.runner.keystorage.vault import VaultKeyStorage
from tests.support.kubecerts import Authority
from tests.support.vaultengine import Mount
from tests.support.vaultfixtures import Opener, opened, vault  # noqa: F401  (fixtures)
from tests.support.vaultstandin import VaultStandIn, vault_stand_in
from tests.support.vaulttls import server_context

SECRETS = ("root-token", "do-not-repeat-me", "s3cret-value", "wrong-and-secret")


async def failing(storage: VaultKeyStorage, path: str = "a") -> KeyStorageError:
    """The error of a read, which has to be the same of a listing and of a check, and tells no secret."""
    with pytest.raises(KeyStorageError) as caught:
        await storage.read(path)
    text = "".join(traceback.format_exception(caught.value, chain=False)) + caught.value.message
    behind: BaseException | None = caught.value
    while behind is not None:
        text += repr(behind)
        behind = behind.__cause__ or behind.__context__
    assert not any(secret in text for secret in SECRETS)
    return caught.value


@pytest.fixture(autouse=True)
def key(vault: VaultStandIn) -> None:  # noqa: F811
    vault.state.mounts["secret"].secrets = {"a": {"data": "s3cret-value"}}


async def test_sealed(vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.is_sealed = True
    error = await failing(opened())
    assert error.reason is KeyFailure.SEALED
    assert "Unseal" in error.message
    assert len(vault.calls) == 6  # maxRetries of the original: five more


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, KeyFailure.FAILED), (405, KeyFailure.FAILED), (429, KeyFailure.FAILED), (500, KeyFailure.FAILED),
        (501, KeyFailure.SEALED), (503, KeyFailure.SEALED), (472, KeyFailure.SEALED), (473, KeyFailure.SEALED),
        (302, KeyFailure.MALFORMED), (204, KeyFailure.MALFORMED),
    ],
)  # fmt: skip
async def test_a_status(status: int, reason: KeyFailure, vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    storage = opened()
    await storage.read("a")
    vault.next_statuses = [status] * 6
    assert (await failing(storage)).reason is reason


async def test_what_passes_is_tried_again(vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    storage = opened()
    vault.next_statuses = [503, 500, 429, 502]
    assert await storage.read("a") == "s3cret-value"
    assert len(vault.calls) == 6


@pytest.mark.parametrize("status", [400, 405])
async def test_what_does_not_pass_is_not(status: int, vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    storage = opened()
    await storage.read("a")
    vault.calls.clear()
    vault.next_statuses = [status]
    await failing(storage)
    assert len(vault.calls) == 1


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, KeyFailure.MALFORMED),
        (403, KeyFailure.MALFORMED),
        (404, KeyFailure.MALFORMED),
        (502, KeyFailure.UNREACHABLE),
    ],
)
@pytest.mark.parametrize("is_let_in", [False, True])
async def test_a_page_of_html(
    is_let_in: bool, status: int, reason: KeyFailure, vault: VaultStandIn, opened: Opener  # noqa: F811
) -> None:  # fmt: skip
    storage = opened()
    if is_let_in:
        await storage.read("a")
    vault.html_status = status
    assert (await failing(storage)).reason is reason
    with pytest.raises(KeyStorageError) as caught:
        await storage.children("", deep=True)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    "raw",
    [b"[]", b"null", b"{}", b'{"data": 5}', b'{"data": {"data": 5}}', b'{"data"', b"\xff", b'{"data":' + b"[" * 5000],
)
@pytest.mark.parametrize("is_let_in", [False, True])
async def test_json_that_is_not_vaults(is_let_in: bool, raw: bytes, vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.state.mounts["secret"] = Mount(version=2, secrets={"a": {"data": "s3cret-value"}})
    storage = opened(engineVersion="2")
    if is_let_in:
        await storage.read("a")
    vault.raw = raw
    assert (await failing(storage)).reason is KeyFailure.MALFORMED
    with pytest.raises(KeyStorageError) as caught:
        await storage.children("", deep=True)
    assert caught.value.reason is KeyFailure.MALFORMED


async def test_nobody_listens(opened: Opener) -> None:  # noqa: F811
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        storage = opened(address=f"http://127.0.0.1:{closed.getsockname()[1]}", retryIntervalMilliseconds="40")
        began_s = time.monotonic()
        error = await failing(storage)
    assert time.monotonic() - began_s >= 5 * 0.04
    assert error.reason is KeyFailure.UNREACHABLE
    assert "Connection refused" in error.message


async def test_a_connection_that_breaks_is_made_again(vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    storage = opened(maxRetries="3")
    await storage.read("a")
    vault.drops = 3
    assert await storage.read("a") == "s3cret-value"
    vault.drops = 4
    assert (await failing(storage)).reason is KeyFailure.UNREACHABLE


async def test_a_name_that_does_not_resolve(opened: Opener) -> None:  # noqa: F811
    error = await failing(opened(address="http://vault.invalid:8200", maxRetries="0"))
    assert error.reason is KeyFailure.UNREACHABLE
    assert "resolve" in error.message


async def test_something_else_listens(opened: Opener) -> None:  # noqa: F811
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for scheme in ("http", "https"):
        error = await failing(opened(address=f"{scheme}://127.0.0.1:{port}"))
        assert error.reason is KeyFailure.UNREACHABLE
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("how", ["silent", "dripping"])
async def test_slow(how: str, vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    storage = opened(readTimeout="0.2", openTimeout="0.1")
    await storage.read("a")
    vault.calls.clear()
    if how == "silent":
        vault.delay_s = 1.0
    else:
        vault.drip_s = 0.04
    began_s = time.monotonic()
    error = await failing(storage)
    assert error.reason is KeyFailure.TIMEOUT
    assert time.monotonic() - began_s < 0.9
    assert len(vault.calls) == 1  # a slow server is not asked again


async def test_more_than_fits(vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    storage = opened()
    await storage.read("a")
    vault.padding_bytes = 5 << 20
    assert (await failing(storage)).reason is KeyFailure.TOO_LARGE


@pytest.mark.parametrize(("mount", "setting"), [(2, "1"), (1, "2")])
async def test_the_other_version(mount: int, setting: str, vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.state.mounts["secret"] = Mount(version=mount, secrets={"a": {"data": "s3cret-value"}})
    storage = opened(engineVersion=setting)
    expected = f"KV {mount}: set engineVersion to {mount}"
    error = await failing(storage)
    assert (error.reason, expected in error.message) == (KeyFailure.CONFIGURATION, True)
    for call in (storage.check, lambda: storage.children(""), lambda: storage.show("a")):
        with pytest.raises(KeyStorageError, match=expected):
            await call()
    vault.state.forbidden = {"secret/"}  # a policy for the right version does not know the paths of the other
    with pytest.raises(KeyStorageError, match=expected):
        await opened(engineVersion=setting).read("a")


async def test_a_mount_that_is_not_there(opened: Opener) -> None:  # noqa: F811
    storage = opened(secretBackend="nowhere")
    error = await failing(storage)
    assert (error.reason, "nowhere" in error.message) == (KeyFailure.CONFIGURATION, True)
    with pytest.raises(KeyStorageError, match="nothing is mounted at nowhere"):
        await storage.children("", deep=True)


async def test_check(vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    storage = opened()
    await storage.check()
    vault.state.tokens.clear()
    with pytest.raises(KeyStorageError) as caught:
        await storage.check()
    assert caught.value.reason is KeyFailure.AUTHENTICATION


@pytest.mark.parametrize("is_asking", [False, True])
async def test_a_certificate_that_is_not_trusted(is_asking: bool, tmp_path: Path, opened: Opener) -> None:  # noqa: F811
    authority = Authority(tmp_path)
    with vault_stand_in(server_context(authority, is_asking=is_asking)) as server:
        server.state.mounts["secret"].secrets = {"a": {"data": "x"}}
        if is_asking:
            error = await failing(opened(server.config(pemFile=str(authority.file), maxRetries="0")))
            assert error.reason in (KeyFailure.CERTIFICATE, KeyFailure.UNREACHABLE)
            return
        error = await failing(opened(server.config()))
        assert error.reason is KeyFailure.CERTIFICATE
        assert "pemFile" in error.message
        assert await opened(server.config(pemFile=str(authority.file))).read("a") == "x"


async def test_an_unchecked_certificate_brings_no_warning(
    tmp_path: Path, opened: Opener, recwarn: pytest.WarningsRecorder  # noqa: F811
) -> None:  # fmt: skip
    with vault_stand_in(server_context(Authority(tmp_path))) as server:
        server.state.mounts["secret"].secrets = {"a": {"data": "x"}}
        assert await opened(server.config(validateSsl="false")).read("a") == "x"
    assert not list(recwarn)


async def test_a_certificate_that_has_expired(tmp_path: Path, opened: Opener) -> None:  # noqa: F811
    authority = Authority(tmp_path)
    with vault_stand_in(server_context(authority, is_expired=True)) as server:
        error = await failing(opened(server.config(pemFile=str(authority.file))))
    assert error.reason is KeyFailure.CERTIFICATE
    assert "expired" in error.message


async def test_a_standby_sends_to_the_active_node(vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    with vault_stand_in() as standby:
        standby.redirect_to = vault.address
        assert await opened(standby.config()).read("a") == "s3cret-value"
        standby.redirect_to = standby.address
        assert (await failing(opened(standby.config()))).reason is KeyFailure.MALFORMED


async def test_a_token_goes_nowhere_without_tls(tmp_path: Path, vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    authority = Authority(tmp_path)
    with vault_stand_in(server_context(authority)) as standby:
        standby.redirect_to = vault.address
        error = await failing(opened(standby.config(pemFile=str(authority.file))))
    assert error.reason is KeyFailure.MALFORMED
    assert vault.calls == []


async def test_no_secret_in_any_log(vault: VaultStandIn, opened: Opener, caplog: pytest.LogCaptureFixture) -> None:  # noqa: F811
    caplog.set_level(logging.DEBUG)
    storage = opened()
    await storage.read("a")
    await storage.children("", deep=True)
    for status in (500, 403, 400):
        vault.next_statuses = [status] * 6
        await failing(storage)
    vault.is_sealed = True
    await failing(storage)
    vault.state.logins = {"auth/approle": {"secret_id": "other"}}
    vault.is_sealed = False
    await failing(opened(authBackend="approle", approleId="r", approleSecretId="wrong-and-secret"))
    assert caplog.records
    assert not any(secret in caplog.text for secret in SECRETS)
