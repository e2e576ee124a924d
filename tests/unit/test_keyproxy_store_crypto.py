"""How values are encrypted: a format that files depend on for good, and what is bound to it."""

from __future__ import annotations

import msgspec
import pytest

from schemas.keys import KeyType
from services.keyproxy.crypto import NONCE_BYTES, TAG_BYTES, Bound, DataKey, Encrypted, ForgedError
from services.keyproxy.masterkey import MasterKey

MASTER = MasterKey(bytes(range(32)), "here")
BOUND = Bound(
    path="db/pässword", type=KeyType.PASSWORD, size_bytes=7, created_us=1, created_by="alice", modified_us=2,
    modified_by="bob", meta='{"a":"b"}',
)  # fmt: skip
DATA = 'runbus key 1\n["db/pässword","password",7,1,"alice",2,"bob","{\\"a\\":\\"b\\"}"]'.encode()
STORED = Encrypted(
    bytes.fromhex("000102030405060708090a0b"), bytes.fromhex("f7f2846d961243583226ceff2710d4e7f29bed6937193f")
)


def test_what_was_stored_once_can_be_read_for_good() -> None:
    key = DataKey(MASTER)
    assert key.id.hex() == "de957ccbac9ff4f8df332d413e9eafc5"
    assert BOUND.data() == DATA
    assert key.decrypt(STORED, BOUND) == b"hunter2"


def test_each_value_has_a_nonce_of_its_own() -> None:
    key = DataKey(MASTER)
    found = [key.encrypt(b"hunter2", BOUND) for _ in range(1000)]
    assert len({each.nonce for each in found}) == len({each.ciphertext for each in found}) == 1000
    assert {len(each.nonce) for each in found} == {NONCE_BYTES}
    assert {len(each.ciphertext) for each in found} == {7 + TAG_BYTES}
    assert {key.decrypt(each, BOUND) for each in found} == {b"hunter2"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("path", "db/password"),
        ("type", KeyType.PUBLIC_KEY),
        ("size_bytes", 8),
        ("created_us", 0),
        ("created_by", "mallory"),
        ("modified_us", 3),
        ("modified_by", "mallory"),
        ("meta", "{}"),
    ],
)
def test_nothing_that_the_file_says_of_a_key_can_be_changed(field: str, value: object) -> None:
    with pytest.raises(ForgedError):
        DataKey(MASTER).decrypt(STORED, msgspec.structs.replace(BOUND, **{field: value}))


def test_words_cannot_be_moved_from_one_field_to_the_next() -> None:
    moved = msgspec.structs.replace(BOUND, created_by='alice",2,"bob', modified_by="")
    assert moved.data() != BOUND.data()


@pytest.mark.parametrize(
    "stored",
    [
        Encrypted(STORED.nonce, STORED.ciphertext[:-1]),
        Encrypted(STORED.nonce, STORED.ciphertext[:-1] + b"\0"),
        Encrypted(STORED.nonce, b"\0" + STORED.ciphertext[1:]),
        Encrypted(STORED.nonce, b""),
        Encrypted(b"", STORED.ciphertext),
        Encrypted(bytes(NONCE_BYTES), STORED.ciphertext),
    ],
)
def test_a_changed_ciphertext_is_noticed(stored: Encrypted) -> None:
    with pytest.raises(ForgedError):
        DataKey(MASTER).decrypt(stored, BOUND)


def test_another_master_key_does_not_decrypt_and_has_another_id() -> None:
    other = DataKey(MasterKey(bytes(32)))
    assert other.id != DataKey(MASTER).id
    with pytest.raises(ForgedError):
        other.decrypt(STORED, BOUND)


def test_a_key_is_not_shown() -> None:
    assert repr(DataKey(MASTER)) == "DataKey(id='de957ccbac9ff4f8df332d413e9eafc5', origin='here')"
