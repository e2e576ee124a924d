"""Paths, settings and what a secret is as a key: without a server."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from runbus.plugin import KeyFailure, KeyStorageError, KeyType
from services.runner.keystorage.vault import VaultKeyStorage
from services.runner.keystorage.vault.config import SECRET_SETTINGS, StorageBehaviour, VaultConfig
from services.runner.keystorage.vault.meanings import Secret, entries_of, instant, text_of, value_of
from services.runner.keystorage.vault.place import Place, parts_of

RUNDECK, VAULT = StorageBehaviour.RUNDECK, StorageBehaviour.VAULT


def config(**settings: str) -> VaultConfig:
    return msgspec.convert({"token": "t"} | settings, VaultConfig, strict=False)


@pytest.mark.parametrize(
    ("settings", "read", "listed"),
    [
        ({}, "/v1/secret/a/b", "/v1/secret/a/b"),
        ({"prefix": "app/x"}, "/v1/secret/app/x/a/b", "/v1/secret/app/x/a/b"),
        ({"engineVersion": "2"}, "/v1/secret/data/a/b", "/v1/secret/metadata/a/b"),
        ({"engineVersion": "2", "secretBackend": "/team/kv/", "prefix": "app"}, "/v1/team/kv/data/app/a/b", None),
        ({"removePathPrefix": "false", "prefix": "app"}, "/v1/secret/app/keys/a/b", None),
    ],
)
def test_where_a_key_lies(settings: dict[str, str], read: str, listed: str | None) -> None:
    place = Place(config(**settings))
    assert place.secret(("a", "b")) == read
    if listed is not None:
        assert place.folder(("a", "b")) == listed


def test_every_part_is_encoded_by_itself() -> None:
    place = Place(config(prefix="a b"))
    assert place.secret(("50%?#", "ü&=")) == "/v1/secret/a%20b/50%25%3F%23/%C3%BC%26%3D"


@pytest.mark.parametrize(
    "path",
    [
        "..", "a/../b", "a/./b", "/a", "a/", "a//b", "%2e%2e/a", "a/%2E%2e", "a/%252e%252e/b", "a/%25252e%25252e",
        "a/..%2fb", "a/x%2f..%2fy", "a\\..\\b", "a/%5c..", "a\0b", "a/b\n", "a/%00%2e%2e",
    ],
)  # fmt: skip
def test_a_path_that_leaves_the_storage(path: str) -> None:
    with pytest.raises(KeyStorageError) as caught:
        parts_of(path)
    assert caught.value.reason is KeyFailure.OUTSIDE


@pytest.mark.parametrize("path", ["a", "a/b", "50%", "a/...", "..a", "ü/ö", "a b", "%41", "a/b+c?d#e"])
def test_a_path_that_is_one(path: str) -> None:
    assert "/".join(parts_of(path)) == path


@pytest.mark.parametrize("settings", [{"prefix": "../other"}, {"secretBackend": "a/%2e%2e"}, {"secretBackend": "/"}])
def test_a_place_that_is_none(settings: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError, match=f"^{next(iter(settings))} is ") as caught:
        config(**settings)
    assert ".." not in str(caught.value).replace("and .. parts", "")


def test_the_settings_have_the_names_and_defaults_of_the_original() -> None:
    plain = config()
    assert (plain.max_retries, plain.retry_interval_ms, plain.open_timeout_s, plain.read_timeout_s) == (
        5,
        1000,
        5,
        20,
    )
    assert (plain.secret_backend, plain.engine_version, plain.storage_behaviour.value) == ("secret", 1, "rundeck")
    assert plain.validate_ssl
    names = {field.encode_name for field in msgspec.structs.fields(VaultConfig)}
    assert names >= SECRET_SETTINGS
    assert names >= {"approleSecretId", "authNamespace", "retryIntervalMilliseconds", "clientKeyPemFile"}


def test_no_secret_in_what_is_printed_of_the_settings() -> None:
    secrets = {name: f"do-not-show-{name}" for name in SECRET_SETTINGS}
    assert "do-not-show" not in repr(config(**secrets))
    assert "do-not-show" not in repr(Secret(fields={"a": "do-not-show"}))


def test_constructing_one_does_nothing() -> None:
    assert VaultKeyStorage(config(address="http://nonsense.invalid")).requires == ("hvac",)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("s3cret", KeyType.PASSWORD),
        ("", KeyType.PASSWORD),
        ("two\nlines", KeyType.PRIVATE_KEY),
        ("-----BEGIN RSA PRIVATE KEY-----", KeyType.PRIVATE_KEY),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", KeyType.PASSWORD),
    ],
)
def test_the_type_is_guessed_from_the_value(value: str, expected: KeyType) -> None:
    (entry,) = entries_of("a", Secret(fields={"any": value}), VAULT)
    assert (entry.type, entry.size_bytes) == (expected, len(value))
    assert entry.meta["Rundeck-content-type"] == expected.content_type


def test_the_original_wrote_the_metadata_beside_the_value() -> None:
    fields = {
        "data": "ssh-rsa AAAA",
        "Rundeck-content-type": "application/pgp-keys",
        "Rundeck-content-size": "99",
        "Rundeck-content-creation-time": "2024-05-06T07:08:09Z",
        "Rundeck-content-modify-time": "2025-05-06T07:08:09Z",
        "Rundeck-auth-created-username": "bob",
        "other": "do-not-show",
    }
    (entry,) = entries_of("a/b", Secret(fields=fields), RUNDECK)
    assert (entry.path, entry.type, entry.size_bytes) == ("a/b", KeyType.PUBLIC_KEY, 99)
    assert entry.created_at == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert entry.modified_at == datetime(2025, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert entry.meta["Rundeck-auth-created-username"] == "bob"
    assert entry.meta["Rundeck-key-type"] == "public"
    assert "do-not-show" not in msgspec.json.encode(entry).decode()


def test_by_rundecks_behaviour_a_secret_without_data_is_no_key() -> None:
    assert entries_of("a", Secret(fields={"value": "x"}), RUNDECK) == []
    assert value_of(Secret(fields={"value": "x", "data": "y"}), RUNDECK) == "y"


def test_by_vaults_behaviour_several_fields_are_a_folder() -> None:
    secret = Secret(fields={"b": "1", "a": "2", "..": "3", "x/y": "4", "none": None})
    entries = entries_of("f", secret, VAULT)
    assert [(entry.path, entry.folder) for entry in entries] == [("f", True), ("f/a", False), ("f/b", False)]
    assert entries_of("f", Secret(fields={}), VAULT) == []


def test_a_value_that_is_no_text_is_given_as_json() -> None:
    assert [text_of(value) for value in ("a", 5, True, ["x"], None)] == ["a", "5", "true", '["x"]', None]


def test_times_with_nanoseconds() -> None:
    assert instant("2026-01-02T03:04:05.123456789Z") == datetime(2026, 1, 2, 3, 4, 5, 123457, tzinfo=UTC)
    assert instant("Mon Jan 2") is None
