"""The type of a value, and what is told of a key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.keys.metadata import key_type_of, metadata_of, size_of
from schemas.keys import KeyType


@pytest.mark.parametrize(
    ("value", "key_type"),
    [
        ("", KeyType.PASSWORD),
        ("s3cret", KeyType.PASSWORD),
        ("-----BEGIN CERTIFICATE-----", KeyType.PASSWORD),
        ("-----BEGIN RSA PRIVATE KEY-----", KeyType.PRIVATE_KEY),
        ("x -----BEGIN OPENSSH PRIVATE KEY----- y", KeyType.PRIVATE_KEY),
        ("-----BEGIN PRIVATE KEY-----", KeyType.PRIVATE_KEY),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----", KeyType.PRIVATE_KEY),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----", KeyType.PRIVATE_KEY),
        ("two\nlines", KeyType.PRIVATE_KEY),
    ],
)
def test_type(value: str, key_type: KeyType) -> None:
    assert key_type_of(value) is key_type


def test_a_long_value_costs_little() -> None:
    assert key_type_of("-----BEGIN " + "A " * 500_000) is KeyType.PASSWORD


@given(st.text())
def test_any_text_has_a_type_and_a_size(value: str) -> None:
    assert key_type_of(value) in set(KeyType)
    assert size_of(value) >= len(value)


def test_metadata() -> None:
    at = datetime(2026, 3, 1, 12, 0, 5, 999, tzinfo=timezone(timedelta(hours=2)))
    assert metadata_of(KeyType.PRIVATE_KEY, 12, created_at=at, modified_at=datetime(2026, 4, 1, tzinfo=UTC)) == {
        "Rundeck-content-type": "application/octet-stream",
        "Rundeck-key-type": "private",
        "Rundeck-content-mask": "content",
        "Rundeck-content-size": "12",
        "Rundeck-content-creation-time": "2026-03-01T10:00:05Z",
        "Rundeck-content-modify-time": "2026-04-01T00:00:00Z",
    }
    assert metadata_of(KeyType.PASSWORD) == {
        "Rundeck-content-type": "application/x-rundeck-data-password",
        "Rundeck-data-type": "password",
        "Rundeck-content-mask": "content",
    }
    assert metadata_of(KeyType.PUBLIC_KEY)["Rundeck-key-type"] == "public"
    assert "Rundeck-content-mask" not in metadata_of(KeyType.PUBLIC_KEY)
    assert metadata_of(None) == {}
