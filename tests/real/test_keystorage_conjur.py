"""CyberArk Conjur, by a stand-in: its REST API as it is documented, for there is no server to test against."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from aiohttp import web

from bus.server import free_port
from domain.keys.metadata import PROBLEM
from runbus.plugin import KeyEntry, KeyFailure, KeyStorageError, KeyType
from services.runner.keystorage.conjur import AuthnType, ConjurConfig, ConjurVariables

from .serving import Authority, served

_VALUE = "s3cret-of-conjur"
_API_KEY = "3api-key-of-the-host"
_LOGIN = "host/runners/paris"
_PEM = "-----BEGIN RSA PRIVATE KEY-----\nx\n"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


class ConjurStandIn:
    """Tokens, variables, and lists of those that may be seen. Not Conjur: no policies, one host."""

    def __init__(self) -> None:
        self.values: dict[str, str | bytes | None] = {
            "app/db/password": _VALUE,
            "app/db/pass word": "with space",
            "app/db/empty": None,
            "app/ssh": _PEM,
            "app/bytes": b"\xff",
            "other/x": "elsewhere",
        }
        self.hidden: set[str] = set()
        self.logins = 0
        self.calls: list[str] = []
        self.valid: set[str] = set()
        self.jwt = ""
        self.answers: list[web.Response] = []
        """Given before anything else, one for each call."""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        self.calls.append(f"{request.method} {path}")
        if self.answers:
            return self.answers.pop(0)
        if path.endswith("/authenticate"):
            return self._login(path, (await request.read()).decode())
        token = request.headers.get("Authorization", "").removeprefix('Token token="').removesuffix('"')
        if base64.b64decode(token).decode() not in self.valid:
            return web.Response(status=401)
        if path == "/whoami":
            return web.json_response({"account": "acme", "username": _LOGIN})
        if path.startswith("/secrets/acme/variable/"):
            return self._secret(unquote(path.removeprefix("/secrets/acme/variable/")))
        assert path == "/resources/acme/variable"
        start, limit = int(request.query["offset"]), int(request.query["limit"])
        names = sorted(self.values)[start : start + limit]
        found = [{"id": f"acme:variable:{each}", "created_at": "2026-03-01T10:00:00.000+00:00"} for each in names]
        return web.json_response(found)

    def _login(self, path: str, body: str) -> web.Response:
        right = {
            "/authn/acme/host%2Frunners%2Fparis/authenticate": _API_KEY,
            "/authn-jwt/k8s/acme/authenticate": self.jwt,
        }
        if not right.get(path) or right[path] not in (body, body.removeprefix("jwt=")):
            return web.Response(status=401)
        self.logins += 1
        token = f'{{"protected":"{self.logins}","payload":"x","signature":"y"}}'
        self.valid.add(token)
        return web.Response(text=token)

    def _secret(self, name: str) -> web.Response:
        value = self.values.get(name)
        if name in self.hidden:
            return web.Response(status=403)
        if value is None:
            return web.json_response({"error": {"code": "not_found", "message": _VALUE}}, status=404)
        return web.Response(body=value if isinstance(value, bytes) else value.encode())


@asynccontextmanager
async def _conjur(**settings: Any) -> AsyncIterator[tuple[ConjurStandIn, ConjurVariables]]:
    stand_in = ConjurStandIn()
    async with served(stand_in.answer) as url:
        keys = _keys(url, **settings)
        yield stand_in, keys
        await keys.close()


def _keys(url: str, **settings: Any) -> ConjurVariables:
    given: dict[str, Any] = {
        "appliance_url": url.replace("tcp:", "http:"), "account": "acme", "login": _LOGIN, "api_key": _API_KEY,
        "prefix": "app", "max_retries": 0,
    }  # fmt: skip
    return ConjurVariables(ConjurConfig(**(given | settings)))


async def _failure(keys: ConjurVariables, path: str, reason: KeyFailure) -> str:
    with pytest.raises(KeyStorageError) as caught:
        await keys.read(path)
    assert caught.value.reason is reason, caught.value.message
    for secret in (_VALUE, _API_KEY, "Traceback"):
        assert secret not in caught.value.message
    return caught.value.message


def _names(entries: object) -> list[str]:
    assert isinstance(entries, list)
    return [entry.path + "/" * entry.folder for entry in entries]


class TestReading:
    async def test_values(self) -> None:
        async with _conjur() as (stand_in, keys):
            assert await keys.read("db/password") == _VALUE
            assert await keys.read("db/pass word") == "with space"
            assert "GET /secrets/acme/variable/app%2Fdb%2Fpassword" in stand_in.calls
            assert stand_in.logins == 1

    async def test_what_is_none(self) -> None:
        async with _conjur() as (stand_in, keys):
            stand_in.hidden.add("app/ssh")
            for path, reason in (
                ("none", KeyFailure.NOT_FOUND),
                ("db/empty", KeyFailure.NOT_FOUND),
                ("db", KeyFailure.NOT_FOUND),
                ("ssh", KeyFailure.FORBIDDEN),
                ("bytes", KeyFailure.NO_KEY),
            ):
                assert f"app/{path}" in await _failure(keys, path, reason)

    async def test_many_at_a_time(self) -> None:
        async with _conjur() as (stand_in, keys):
            assert set(await asyncio.gather(*(keys.read("db/password") for _ in range(40)))) == {_VALUE}
            assert stand_in.logins == 1


class TestListing:
    async def test_folders(self) -> None:
        async with _conjur() as (stand_in, keys):
            assert _names(await keys.children("")) == ["bytes", "db/", "ssh"]
            assert _names(await keys.children("db")) == ["db/empty", "db/pass word", "db/password"]
            assert _names(await keys.children("", deep=True)) == [
                "bytes", "db/", "db/empty", "db/pass word", "db/password", "ssh",
            ]  # fmt: skip
            assert not [call for call in stand_in.calls if "/secrets/" in call]
            for path in ("none", "ssh"):
                with pytest.raises(KeyStorageError) as caught:
                    await keys.children(path)
                assert caught.value.reason is KeyFailure.NOT_FOUND

    async def test_several_pages(self) -> None:
        async with _conjur() as (stand_in, keys):
            stand_in.values |= {f"app/many/{number:04}": "x" for number in range(2500)}
            assert len(await keys.children("many")) == 2500
            assert len([call for call in stand_in.calls if "/resources/" in call]) == 3

    async def test_what_is_told(self) -> None:
        async with _conjur() as (_stand_in, keys):
            shown = await keys.show("ssh")
            assert (shown.type, shown.size_bytes) == (KeyType.PRIVATE_KEY, len(_PEM))
            assert shown.meta["Rundeck-content-creation-time"] == "2026-03-01T10:00:00Z"
            assert PROBLEM in (await keys.show("db/empty")).meta
            for path in ("", "db"):
                assert await keys.show(path) == KeyEntry(path=path, folder=True)
            with pytest.raises(KeyStorageError):
                await keys.show("none")
            assert _VALUE not in msgspec.json.encode(await keys.children("", deep=True)).decode()


class TestLogin:
    @pytest.mark.parametrize("wrong", [{"api_key": "no"}, {"login": "host/none"}, {"account": "none"}])
    async def test_who_is_not_let_in(self, wrong: dict[str, str]) -> None:
        async with _conjur(**wrong) as (_stand_in, keys):
            said = await _failure(keys, "a", KeyFailure.AUTHENTICATION)
            assert f"does not let {wrong.get('login', _LOGIN)} in (401)" in said

    async def test_a_token_that_is_not_good_any_more(self) -> None:
        async with _conjur() as (stand_in, keys):
            await keys.read("db/password")
            stand_in.valid.clear()
            assert await keys.read("db/password") == _VALUE
            assert stand_in.logins == 2

    async def test_it_is_renewed_before_it_expires(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from services.runner.keystorage.conjur import calls  # noqa: PLC0415

        async with _conjur() as (stand_in, keys):
            await keys.read("db/password")
            monkeypatch.setattr(calls, "_TOKEN_LIVES_S", 0.0)
            await keys.read("db/password")
            assert stand_in.logins == 2
            assert len(stand_in.calls) == 4

    async def test_a_token_of_somebody_else(self, tmp_path: Path) -> None:
        file = tmp_path / "jwt"
        file.write_text("header.payload.signature\n")
        settings = {
            "authn_type": AuthnType.JWT,
            "service_id": "k8s",
            "jwt_file": str(file),
            "login": "",
            "api_key": "",
        }
        async with _conjur(**settings) as (stand_in, keys):
            stand_in.jwt = "header.payload.signature"
            assert await keys.read("db/password") == _VALUE
            stand_in.valid.clear()
            file.unlink()
            assert "No such file" in await _failure(keys, "a", KeyFailure.CONFIGURATION)

    async def test_the_check(self) -> None:
        async with _conjur() as (stand_in, keys):
            await keys.check()
            assert stand_in.calls[-1] == "GET /whoami"
            await keys.close()
            assert await keys.read("db/password") == _VALUE


class TestFaults:
    @pytest.mark.parametrize(
        ("status", "reason"),
        [(500, KeyFailure.FAILED), (503, KeyFailure.SEALED), (429, KeyFailure.FAILED), (302, KeyFailure.MALFORMED)],
    )
    async def test_errors(self, status: int, reason: KeyFailure) -> None:
        async with _conjur() as (stand_in, keys):
            await keys.check()
            stand_in.answers = [web.Response(status=status, text=_VALUE, headers={"Location": f"/{_VALUE}"})]
            await _failure(keys, "db/password", reason)

    async def test_pages_of_html(self) -> None:
        page = {"text": f"<html>{_VALUE}</html>", "content_type": "text/html"}
        async with _conjur() as (stand_in, keys):
            stand_in.answers = [web.Response(**page)]  # type: ignore[arg-type]
            await _failure(keys, "a", KeyFailure.MALFORMED)
            await keys.check()
            stand_in.answers = [web.Response(**page)]  # type: ignore[arg-type]
            await _failure(keys, "a", KeyFailure.MALFORMED)
            stand_in.answers = [web.Response(**page)]  # type: ignore[arg-type]
            with pytest.raises(KeyStorageError) as caught:
                await keys.children("")
            assert caught.value.reason is KeyFailure.MALFORMED

    async def test_one_that_is_busy_for_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from services.runner.keystorage.conjur import calls  # noqa: PLC0415

        monkeypatch.setattr(calls, "_PAUSE_S", 0.001)
        async with _conjur(max_retries=2) as (stand_in, keys):
            stand_in.answers = [web.Response(status=503), web.Response(status=429)]
            assert await keys.read("db/password") == _VALUE
            stand_in.answers = [web.Response(status=503) for _ in range(3)]
            await _failure(keys, "db/password", KeyFailure.SEALED)

    async def test_nobody_there(self) -> None:
        keys = _keys(f"tcp://127.0.0.1:{free_port('127.0.0.1')}")
        assert "cannot be reached" in await _failure(keys, "a", KeyFailure.UNREACHABLE)
        await keys.close()

    async def test_one_that_says_nothing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            keys = _keys(f"tcp://127.0.0.1:{silent.getsockname()[1]}", read_timeout=0.2)
            assert "0.2 s" in await _failure(keys, "a", KeyFailure.TIMEOUT)
            await keys.close()

    async def test_certificates(self, tmp_path: Path) -> None:
        issued = Authority(tmp_path / "tls").issue("conjur")
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(issued / "cert.pem", issued / "key.pem")
        async with served(ConjurStandIn().answer, tls) as url:
            https = url.replace("tcp:", "https:")
            for settings, reason in (
                ({}, KeyFailure.CERTIFICATE),
                ({"ssl_ca_cert": str(tmp_path / "none.pem")}, KeyFailure.CONFIGURATION),
            ):
                keys = _keys(https, **settings)
                await _failure(keys, "db/password", reason)
                await keys.close()
            for good in ({"ssl_ca_cert": str(issued / "ca.pem")}, {"verify_ssl": False}):
                keys = _keys(https, **good)
                assert await keys.read("db/password") == _VALUE
                await keys.close()


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({}, "needs login and apiKey"),
            ({"login": "a"}, "needs login and apiKey"),
            ({"applianceUrl": "conjur"}, "applianceUrl"),
            ({"applianceUrl": "https://user:s3cret@conjur"}, "applianceUrl"),
            ({"account": "a/b"}, "account"),
            ({"authnType": "authn-ldap", "login": "a", "apiKey": "b"}, "needs serviceId"),
            ({"authnType": "authn-jwt", "serviceId": "a"}, "needs jwtFile"),
            ({"authnType": "authn-jwt", "serviceId": "a", "jwtFile": "x"}, "needs jwtFile"),
            ({"authnType": "authn-iam"}, "enum"),
            ({"login": "a", "apiKey": "s3cret", "maxRetries": "99"}, "maxRetries"),
            ({"login": "a", "apiKey": "s3cret", "readTimeout": "-1"}, "readTimeout"),
        ],
    )
    def test_what_is_refused(self, settings: dict[str, str], said: str) -> None:
        given = {"applianceUrl": "https://conjur"} | settings
        with pytest.raises(msgspec.ValidationError, match=said) as caught:
            msgspec.convert(given, ConjurConfig, strict=False)
        assert "s3cret" not in str(caught.value)

    def test_nothing_shows_the_key(self) -> None:
        assert _API_KEY not in repr(ConjurConfig(appliance_url="https://conjur", login="a", api_key=_API_KEY))
