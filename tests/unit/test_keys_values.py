"""Values of keys that nobody could be given."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.keys.values import doubts_of, refusal_of
from runbus.cli import exits
from schemas.keys import KeyType
from tests.integration.cli_system import Cli

SECRET = b"n0-use-to-anybody"
DER = b"\x30\x82\xff" + SECRET
NUL = SECRET + b"\0end"
LONG = b"x" * (128 << 10)


@pytest.mark.parametrize(
    ("value", "key_type", "said"),
    [
        (DER, KeyType.PASSWORD, "is no UTF-8 text"),
        (DER, None, "encode it, as base64"),
        (NUL, KeyType.PASSWORD, "holds a NUL character"),
        (NUL, None, "leave it out"),
        ("pw".encode("utf-16"), None, "save it as UTF-8"),
        (DER, KeyType.PRIVATE_KEY, ""),
        (NUL, KeyType.PUBLIC_KEY, ""),
        (LONG, KeyType.PASSWORD, ""),
        ("pä ss\N{KEY}\t\r".encode(), KeyType.PASSWORD, ""),
    ],
)
def test_passwords_that_are_refused(value: bytes, key_type: KeyType | None, said: str) -> None:
    why = refusal_of(value, key_type)
    assert (why is None) is (said == "")
    assert said in (why or "")
    assert SECRET.decode() not in (why or "")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (DER, "Store a key in its text form (PEM)"),
        (NUL, "No step can be given it"),
        (LONG, "has 131,072 bytes, and a process can be given 131,053 in a variable"),
        (b"x" * 131_054, "No script can be given it as the value of an option"),
        (b"x" * 131_053, ""),
        (b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n", ""),
    ],
)
def test_what_is_stored_with_a_warning(value: bytes, said: str) -> None:
    found = doubts_of(value)
    assert len(found) == bool(said)
    assert said in "".join(found)
    assert SECRET.decode() not in "".join(found)


@pytest.mark.parametrize(
    ("value", "words", "said"),
    [
        (DER, (), "is no UTF-8 text"),
        (NUL, (), "holds a NUL character"),
        (NUL, ("--type", "password"), "nothing was stored"),
    ],
)
async def test_the_command_refuses_them_before_it_asks_anybody(
    value: bytes, words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "value"
    file.write_bytes(value)
    for given in (("--file", str(file)), ()):
        cli = Cli("nats://127.0.0.1:1", tmp_path)
        done = await cli("keys", "put", "keys/x", *words, *given, stdin=value)
        assert done.code == exits.USAGE
        assert said in " ".join(done.err.split())
        assert SECRET.decode() not in done.err + done.text
