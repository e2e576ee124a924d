"""Addresses of NATS, as texts show them."""

from __future__ import annotations

import pytest

from bus.address import without_credentials
from bus.connection import connect
from schemas.errors import ErrorCode, RunbusError


@pytest.mark.parametrize(
    "url",
    [
        "nats://127.0.0.1:4222",
        "localhost",
        "tls://[::1]:4222,nats://b:4222",
        "a:1,b:2",
        "ws://h:80/path",
        "nats://[::1",
        "",
    ],
)
def test_an_address_without_credentials_stays_as_it_is(url: str) -> None:
    assert without_credentials(url) == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://ann:pass-word@127.0.0.1:4222", "nats://127.0.0.1:4222"),
        ("nats://the-token@host", "nats://host"),
        ("TLS://ann@host", "TLS://host"),
        ("ann:pass-word@host:4222", "host:4222"),
        ("nats://a:b@one:1,tls://c:d@two:2", "nats://one:1,tls://two:2"),
        ("nats://a:b@one:1, tls://two:2", "nats://one:1, tls://two:2"),
        ("nats://a:b@one:1,two:2", "nats://one:1,two:2"),
        ("nats://a:b@[::1]:4222", "nats://[::1]:4222"),
        ("wss://a:b@host/path?jwt=pass-word", "wss://host/path"),
    ],
)
def test_user_password_and_token_are_left_out(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


@pytest.mark.parametrize(
    "password", ["p@ss", "pa/ss", "pa,ss", "pa,s@,s", "pa?ss", "pa#ss", "pa://ss", "12,34", "p\nss", "[p"]
)
def test_nothing_of_a_password_that_is_not_encoded_is_left(password: str) -> None:
    assert without_credentials(f"nats://ann:{password}@host:4222") == "nats://host:4222"
    assert without_credentials(f"ann:{password}@host:4222") == "host:4222"


@pytest.mark.parametrize(
    "password", ["pass-word", "pass/word", "pass,word", "pass@word", "pass word", "pass#%zz-word"]
)
async def test_whoever_cannot_connect_is_not_shown_them(password: str) -> None:
    """Nor does what the client says of it hold a part."""
    with pytest.raises(RunbusError, match=r"no NATS server answers at nats://127\.0\.0\.1:1 \(") as raised:
        async with connect(f"nats://ann:{password}@127.0.0.1:1", name="test"):
            pass
    assert raised.value.code is ErrorCode.UNAVAILABLE
    assert raised.value.details == {"url": "nats://127.0.0.1:1"}
    assert "word" not in raised.value.message
    assert "ann" not in raised.value.message
