"""Being let in by Vault, staying so, and being let in again: against its stand-in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runbus.plugin import KeyFailure, KeyStorageError
from services.runner.keystorage.configuration import storages_of
from services.runner.keystorage.vault import VaultKeyStorage
from tests.support.kubecerts import Authority
from tests.support.vaultfixtures import Opener, opened, vault  # noqa: F401  (fixtures)
from tests.support.vaultstandin import VaultStandIn, vault_stand_in
from tests.support.vaulttls import server_context

pytestmark = pytest.mark.slow

APPROLE = {"authBackend": "approle", "token": "", "approleId": "role", "approleSecretId": "its-secret"}
LOGIN = "auth/approle/login"


@pytest.fixture
def key(vault: VaultStandIn) -> str:  # noqa: F811
    vault.state.mounts["secret"].secrets = {"a": {"data": "x"}, "b": {"data": "y"}}
    vault.state.logins = {
        "auth/approle": {"role_id": "role", "secret_id": "its-secret"},
        "auth/team/approle": {"role_id": "role", "secret_id": "its-secret"},
        "auth/userpass": {"username": "bob", "password": "his-password"},
        "auth/github": {"token": "gh-token"},
    }
    return "a"


async def until(condition: Callable[[], bool], within_s: float = 8.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("settings", "login"),
    [
        (APPROLE, LOGIN),
        ({**APPROLE, "approleAuthMount": "team/approle"}, "auth/team/approle/login"),
        ({"authBackend": "userpass", "username": "bob", "password": "his-password"}, "auth/userpass/login/bob"),
        ({"authBackend": "github", "githubToken": "gh-token"}, "auth/github/login"),
        ({}, "auth/token/lookup-self"),
    ],
)
async def test_each_way_of_being_let_in(
    settings: dict[str, str], login: str, key: str, vault: VaultStandIn, opened: Opener  # noqa: F811
) -> None:  # fmt: skip
    storage = opened(**settings)
    assert await storage.read(key) == "x"
    assert await storage.read("b") == "y"
    assert vault.count(login) == 1
    await storage.close()
    assert vault.count("auth/token/revoke-self") == (1 if settings else 0)
    assert set(vault.state.tokens) == {"root-token"}


async def test_a_certificate_lets_in(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, private = authority.client("runner", "runners")
    with vault_stand_in(server_context(authority, is_asking=True)) as server:
        server.state.mounts["secret"].secrets = {"a": {"data": "x"}}
        server.state.logins = {"auth/cert": {"name": "runners"}}
        storage = VaultKeyStorage(
            server.config(
                authBackend="cert", token="", pemFile=str(authority.file), clientPemFile=str(certificate),
                clientKeyPemFile=str(private), certRoleName="runners",
            )
        )  # fmt: skip
        assert await storage.read("a") == "x"
        await storage.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {**APPROLE, "approleSecretId": "wrong-and-secret"},
        {"authBackend": "userpass", "username": "bob", "password": "wrong-and-secret"},
        {"authBackend": "github", "githubToken": "wrong-and-secret"},
        {"token": "wrong-and-secret"},
    ],
)
async def test_wrong_credentials(wrong: dict[str, str], key: str, vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    storage = opened(**wrong)
    found = await asyncio.gather(*(storage.read(key) for _ in range(20)), return_exceptions=True)
    errors = [each for each in found if isinstance(each, KeyStorageError)]
    assert {error.reason for error in errors} == {KeyFailure.AUTHENTICATION}
    assert len(errors) == 20
    assert "wrong-and-secret" not in errors[0].message
    assert len(vault.calls) == 1  # twenty who wait are one failed login: Vault locks users out for more


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"token": ""}, "CONFIG_AUTHBACKEND: vault: authBackend token needs token"),
        ({**APPROLE, "approleSecretId": ""}, "authBackend approle needs approleSecretId"),
        ({"authBackend": "userpass", "username": "bob"}, "authBackend userpass needs password"),
        ({"authBackend": "github"}, "authBackend github needs githubToken"),
        ({"authBackend": "cert"}, "authBackend cert needs clientPemFile and clientKeyPemFile"),
        (
            {"authBackend": "cert", "clientPemFile": "/c", "clientKeyPemFile": "/k", "address": "http://v"},
            "authBackend cert needs an https address",
        ),
        ({"address": "vault:8200"}, "CONFIG_ADDRESS: vault: address has to be https://HOST:PORT"),
        ({"address": "http://user:pass-of-it@127.0.0.1:1"}, "address has to be https://HOST:PORT"),
        ({"clientPemFile": "/nowhere/c.pem"}, "clientPemFile and clientKeyPemFile are both needed"),
        ({"keyStoreFile": "/x.jks"}, "keyStoreFile is a key store of Java, which cannot be read: give clientPemFile"),
        ({"trustStoreFile": "/x.jks"}, "trustStoreFile is a key store of Java"),
        ({"secretBackend": "a/../b"}, "secretBackend is no path"),
        (
            {"engineVersion": "abc"},
            "CONFIG_ENGINEVERSION: vault: engineVersion has to be a whole number, 1 or more and",
        ),
        ({"engineVersion": "3"}, "engineVersion has to be a whole number, 1 or more and 2 at most"),
        ({"readTimeout": "0"}, "readTimeout has to be a number, more than 0 and 86400 at most"),
        ({"authBackend": "ldap"}, "authBackend has to be one of token, approle, userpass, cert, github"),
    ],
)
def test_settings_that_are_known_to_be_wrong_are_refused_at_the_start(wrong: dict[str, str], said: str) -> None:
    before = "RUNBUS_KEY_STORAGE_"
    given = {"address": "https://127.0.0.1:1", "authBackend": "token", "token": "root-token"} | wrong
    env = {f"{before}TYPE": "vault"} | {f"{before}CONFIG_{name.upper()}": value for name, value in given.items()}
    with pytest.raises(KeyStorageError) as caught:
        storages_of(env, {"vault": VaultKeyStorage})
    assert caught.value.reason is KeyFailure.CONFIGURATION
    assert caught.value.message.startswith(before)
    assert said in caught.value.message
    assert not any(secret in caught.value.message for secret in ("pass-of-it", "root-token", "its-secret", "abc"))


@pytest.mark.parametrize(
    "wrong",
    [{"pemFile": "/nowhere/ca.pem"}, {"clientPemFile": "/nowhere/c.pem", "clientKeyPemFile": "/nowhere/k.pem"}],
)
async def test_files_that_are_not_there_yet(wrong: dict[str, str], opened: Opener) -> None:  # noqa: F811
    with pytest.raises(KeyStorageError) as caught:
        await opened(**wrong).read("a")
    assert caught.value.reason is KeyFailure.CONFIGURATION


async def test_a_login_that_is_not_mounted(key: str, opened: Opener) -> None:  # noqa: F811
    with pytest.raises(KeyStorageError, match="auth/nowhere") as caught:
        await opened(**{**APPROLE, "approleAuthMount": "nowhere"}).read(key)
    assert caught.value.reason is KeyFailure.AUTHENTICATION


async def test_namespaces(key: str, vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    await opened(**APPROLE, namespace="team").read(key)
    assert {call.namespace for call in vault.calls} == {"team"}
    vault.calls.clear()
    await opened(**APPROLE, namespace="team", authNamespace="login").read(key)
    assert [(call.path, call.namespace) for call in vault.calls] == [(LOGIN, "login"), ("secret/a", "team")]


async def test_a_hundred_readers_log_in_once(key: str, vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.delay_s = 0.02
    storage = opened(**APPROLE)
    assert await asyncio.gather(*(storage.read(key) for _ in range(100))) == ["x"] * 100
    assert vault.count(LOGIN) == 1


async def test_one_reader_who_gives_up_does_not_end_the_login_of_others(
    key: str, vault: VaultStandIn, opened: Opener  # noqa: F811
) -> None:  # fmt: skip
    vault.delay_s = 0.1
    storage = opened(**APPROLE)
    first, second = (asyncio.create_task(storage.read(key)) for _ in range(2))
    await until(lambda: vault.count(LOGIN) == 1)
    first.cancel()
    assert await second == "x"
    assert vault.count(LOGIN) == 1


@pytest.mark.parametrize("is_old", [False, True])
async def test_a_token_that_is_no_more(
    is_old: bool, key: str, vault: VaultStandIn, opened: Opener, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setattr("services.runner.keystorage.vault.session._YOUNG_S", 0.0)
    vault.state.is_old = is_old
    storage = opened(**APPROLE)
    await storage.read(key)
    vault.state.expire_all()
    assert await asyncio.gather(*(storage.read(key) for _ in range(30))) == ["x"] * 30
    assert vault.count(LOGIN) == 2


@pytest.mark.usefixtures("key")
async def test_a_forbidden_tree_brings_no_login_per_key(vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.state.mounts["secret"].secrets |= {f"f{i}/k": {"data": "x"} for i in range(30)}
    vault.state.forbidden = {f"secret/f{i}" for i in range(30)}
    storage = opened(**APPROLE)
    assert len(await storage.children("", deep=True)) == 32
    assert vault.count(LOGIN) == 1
    with pytest.raises(KeyStorageError) as caught:
        await storage.read("f1/k")
    assert caught.value.reason is KeyFailure.FORBIDDEN
    assert "secret/f1/k" in caught.value.message


async def test_a_given_token_that_ended(key: str, vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    storage = opened()
    await storage.read(key)
    vault.state.tokens.clear()
    with pytest.raises(KeyStorageError) as caught:
        await storage.read(key)
    assert caught.value.reason is KeyFailure.AUTHENTICATION
    vault.state = type(vault.state)()


async def test_a_token_is_renewed_while_nobody_asks(key: str, vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.state.ttl_s = 0.6
    storage = opened(**APPROLE)
    await storage.read(key)
    await until(lambda: vault.count("auth/token/renew-self") >= 3)
    assert await storage.read(key) == "x"
    assert vault.count(LOGIN) == 1


async def test_a_token_that_cannot_be_renewed_is_replaced(key: str, vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.state.ttl_s, vault.state.is_renewable = 0.3, False
    storage = opened(**APPROLE)
    deadline_s = time.monotonic() + 0.9
    while time.monotonic() < deadline_s:
        assert await storage.read(key) == "x"
    assert vault.count("auth/token/renew-self") == 0
    assert 3 <= vault.count(LOGIN) <= 7
    assert len([call for call in vault.calls if call.path == "secret/a"]) > vault.count(LOGIN)


async def test_at_the_longest_time_of_a_token_there_is_a_new_login(
    key: str, vault: VaultStandIn, opened: Opener  # noqa: F811
) -> None:  # fmt: skip
    vault.state.ttl_s, vault.state.max_ttl_s = 0.6, 1.0
    storage = opened(**APPROLE)
    await storage.read(key)
    await until(lambda: vault.count("auth/token/renew-self") >= 1)
    deadline_s = time.monotonic() + 1.2
    while time.monotonic() < deadline_s:
        assert await storage.read(key) == "x"
    assert vault.count(LOGIN) >= 2


async def test_renewal_outlasts_an_outage(key: str, vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.state.ttl_s = 1.5
    storage = opened(**APPROLE)
    await storage.read(key)
    vault.is_sealed = True
    await until(lambda: vault.count("auth/token/renew-self") == 1)
    vault.is_sealed = False
    await until(lambda: vault.count("auth/token/renew-self") >= 3)
    assert await storage.read(key) == "x"
    assert vault.count(LOGIN) == 1


async def test_a_storage_that_was_closed_opens_anew(key: str, vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    storage = opened(**APPROLE)
    await storage.close()
    await storage.read(key)
    await storage.close()
    assert await storage.read(key) == "x"
    assert vault.count(LOGIN) == 2


async def test_nothing_of_the_users_own_is_sent(
    key: str, vault: VaultStandIn, opened: Opener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    (tmp_path / ".vault-token").write_text("token-of-a-file")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VAULT_TOKEN", "token-of-the-environment")
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert await opened(**APPROLE).read(key) == "x"
    assert all("token-of" not in call.token for call in vault.calls)
