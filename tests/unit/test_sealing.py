"""Sealed values: their format to the byte, and what is said where one cannot be opened."""

from __future__ import annotations

import base64
import copy
import hashlib
import pickle
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_box, crypto_scalarmult_base
from nacl.public import PrivateKey

from bus.sealing import OVERHEAD_BYTES, SealFault, SealingError, SealingKey, derived_key, seal
from schemas.errors import ErrorCode

RECEIVER = bytes(range(32))
SENDER = bytes(range(100, 132))
VALUE = b"correct horse\nbattery staple\xff\x00"
PUBLIC = "j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8="
SEALED = "fZwkMWU5glwYluV/KBl3Rnk85gy+461H2p0HuF+lXiqgXrrRQtVd5oheRVf5atk1mJBf6mMaIxE5q973+V0bnfcC1GTx1Bdzbk36Q8Eo"
LOW_ORDER = (bytes(32), b"\x01" + bytes(31))


def test_a_text_sealed_once_is_opened_for_good() -> None:
    key = SealingKey(PrivateKey(RECEIVER))
    assert key.public == PUBLIC
    assert key.open(SEALED) == VALUE


def test_the_format_is_that_of_libsodium_as_its_manual_says_it() -> None:
    public, sender_public = crypto_scalarmult_base(RECEIVER), crypto_scalarmult_base(SENDER)
    nonce = hashlib.blake2b(sender_public + public, digest_size=24).digest()
    assert base64.b64decode(SEALED) == sender_public + crypto_box(VALUE, nonce, public, SENDER)


@pytest.mark.parametrize("value", [b"", b"x", b"\x00" * 1000, "pä\N{KEY}".encode(), b"k" * (1 << 20)])
def test_values_come_out_as_they_went_in_and_no_two_texts_are_alike(value: bytes) -> None:
    key = SealingKey.make()
    one, other = seal(key.public, value), seal(key.public, value)
    assert one != other
    assert key.open(one) == key.open(other) == value
    assert len(base64.b64decode(one)) == len(value) + OVERHEAD_BYTES


def test_a_made_key_is_another_each_time() -> None:
    assert SealingKey.make().public != SealingKey.make().public


def test_all_who_have_the_master_key_have_the_same_key_for_one_purpose() -> None:
    one, same = SealingKey.derived(RECEIVER, "keyproxy"), SealingKey.derived(RECEIVER, "keyproxy")
    assert same.open(seal(one.public, VALUE)) == VALUE
    assert SealingKey.derived(RECEIVER, "another").public != one.public
    assert SealingKey.derived(SENDER, "keyproxy").public != one.public


def test_the_derivation_stays_as_it_is() -> None:
    assert SealingKey.derived(RECEIVER, "golden").public == "8cbuP74GlGIFvJCPv54t9TYXjZKoIJlQnk+2Fdpc6Sk="
    assert base64.b64encode(derived_key(RECEIVER, "golden")) == b"Na+F+hM1tt2ZvhmlSUOv66IX4kaWJmA/BiYYy+76Zns="


def test_a_master_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes, this one 31"):
        derived_key(bytes(31), "golden")


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(SealingError, match="another public key, or changed") as caught:
        SealingKey.make().open(SEALED)
    assert caught.value.reason is SealFault.NOT_OPENED
    assert caught.value.code is ErrorCode.INVALID_MESSAGE
    assert caught.value.details == {"reason": "not_opened"}


@given(place=st.integers(0, len(base64.b64decode(SEALED)) - 1), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_a_changed_bit_anywhere_is_noticed(place: int, bit: int) -> None:
    data = bytearray(base64.b64decode(SEALED))
    data[place] ^= 1 << bit
    # The top bit of a public key is no part of it, by X25519; but the nonce is made of all its bytes.
    with pytest.raises(SealingError) as caught:
        SealingKey(PrivateKey(RECEIVER)).open(base64.b64encode(data).decode())
    assert caught.value.reason is SealFault.NOT_OPENED


@pytest.mark.parametrize(
    ("sealed", "reason"),
    [
        ("", SealFault.TOO_SHORT),
        (base64.b64encode(bytes(OVERHEAD_BYTES - 1)).decode(), SealFault.TOO_SHORT),
        (base64.b64encode(bytes(OVERHEAD_BYTES)).decode(), SealFault.NOT_OPENED),
        (SEALED[:-4], SealFault.NOT_OPENED),
        (SEALED[:-1], SealFault.NOT_BASE64),
        (f"{SEALED}\n", SealFault.NOT_BASE64),
        ("hunter2 in the clear!", SealFault.NOT_BASE64),
        ("schlüssel", SealFault.NOT_BASE64),
    ],
)
def test_what_is_no_sealed_text_is_said_without_repeating_it(sealed: str, reason: SealFault) -> None:
    with pytest.raises(SealingError) as caught:
        SealingKey(PrivateKey(RECEIVER)).open(sealed)
    assert caught.value.reason is reason
    assert "hunter2" not in repr(caught.value.info())


@pytest.mark.parametrize(
    "public",
    ["", "hunter2", PUBLIC[:-4], PUBLIC + PUBLIC, "ö" * 44, *(base64.b64encode(key).decode() for key in LOW_ORDER)],
)
def test_what_is_no_public_key_is_refused(public: str) -> None:
    with pytest.raises(SealingError, match="ask its owner") as caught:
        seal(public, VALUE)
    assert caught.value.reason is SealFault.PUBLIC_KEY
    assert "hunter2" not in caught.value.message


def test_a_key_is_neither_shown_nor_copied_away() -> None:
    key = SealingKey(PrivateKey(RECEIVER))
    assert repr(key) == f"SealingKey(public={PUBLIC!r})"
    assert not hasattr(key, "__dict__")
    for away in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="stays in the memory"):
            away(key)


def test_to_import_it_does_not_load_the_library() -> None:
    script = "import sys, bus.sealing; sys.exit('nacl' in sys.modules or 'cryptography' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
