"""AWS Secrets Manager, as moto's server has it: real HTTP on loopback, by the library of AWS."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from bus.server import free_port
from runbus.plugin import KeyEntry, KeyFailure, KeyStorageError, KeyType
from services.runner.keystorage.aws import AwsConfig, AwsSecrets, Behaviour

from .serving import Authority, served

pytestmark = pytest.mark.slow

_VALUE = "s3cret-of-aws"
_PEM = "-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----\n"
_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
_SECRET_KEY = "wJalrXUtnFEMI-secret-access-key"
_JSON = "application/x-amz-json-1.1"


def _require(module: str, how: str) -> None:
    """Skip where a package is missing; where CI=true fail."""
    try:
        import_module(module)
    except ImportError:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{module} is not installed: {how}", pytrace=False)
        pytest.skip(f"{module} is not installed: {how}")


@pytest.fixture(autouse=True)
def _nobody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, region or proxy of whoever runs the tests."""
    _require("boto3", "pip install 'runbus[aws]'")
    for name in [each for each in os.environ if each.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("NO_PROXY", "*")


class Moto:
    """The server, filled through AWS's own API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str) -> Any:
        import boto3  # type: ignore[import-untyped]  # noqa: PLC0415

        return boto3.client(
            service, region_name="eu-west-1", endpoint_url=self.url, aws_access_key_id=_KEY_ID,
            aws_secret_access_key=_SECRET_KEY,
        )  # fmt: skip

    def put(self, **secrets: str | bytes) -> None:
        self.put_all(secrets)

    def put_all(self, secrets: dict[str, str | bytes]) -> None:
        client = self.client("secretsmanager")
        for name, value in secrets.items():
            kind = "SecretBinary" if isinstance(value, bytes) else "SecretString"
            client.create_secret(Name=name, Description="s3cret-description", **{kind: value})

    def reset(self) -> None:
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")).close()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Signatures and policies count meanwhile, as they always do at AWS."""
        from moto import settings  # noqa: PLC0415

        before, settings.INITIAL_NO_AUTH_ACTION_COUNT = settings.INITIAL_NO_AUTH_ACTION_COUNT, 0.0
        try:
            yield
        finally:
            settings.INITIAL_NO_AUTH_ACTION_COUNT = before

    def config(self, **settings: Any) -> AwsConfig:
        given: dict[str, Any] = {"region": "eu-west-1", "endpoint": self.url, "max_retries": 0} | settings
        if "profile" not in settings:
            given = {"access_key_id": _KEY_ID, "secret_access_key": _SECRET_KEY} | given
        return AwsConfig(**given)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    _require("moto.server", "pip install moto flask-cors")
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    started = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    yield f"http://{host}:{port}"
    started.stop()


@pytest.fixture
def moto(server: str) -> Moto:
    found = Moto(server)
    found.reset()
    return found


@pytest.fixture
def filled(moto: Moto) -> Moto:
    moto.put_all(
        {
            "app/db/password": _VALUE,
            "app/db/login": '{"user": "u", "password": "s3cret-of-aws"}',
            "app/db/single": '{"password": "s3cret-of-aws"}',
            "app/ssh": _PEM,
            "app/ssh/backup": _PEM.encode(),
            "app/binary": b"\xff\xfe",
            "application": "elsewhere",
            "app//odd": "x",
        }
    )
    return moto


async def _failure(keys: AwsSecrets, path: str, reason: KeyFailure) -> str:
    with pytest.raises(KeyStorageError) as caught:
        await keys.read(path)
    await keys.close()
    assert caught.value.reason is reason, caught.value.message
    for secret in (_VALUE, _SECRET_KEY, _KEY_ID, "Traceback"):
        assert secret not in caught.value.message
    return caught.value.message


def _names(entries: object) -> list[str]:
    assert isinstance(entries, list)
    return [entry.path + "/" * entry.folder for entry in entries]


class TestReading:
    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("db/password", _VALUE),
            ("db/single", _VALUE),
            ("db/login/user", "u"),
            ("db/login/password", _VALUE),
            ("ssh", _PEM),
            ("ssh/backup", _PEM),
        ],
    )
    async def test_values(self, filled: Moto, path: str, value: str) -> None:
        keys = AwsSecrets(filled.config(prefix="app"))
        assert await keys.read(path) == value
        await keys.close()

    async def test_without_a_look_into_them(self, filled: Moto) -> None:
        keys = AwsSecrets(filled.config(prefix="app/", storage_behaviour=Behaviour.PLAIN))
        assert (await keys.read("db/single")).startswith("{")
        await _failure(keys, "db/login/user", KeyFailure.NOT_FOUND)

    async def test_nothing_is_logged(self, filled: Moto, caplog: pytest.LogCaptureFixture) -> None:
        keys = AwsSecrets(filled.config(prefix="app"))
        with caplog.at_level("DEBUG"):
            assert await keys.read("db/password") == _VALUE
            await keys.children("", deep=True)
        await keys.close()
        assert _VALUE not in caplog.text
        assert _SECRET_KEY not in caplog.text

    async def test_without_a_prefix(self, filled: Moto) -> None:
        keys = AwsSecrets(filled.config())
        assert await keys.read("app/db/password") == _VALUE
        assert await keys.read("application") == "elsewhere"
        await keys.close()

    @pytest.mark.parametrize(
        ("path", "reason"),
        [
            ("none", KeyFailure.NOT_FOUND),
            ("db/none", KeyFailure.NOT_FOUND),
            ("db/login/none", KeyFailure.NOT_FOUND),
            ("db/password/x", KeyFailure.NOT_FOUND),
            ("db/login", KeyFailure.NO_KEY),
            ("db", KeyFailure.NOT_FOUND),
            ("binary", KeyFailure.NO_KEY),
            ("lication", KeyFailure.NOT_FOUND),
        ],
    )
    async def test_what_is_none(self, filled: Moto, path: str, reason: KeyFailure) -> None:
        assert path in await _failure(AwsSecrets(filled.config(prefix="app")), path, reason)

    async def test_one_that_is_to_be_deleted(self, filled: Moto) -> None:
        filled.client("secretsmanager").delete_secret(SecretId="app/db/password", RecoveryWindowInDays=7)
        keys = AwsSecrets(filled.config(prefix="app"))
        with pytest.raises(KeyStorageError, match="to be deleted"):
            await keys.show("db/password")
        assert "db/password" not in _names(await keys.children("db"))
        await _failure(keys, "db/password", KeyFailure.NOT_FOUND)

    async def test_many_at_a_time(self, filled: Moto) -> None:
        keys = AwsSecrets(filled.config(prefix="app"))
        assert set(await asyncio.gather(*(keys.read("db/password") for _ in range(40)))) == {_VALUE}
        await keys.close()
        assert await keys.read("db/password") == _VALUE
        await keys.close()


class TestListing:
    async def test_folders(self, filled: Moto) -> None:
        keys = AwsSecrets(filled.config(prefix="app"))
        assert _names(await keys.children("")) == ["binary", "db/", "ssh", "ssh/"]
        assert _names(await keys.children("db")) == ["db/login/", "db/password", "db/single"]
        assert _names(await keys.children("db/login")) == ["db/login/password", "db/login/user"]
        assert _names(await keys.children("ssh")) == ["ssh/backup"]
        assert _names(await keys.children("", deep=True)) == [
            "binary", "db/", "db/login/", "db/login/password", "db/login/user", "db/password", "db/single", "ssh",
            "ssh/", "ssh/backup",
        ]  # fmt: skip
        for path in ("none", "db/password"):
            with pytest.raises(KeyStorageError) as caught:
                await keys.children(path)
            assert caught.value.reason is KeyFailure.NOT_FOUND
        await keys.close()

    async def test_without_a_look_into_them(self, filled: Moto) -> None:
        keys = AwsSecrets(filled.config(prefix="app", storage_behaviour=Behaviour.PLAIN))
        found = await keys.children("db", deep=True)
        assert _names(found) == ["db/login", "db/password", "db/single"]
        assert {each.type for each in found} == {None}
        with pytest.raises(KeyStorageError):
            await keys.children("db/login")
        assert (await keys.show("db/login")).type is None
        await keys.close()

    async def test_what_is_told(self, filled: Moto) -> None:
        keys = AwsSecrets(filled.config(prefix="app"))
        shown = await keys.show("db/password")
        assert (shown.type, shown.size_bytes) == (KeyType.PASSWORD, len(_VALUE))
        assert shown.created_at is not None
        assert shown.created_at.utcoffset() is not None
        assert shown.meta["aws:arn"].startswith("arn:aws:secretsmanager:eu-west-1:")
        assert shown.meta["Rundeck-content-creation-time"].endswith("Z")
        assert (await keys.show("ssh")).type is KeyType.PRIVATE_KEY
        assert (await keys.show("db/login/user")).size_bytes == 1
        for path in ("db", "db/login", ""):
            assert await keys.show(path) == KeyEntry(path=path, folder=True)
        assert (await keys.show("binary")).type is None
        for path in ("none", "db/login/none"):
            with pytest.raises(KeyStorageError) as caught:
                await keys.show(path)
            assert caught.value.reason is KeyFailure.NOT_FOUND
        told = msgspec.json.encode(await keys.children("", deep=True)).decode()
        assert _VALUE not in told
        assert "s3cret-description" not in told
        await keys.close()

    async def test_several_pages(self, moto: Moto, monkeypatch: pytest.MonkeyPatch) -> None:
        from services.runner.keystorage.aws import secrets  # noqa: PLC0415

        moto.put_all({f"app/f{number % 5}/key{number:03}": _VALUE for number in range(105)})
        keys = AwsSecrets(moto.config(prefix="app"))
        found = await keys.children("", deep=True)
        assert len([each for each in found if each.type is KeyType.PASSWORD]) == 105
        assert len([each for each in found if each.folder]) == 5
        assert len(await keys.children("f1")) == 21
        monkeypatch.setattr(secrets.Secrets.listed, "__defaults__", (100,))
        with pytest.raises(KeyStorageError) as caught:
            await keys.children("")
        assert caught.value.reason is KeyFailure.TOO_LARGE
        await keys.close()


class TestCredentials:
    async def test_from_the_usual_places(self, filled: Moto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "credentials").write_text(
            f"[prod]\naws_access_key_id={_KEY_ID}\naws_secret_access_key={_SECRET_KEY}\n"
        )
        (tmp_path / "config").write_text("[profile prod]\nregion=eu-west-1\n")
        keys = AwsSecrets(filled.config(profile="prod", region="", prefix="app"))
        assert await keys.read("db/password") == _VALUE
        await keys.close()
        await _failure(AwsSecrets(filled.config(profile="none")), "a", KeyFailure.CONFIGURATION)
        await _failure(AwsSecrets(filled.config(profile="")), "a", KeyFailure.AUTHENTICATION)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", _KEY_ID)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", _SECRET_KEY)
        keys = AwsSecrets(filled.config(profile="", prefix="app"))
        assert await keys.read("db/password") == _VALUE
        await keys.close()

    async def test_no_region(self, moto: Moto) -> None:
        await _failure(AwsSecrets(moto.config(region="")), "a", KeyFailure.CONFIGURATION)

    async def test_a_role(self, filled: Moto) -> None:
        role = {"role_arn": "arn:aws:iam::123456789012:role/reader", "sts_endpoint": filled.url, "external_id": "ex"}
        keys = AwsSecrets(filled.config(**role, prefix="app"))
        assert await keys.read("db/password") == _VALUE
        await keys.close()

    async def test_the_credentials_of_a_role_are_used_and_renewed(self) -> None:
        """By a stand-in that grants a role for a minute: such credentials are renewed before each call."""
        calls: list[str] = []

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            body = (await request.read()).decode()
            if "Action=AssumeRole" in body:
                assert "RoleSessionName=runbus" in body
                calls.append("AssumeRole")
                return web.Response(text=_granted(len(calls)), content_type="text/xml")
            calls.append(request.headers["X-Amz-Security-Token"])
            return web.json_response({"Name": "a", "SecretString": _VALUE}, content_type=_JSON)

        async with served(answer) as url:
            role = {"role_arn": "arn:aws:iam::123456789012:role/reader", "sts_endpoint": url.replace("tcp:", "http:")}
            keys = _stand_in(url, **role)
            assert [await keys.read("a"), await keys.read("a")] == [_VALUE, _VALUE]
            await keys.close()
        assert calls == ["AssumeRole", "token1", "AssumeRole", "token3"]

    async def test_a_role_that_is_not_granted(self, filled: Moto) -> None:
        role = {"role_arn": "arn:aws:iam::123456789012:role/none", "sts_endpoint": filled.url}
        with filled.guarded():
            said = await _failure(AwsSecrets(filled.config(**role)), "a", KeyFailure.AUTHENTICATION)
        assert "AssumeRole: InvalidClientTokenId" in said


def _granted(number: int) -> str:
    expires = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    credentials = (
        f"<AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>x</SecretAccessKey>"
        f"<SessionToken>token{number}</SessionToken><Expiration>{expires}</Expiration>"
    )
    result = f"<AssumeRoleResult><Credentials>{credentials}</Credentials></AssumeRoleResult>"
    return f'<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{result}</AssumeRoleResponse>'


def _stand_in(url: str, **settings: Any) -> AwsSecrets:
    """For something that is not AWS and answers as told."""
    given: dict[str, Any] = {
        "region": "eu-west-1", "endpoint": url.replace("tcp:", "http:"), "access_key_id": _KEY_ID,
        "secret_access_key": _SECRET_KEY, "max_retries": 0,
    }  # fmt: skip
    return AwsSecrets(AwsConfig(**(given | settings)))


class TestFaults:
    @pytest.mark.parametrize(
        ("status", "code", "reason"),
        [
            (400, "AccessDeniedException", KeyFailure.FORBIDDEN),
            (400, "DecryptionFailure", KeyFailure.FORBIDDEN),
            (400, "ExpiredTokenException", KeyFailure.AUTHENTICATION),
            (400, "InvalidSignatureException", KeyFailure.AUTHENTICATION),
            (400, "InvalidRequestException", KeyFailure.NOT_FOUND),
            (500, "InternalServiceError", KeyFailure.FAILED),
            (400, "s3cret-of-aws", KeyFailure.MALFORMED),
        ],
    )
    async def test_codes_of_a_stand_in(self, status: int, code: str, reason: KeyFailure) -> None:
        async def answer(_request: web.BaseRequest) -> web.StreamResponse:
            body = {"__type": code, "Message": f"{_VALUE} {_SECRET_KEY}"}
            return web.json_response(body, status=status, content_type=_JSON)

        async with served(answer) as url:
            await _failure(_stand_in(url), "a/b", reason)

    async def test_it_may_read_but_not_many_at_once(self) -> None:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            asked = request.headers["X-Amz-Target"].rpartition(".")[2]
            name = msgspec.json.decode(await request.read()).get("SecretId", "")
            if asked == "ListSecrets":
                names = ("a/allowed", "a/denied", "a/folder")
                return web.json_response({"SecretList": [{"Name": each} for each in names]}, content_type=_JSON)
            if asked == "BatchGetSecretValue" or name == "a/denied":
                return web.json_response({"__type": "AccessDeniedException"}, status=400, content_type=_JSON)
            value = '{"x": "1", "y": "2"}' if name == "a/folder" else _VALUE
            return web.json_response({"Name": name, "SecretString": value}, content_type=_JSON)

        async with served(answer) as url:
            keys = _stand_in(url)
            found = await keys.children("a", deep=True)
            assert _names(found) == ["a/allowed", "a/denied", "a/folder/", "a/folder/x", "a/folder/y"]
            assert [each.type for each in found[:2]] == [KeyType.PASSWORD, None]
            await _failure(keys, "a/denied", KeyFailure.FORBIDDEN)

    @pytest.mark.parametrize("status", [200, 403, 404, 502])
    async def test_a_page_of_html(self, status: int) -> None:
        async def answer(_request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(text=f"<html>{_VALUE}</html>", content_type="text/html", status=status)

        async with served(answer) as url:
            await _failure(_stand_in(url), "a", KeyFailure.MALFORMED)

    async def test_one_that_takes_no_more_calls_for_a_while(self) -> None:
        calls = 0

        async def answer(_request: web.BaseRequest) -> web.StreamResponse:
            nonlocal calls
            calls += 1
            if calls < 3:
                return web.json_response({"__type": "ThrottlingException"}, status=400, content_type=_JSON)
            return web.json_response({"Name": "a", "SecretString": _VALUE}, content_type=_JSON)

        async with served(answer) as url:
            keys = _stand_in(url, max_retries=4)
            assert await keys.read("a") == _VALUE
            await keys.close()
            assert calls == 3
            calls = -10
            assert "takes no more calls" in await _failure(_stand_in(url), "a", KeyFailure.FAILED)

    async def test_nobody_there(self) -> None:
        said = await _failure(_stand_in(f"tcp://127.0.0.1:{free_port('127.0.0.1')}"), "a", KeyFailure.UNREACHABLE)
        assert "cannot be reached" in said

    async def test_one_that_says_nothing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            keys = _stand_in(f"tcp://127.0.0.1:{silent.getsockname()[1]}", read_timeout=0.3)
            assert "0.3 s" in await _failure(keys, "a", KeyFailure.TIMEOUT)

    async def test_certificates(self, tmp_path: Path) -> None:
        async def answer(_request: web.BaseRequest) -> web.StreamResponse:
            return web.json_response({"Name": "a", "SecretString": _VALUE}, content_type=_JSON)

        issued = Authority(tmp_path / "tls").issue("aws")
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(issued / "cert.pem", issued / "key.pem")
        async with served(answer, tls) as url:
            https = url.replace("tcp:", "https:")
            await _failure(_stand_in(https), "a", KeyFailure.CERTIFICATE)
            await _failure(_stand_in(https, ssl_ca_cert=str(tmp_path / "none.pem")), "a", KeyFailure.CONFIGURATION)
            keys = _stand_in(https, ssl_ca_cert=str(issued / "ca.pem"))
            assert await keys.read("a") == _VALUE
            await keys.close()

    async def test_it_may_read_and_not_list(self) -> None:
        async def answer(_request: web.BaseRequest) -> web.StreamResponse:
            return web.json_response({"__type": "AccessDeniedException"}, status=400, content_type=_JSON)

        async with served(answer) as url:
            keys = _stand_in(url)
            await keys.check()
            await _failure(keys, "a", KeyFailure.FORBIDDEN)

    async def test_the_check(self, filled: Moto) -> None:
        keys = AwsSecrets(filled.config())
        await keys.check()
        await keys.close()
        dead = _stand_in(f"tcp://127.0.0.1:{free_port('127.0.0.1')}")
        with pytest.raises(KeyStorageError):
            await dead.check()
        await dead.close()
