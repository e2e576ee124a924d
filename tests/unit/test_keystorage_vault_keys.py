"""Reading, showing and listing keys of Vault, against its stand-in."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runbus.plugin import KeyFailure, KeyStorageError, KeyType
from tests.support.vaultengine import Mount
from tests.support.vaultfixtures import Opener, opened, vault  # noqa: F401  (fixtures)
from tests.support.vaultstandin import VaultStandIn

SECRETS = {
    "top": {"data": "one"},
    "db/password": {"data": "s3cret", "Rundeck-content-type": "application/x-rundeck-data-password"},
    "db/deep/er/key": {"data": "a\nb"},
    "db/plain": {"value": "only"},
    "db/multi": {"user": "u", "pass": "p"},
}


def listed(entries: object) -> list[tuple[str, bool]]:
    return [(entry.path, entry.folder) for entry in entries]  # type: ignore[attr-defined]


@pytest.fixture(params=["1", "2"])
def version(request: pytest.FixtureRequest, vault: VaultStandIn) -> str:  # noqa: F811
    vault.state.mounts["secret"] = Mount(version=int(request.param), secrets=dict(SECRETS))
    return str(request.param)


async def test_rundecks_behaviour(version: str, opened: Opener) -> None:  # noqa: F811
    storage = opened(engineVersion=version)
    assert await storage.read("db/password") == "s3cret"
    assert listed(await storage.children("")) == [("db", True), ("top", False)]
    assert listed(await storage.children("db")) == [("db/deep", True), ("db/password", False)]
    assert listed(await storage.children("", deep=True)) == [
        ("db", True), ("db/deep", True), ("db/deep/er", True), ("db/deep/er/key", False), ("db/password", False),
        ("top", False),
    ]  # fmt: skip
    with pytest.raises(KeyStorageError) as caught:
        await storage.read("db/plain")
    assert caught.value.reason is KeyFailure.NO_KEY
    assert "storageBehaviour vault" in caught.value.message


async def test_vaults_behaviour(version: str, opened: Opener) -> None:  # noqa: F811
    storage = opened(engineVersion=version, storageBehaviour="vault")
    assert await storage.read("db/plain") == "only"
    assert await storage.read("db/multi/pass") == "p"
    assert listed(await storage.children("db/multi")) == [("db/multi/pass", False), ("db/multi/user", False)]
    assert ("db/multi", True) in listed(await storage.children("db"))
    assert ("db/multi/user", False) not in listed(await storage.children("db"))
    assert ("db/multi/user", False) in listed(await storage.children("", deep=True))
    assert (await storage.show("db/multi")).folder
    shown = await storage.show("db/multi/user")
    assert (shown.path, shown.type, shown.size_bytes) == ("db/multi/user", KeyType.PASSWORD, 1)
    with pytest.raises(KeyStorageError) as caught:
        await storage.read("db/multi")
    assert caught.value.reason is KeyFailure.NO_KEY


async def test_a_secret_that_is_a_folder_twice(vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.state.mounts["secret"].secrets = {
        "a": {"x": "field", "y": "field"},
        "a/x": {"v": "secret"},
        "a/z": {"v": "1"},
    }
    storage = opened(storageBehaviour="vault")
    assert listed(await storage.children("a")) == [("a/x", False), ("a/y", False), ("a/z", False)]
    assert await storage.read("a/x") == "secret"
    assert await storage.read("a/y") == "field"
    assert listed(await storage.children("", deep=True)) == [
        ("a", True), ("a/x", False), ("a/y", False), ("a/z", False),
    ]  # fmt: skip


async def test_a_field_of_a_secret_that_alone_is_allowed(vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.state.mounts["secret"].secrets = {"db/multi": {"user": "u", "pass": "p"}}
    vault.state.forbidden = {"secret/db/multi/", "secret/db/other"}
    storage = opened(storageBehaviour="vault")
    assert await storage.read("db/multi/pass") == "p"
    assert (await storage.show("db/multi/user")).path == "db/multi/user"
    for path in ("db/multi/nothing", "db/other"):
        for call in (storage.read, storage.show):
            with pytest.raises(KeyStorageError) as caught:
                await call(path)
            assert caught.value.reason is KeyFailure.FORBIDDEN


async def test_show_says_all_but_the_value(vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.state.mounts["secret"] = Mount(version=2, secrets=dict(SECRETS), versions={"db/password": 3})
    shown = await opened(engineVersion="2").show("db/password")
    assert shown.created_at == datetime(2026, 1, 2, 3, 4, 5, 123457, tzinfo=UTC)
    assert shown.meta["vault-version"] == "3"
    assert "s3cret" not in repr(shown)
    timed = await opened(engineVersion="2", useVaultMetadataTimestamps="true").show("db/password")
    assert timed.created_at == datetime(2025, 1, 1, tzinfo=UTC)
    assert timed.modified_at == datetime(2026, 2, 2, tzinfo=UTC)


@pytest.mark.parametrize("path", ["nothing", "db/nothing", "db/password/below"])
async def test_there_is_no_such_key(path: str, version: str, opened: Opener) -> None:  # noqa: F811
    storage = opened(engineVersion=version, storageBehaviour="vault" if "below" in path else "rundeck")
    for call in (storage.read, storage.show, storage.children):
        with pytest.raises(KeyStorageError) as caught:
            await call(path)
        assert caught.value.reason is KeyFailure.NOT_FOUND


async def test_a_deleted_version_is_no_key(vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.state.mounts["secret"] = Mount(version=2, secrets=dict(SECRETS), deleted={"top"})
    storage = opened(engineVersion="2")
    with pytest.raises(KeyStorageError) as caught:
        await storage.read("top")
    assert caught.value.reason is KeyFailure.NOT_FOUND
    assert listed(await storage.children("")) == [("db", True)]


async def test_folders_and_keys_are_told_apart(version: str, opened: Opener) -> None:  # noqa: F811
    storage = opened(engineVersion=version)
    assert (await storage.show("")).folder
    assert (await storage.show("db/deep")).folder
    for call, path in ((storage.read, ""), (storage.children, "top")):
        with pytest.raises(KeyStorageError) as caught:
            await call(path)
        assert caught.value.reason is KeyFailure.NO_KEY


async def test_an_empty_mount_is_an_empty_folder(opened: Opener) -> None:  # noqa: F811
    storage = opened()
    assert await storage.children("", deep=True) == []
    assert (await storage.show("")).folder


async def test_names_are_encoded_on_the_wire(vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.state.mounts["secret"].secrets = {"a b/50%?#&ü": {"data": "x"}}
    storage = opened()
    assert await storage.read("a b/50%?#&ü") == "x"
    assert vault.calls[-1].raw == "/v1/secret/a%20b/50%25%3F%23%26%C3%BC"
    assert listed(await storage.children("", deep=True)) == [("a b", True), ("a b/50%?#&ü", False)]


async def test_no_path_leads_out_of_the_prefix(vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.state.mounts["secret"].secrets = {"other/key": {"data": "not yours"}, "app/mine": {"data": "x"}}
    storage = opened(prefix="app")
    assert listed(await storage.children("", deep=True)) == [("mine", False)]
    for path in ("../other/key", "%2e%2e/other/key", "a/../../other/key", "..%2fother/key"):
        for call in (storage.read, storage.show, storage.children):
            with pytest.raises(KeyStorageError) as caught:
                await call(path)
            assert caught.value.reason is KeyFailure.OUTSIDE
    assert not any("other" in call.path for call in vault.calls)


async def test_names_from_vault_that_would_lead_out_are_left_out(vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.state.mounts["secret"].secrets = {"../x": {"data": "1"}, "a//b": {"data": "1"}, "ok": {"data": "1"}}
    assert listed(await opened().children("", deep=True)) == [("a", True), ("ok", False)]


async def test_a_tree_takes_one_call_per_folder_and_key(vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.state.mounts["secret"].secrets = {f"f{i % 10}/k{i}": {"data": "x"} for i in range(100)}
    vault.delay_s = 0.02
    storage = opened()
    assert len(await storage.children("", deep=True)) == 110
    assert (len(vault.paths("LIST")), len(vault.paths("GET"))) == (11, 100)
    assert 8 <= vault.at_once_most <= 16
    assert vault.connections <= 20
    vault.delay_s = 0
    await storage.children("", deep=True)
    assert (len(vault.paths("LIST")), len(vault.paths("GET"))) == (22, 100)  # what keys are is known for a while


async def test_what_is_forbidden_does_not_hide_the_rest(vault: VaultStandIn, opened: Opener) -> None:  # noqa: F811
    vault.state.mounts["secret"].secrets = {"a/k": {"data": "x"}, "b/k": {"data": "x"}, "c": {"data": "x"}}
    vault.state.forbidden = {"secret/a", "secret/c"}
    storage = opened()
    entries = await storage.children("", deep=True)
    assert listed(entries) == [("a", True), ("b", True), ("b/k", False), ("c", False)]
    assert entries[-1].type is None
    with pytest.raises(KeyStorageError) as caught:
        await storage.children("a")
    assert caught.value.reason is KeyFailure.FORBIDDEN
