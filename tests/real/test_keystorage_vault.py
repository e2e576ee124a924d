"""The Vault key storage against HashiCorp's own Vault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from runbus.plugin import KeyFailure, KeyStorageError, KeyType
from services.runner.keystorage.vault import VaultKeyStorage
from tests.support.kubecerts import Authority
from tests.support.vaultreal import RealVault, real_vault

pytestmark = pytest.mark.slow

Opener = Callable[..., VaultKeyStorage]
MOUNTS = [{"secretBackend": "one"}, {"secretBackend": "two", "engineVersion": "2"}]


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealVault]:
    with real_vault(tmp_path_factory.mktemp("vault")) as server:
        server.put("app/db/password", **{"data": "s3cret", "Rundeck-content-type": "application/pgp-keys"})
        server.put("app/db/a b/50%?#ü", data="odd\nname")
        server.put("app/plain", value="only")
        server.put("app/multi", user="u", password="p")
        server.put("other/secret", data="not yours")
        server.policy("app", one__app_all=["read", "list"], two__data__app_all=["read"])
        server.policy("app2", two__metadata__app_all=["read", "list"])
        yield server


@pytest_asyncio.fixture
async def opened(vault: RealVault) -> AsyncIterator[Opener]:
    made: list[VaultKeyStorage] = []

    def open_one(server: RealVault = vault, **settings: str) -> VaultKeyStorage:
        made.append(VaultKeyStorage(server.config(**settings)))
        return made[-1]

    yield open_one
    for storage in made:
        await storage.close()


async def reason(call: object) -> KeyFailure:
    with pytest.raises(KeyStorageError) as caught:
        await call  # type: ignore[misc]
    return caught.value.reason


@pytest.mark.parametrize("mount", MOUNTS)
async def test_rundecks_behaviour(mount: dict[str, str], opened: Opener) -> None:
    storage = opened(**mount, prefix="app")
    await storage.check()
    assert await storage.read("db/password") == "s3cret"
    assert await storage.read("db/a b/50%?#ü") == "odd\nname"
    entries = await storage.children("", deep=True)
    assert [(entry.path, entry.folder) for entry in entries] == [
        ("db", True), ("db/a b", True), ("db/a b/50%?#ü", False), ("db/password", False),
    ]  # fmt: skip
    assert [entry.type for entry in entries] == [None, None, KeyType.PRIVATE_KEY, KeyType.PUBLIC_KEY]
    assert await reason(storage.read("plain")) is KeyFailure.NO_KEY
    assert await reason(storage.read("db/nothing")) is KeyFailure.NOT_FOUND
    assert await reason(storage.children("nothing")) is KeyFailure.NOT_FOUND


@pytest.mark.parametrize("mount", MOUNTS)
async def test_vaults_behaviour(mount: dict[str, str], opened: Opener) -> None:
    storage = opened(**mount, prefix="app", storageBehaviour="vault")
    assert await storage.read("plain") == "only"
    assert await storage.read("multi/password") == "p"
    assert [entry.path for entry in await storage.children("multi")] == ["multi/password", "multi/user"]
    assert (await storage.show("multi")).folder


async def test_versions_and_deletion(vault: RealVault, opened: Opener) -> None:
    for value in ("one", "two"):
        vault.admin.secrets.kv.v2.create_or_update_secret("app/changing", {"data": value}, mount_point="two")
    storage = opened(**MOUNTS[1], prefix="app", useVaultMetadataTimestamps="true")
    shown = await storage.show("changing")
    assert shown.meta["vault-version"] == "2"
    assert shown.created_at is not None
    assert shown.modified_at is not None
    assert shown.created_at < shown.modified_at
    vault.admin.secrets.kv.v2.delete_latest_version_of_secret("app/changing", mount_point="two")
    assert await reason(storage.read("changing")) is KeyFailure.NOT_FOUND
    vault.admin.secrets.kv.v2.delete_metadata_and_all_versions("app/changing", mount_point="two")


@pytest.mark.parametrize("mount", MOUNTS)
async def test_a_policy_that_allows_only_a_prefix(mount: dict[str, str], vault: RealVault, opened: Opener) -> None:
    role = vault.approle("reader", policies=["app", "app2"])
    storage = opened(**mount, **role)
    await storage.check()
    assert await storage.read("app/db/password") == "s3cret"
    assert await reason(storage.read("other/secret")) is KeyFailure.FORBIDDEN
    assert await reason(storage.children("")) is KeyFailure.FORBIDDEN
    assert await reason(storage.children("other")) is KeyFailure.FORBIDDEN
    for path in ("app/../other/secret", "app/%2e%2e/other/secret", "app/..%2fother/secret"):
        assert await reason(storage.read(path)) is KeyFailure.OUTSIDE


@pytest.mark.parametrize(("mount", "version", "right"), [("two", "1", "2"), ("one", "2", "1")])
async def test_the_other_version(mount: str, version: str, right: str, vault: RealVault, opened: Opener) -> None:
    expected = f"KV {right}: set engineVersion to {right}"
    role = vault.approle("reader", policies=["app", "app2"])
    for login in ({}, role):
        storage = opened(secretBackend=mount, engineVersion=version, prefix="app", **login)
        for call in (storage.check, lambda used=storage: used.read("plain"), lambda used=storage: used.children("")):
            with pytest.raises(KeyStorageError, match=expected):
                await call()
    assert await reason(opened(secretBackend="nowhere").children("")) is KeyFailure.CONFIGURATION


async def test_tokens(vault: RealVault, opened: Opener) -> None:
    assert await reason(opened(token="hvs.wrong").read("a")) is KeyFailure.AUTHENTICATION
    made = vault.admin.auth.token.create(policies=["app"], ttl="1h", no_default_policy=True)
    blind = made["auth"]["client_token"]  # it may not look at itself
    assert await opened(**MOUNTS[0], prefix="app", token=blind, storageBehaviour="vault").read("plain") == "only"


async def test_userpass(vault: RealVault, opened: Opener) -> None:
    vault.admin.sys.enable_auth_method("userpass")
    vault.admin.auth.userpass.create_or_update_user("bob", "his-password", policies="app")
    login = {"authBackend": "userpass", "username": "bob", "password": "his-password"}
    assert await opened(**MOUNTS[0], **login).read("app/db/password") == "s3cret"
    assert await reason(opened(**{**login, "password": "wrong"}).read("a")) is KeyFailure.AUTHENTICATION


async def test_a_wrong_secret_id(vault: RealVault, opened: Opener) -> None:
    role = vault.approle("reader", policies=["app"])
    assert await reason(opened(**{**role, "approleSecretId": "wrong"}).read("a")) is KeyFailure.AUTHENTICATION
    with pytest.raises(KeyStorageError, match="auth/nowhere") as caught:  # Vault itself does not say which it is
        await opened(**role, approleAuthMount="nowhere").read("a")
    assert caught.value.reason is KeyFailure.AUTHENTICATION


async def test_a_short_token_is_renewed_and_then_replaced(vault: RealVault, opened: Opener) -> None:
    role = vault.approle("short", policies=["app"], token_ttl="2s", token_max_ttl="5s")
    storage = opened(**MOUNTS[0], **role)
    tokens = set()
    deadline_s = time.monotonic() + 7
    while time.monotonic() < deadline_s:
        assert await storage.read("app/db/password") == "s3cret"
        tokens.add(storage._storage._engine._session._token.text)  # type: ignore[union-attr]
        await asyncio.sleep(0.05)
    assert 2 <= len(tokens) <= 3


async def test_a_batch_token_is_replaced(vault: RealVault, opened: Opener) -> None:
    role = vault.approle("batch", policies=["app"], token_ttl="2s", token_type="batch")
    storage = opened(**MOUNTS[0], **role)
    deadline_s = time.monotonic() + 4
    while time.monotonic() < deadline_s:
        assert await storage.read("app/db/password") == "s3cret"
        await asyncio.sleep(0.05)


async def test_a_revoked_token_is_replaced_at_once(vault: RealVault, opened: Opener) -> None:
    storage = opened(**MOUNTS[0], **vault.approle("reader", policies=["app"]))
    await storage.read("app/db/password")
    vault.admin.sys.revoke_prefix("auth/approle/login")
    found = await asyncio.gather(*(storage.read("app/db/password") for _ in range(50)))
    assert found == ["s3cret"] * 50


async def test_closing_gives_the_token_back(vault: RealVault, opened: Opener) -> None:
    storage = opened(**MOUNTS[0], **vault.approle("reader", policies=["app"]))
    await storage.read("app/db/password")
    token = storage._storage._engine._session._token.text  # type: ignore[union-attr]
    assert vault.admin.auth.token.lookup(token)["data"]["renewable"]
    await storage.close()
    with pytest.raises(Exception, match="bad token"):
        vault.admin.auth.token.lookup(token)


async def test_sealed_and_unsealed(tmp_path: Path, opened: Opener) -> None:
    with real_vault(tmp_path) as own:
        own.put("a", data="x")
        storage = opened(own, secretBackend="one")
        assert await storage.read("a") == "x"
        own.seal()
        assert await reason(storage.read("a")) is KeyFailure.SEALED
        assert await reason(storage.check()) is KeyFailure.SEALED
        own.unseal()
        assert await storage.read("a") == "x"
        own.stop()
        assert await reason(storage.read("a")) is KeyFailure.UNREACHABLE


async def test_a_client_certificate(tmp_path: Path, opened: Opener) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.client("runner", "runners")
    with real_vault(tmp_path, authority) as own:
        own.put("a", data="x")
        own.policy("all", one___all=["read", "list"])
        own.admin.sys.enable_auth_method("cert")
        own.admin.auth.cert.create_ca_certificate_role(
            "runners", certificate=authority.file.read_text(), token_policies=["all"]
        )
        login = {
            "authBackend": "cert", "pemFile": str(authority.file), "clientPemFile": str(certificate),
            "clientKeyPemFile": str(key), "secretBackend": "one",
        }  # fmt: skip
        assert await opened(own, **login).read("a") == "x"
        assert await opened(own, **login, certRoleName="runners").read("a") == "x"
        assert await reason(opened(own, **login, certRoleName="wrong").read("a")) is KeyFailure.AUTHENTICATION
        assert await reason(opened(own).read("a")) is KeyFailure.CERTIFICATE


async def test_a_thousand_keys_in_a_hundred_folders(vault: RealVault, opened: Opener) -> None:
    for number in range(1000):
        await asyncio.to_thread(vault.put, f"tree/f{number % 100}/k{number}", data=f"value-{number}")
    for mount in MOUNTS:
        storage = opened(**mount, prefix="tree")
        await storage.check()
        began_s = time.perf_counter()
        assert len(await storage.children("", deep=True)) == 1100
        listed_s = time.perf_counter() - began_s
        began_s = time.perf_counter()
        for number in range(100):
            assert await storage.read(f"f{number}/k{number}") == f"value-{number}"
        print(f"{mount}: listed in {listed_s:.2f} s; a read {(time.perf_counter() - began_s) * 10:.2f} ms")
        assert listed_s < 15
