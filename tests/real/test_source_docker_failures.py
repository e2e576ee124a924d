"""What is said where the containers of an engine cannot be had. No engine is needed: real connections on loopback."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from runbus.plugin import Discovered, SourceError, SourceFailure
from services.runner.discovery import Asked, Question
from services.runner.sources.docker import Config, DockerContainers

from .serving import Answer, Authority, served

pytestmark = pytest.mark.slow

_NOBODY = 65534
_IDS = [f"{number:064x}" for number in range(40)]


async def _discover(work_dir: Path, **settings: str) -> Discovered:
    given = {name.replace("_", "-"): value for name, value in settings.items()}
    asked = Question(
        project="default", source="box", type="docker-container-model-source", config=given, timeout_s=30
    )
    config = msgspec.convert(given, Config, strict=False)
    return await DockerContainers().discover(config, Asked("r1", asked, work_dir, {}, None))


async def _failure(work_dir: Path, **settings: str) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await _discover(work_dir, **settings)
    assert "Traceback" not in caught.value.message
    return caught.value


async def _engine(request: web.BaseRequest) -> web.StreamResponse:
    """As much of an engine as is asked for, with 40 containers."""
    if request.path == "/version":
        return web.json_response({"ApiVersion": "1.41"})
    if request.path.endswith("/containers/json"):
        return web.json_response([{"Id": identity} for identity in _IDS])
    return web.json_response({"Id": request.path.split("/")[-2], "Name": "/x"})


def _breaking(broken: Answer, *, after: int) -> Answer:
    """An engine that answers so many requests, and then otherwise."""
    count = 0

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal count
        count += 1
        return await (_engine if count <= after else broken)(request)

    return answer


async def _abort(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _cut(request: web.BaseRequest) -> web.StreamResponse:
    """Half an answer."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"Id": ')
    return await _abort(request)


def _says(status: int, text: str, content_type: str = "application/json") -> Answer:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, body=text.encode(), content_type=content_type)

    return answer


@contextmanager
def _handshakes(context: ssl.SSLContext) -> Iterator[str]:
    """A server that gets no further than the handshake, and then closes as Docker does.

    Not asyncio's, which says nothing where it refuses a certificate.
    """

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with suppress(ssl.SSLError, ConnectionError):
                context.wrap_socket(connection, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


async def test_a_whole_answer_is_nodes(tmp_path: Path) -> None:
    async with served(_engine) as host:
        found = await _discover(tmp_path, docker_host=host)
    assert [node.name for node in found.nodes] == [identity[:12] for identity in _IDS]
    assert found.nodes[0].attributes["docker-host"] == host


async def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        host = f"tcp://127.0.0.1:{bound.getsockname()[1]}"
        error = await _failure(tmp_path, docker_host=host)
    assert error.reason is SourceFailure.UNREACHABLE
    assert error.message.startswith(f"the engine at {host} cannot be reached (")
    error = await _failure(tmp_path, docker_host=f"unix://{tmp_path}/none.sock")
    assert error.reason is SourceFailure.UNREACHABLE
    assert "cannot be reached (No such file or directory)" in error.message


async def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    error = await _failure(tmp_path, docker_host="tcp://engine.invalid:2375")
    assert (error.reason, "does not resolve" in error.message) == (SourceFailure.UNREACHABLE, True)


@pytest.mark.parametrize(
    "host", ["box:2375", "tcp://box", "ssh://box", "unix://", "tcp://:1", "tcp://[::1", "tcp://b:x"]
)
async def test_what_is_no_address(tmp_path: Path, host: str) -> None:
    error = await _failure(tmp_path, docker_host=host)
    assert (error.reason, "docker-host is" in error.message) == (SourceFailure.CONFIGURATION, True)


@pytest.mark.parametrize(
    "setting",
    [{"mapping": "docker:Name"}, {"attributes": "root"}, {"filter": "running"}, {"docker_tls_verify": "true"}],
)
async def test_settings_that_cannot_be_used(tmp_path: Path, setting: dict[str, str]) -> None:
    error = await _failure(tmp_path, docker_host="tcp://127.0.0.1:9", **setting)
    assert error.reason is SourceFailure.CONFIGURATION


async def test_a_trusted_certificate_and_one_of_ours(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    async with served(_engine, authority.server("engine", is_asking=True)) as host:
        found = await _discover(tmp_path, docker_host=host, docker_cert_path=str(authority.issue("runner")))
    assert len(found.nodes) == len(_IDS)
    assert "docker-cert-path" in found.nodes[0].attributes


@pytest.mark.parametrize(
    ("issued", "authority", "said"),
    [
        ({"days_left": -1}, "ca", "expired"),
        ({"address": "127.0.0.9"}, "ca", "mismatch"),
        ({}, "other", "certificate that is not trusted"),
    ],
)
async def test_a_certificate_that_is_not_trusted(
    tmp_path: Path, issued: dict[str, int], authority: str, said: str
) -> None:
    engine = Authority(tmp_path / "ca")
    ours = engine if authority == "ca" else Authority(tmp_path / authority)
    directory = str(ours.issue("runner"))
    async with served(_engine, engine.server("engine", **issued)) as host:  # type: ignore[arg-type]
        error = await _failure(tmp_path, docker_host=host, docker_cert_path=directory)
        unchecked = await _discover(tmp_path, docker_host=host, docker_cert_path=directory, docker_tls_verify="false")
    assert error.reason is SourceFailure.CERTIFICATE
    assert said in error.message
    assert len(unchecked.nodes) == len(_IDS)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_engine_that_wants_another_certificate_of_ours(tmp_path: Path, version: ssl.TLSVersion) -> None:
    engine, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    foreign, none = other.issue("runner"), tmp_path / "none"
    none.mkdir()
    for directory in (foreign, none):
        (directory / "ca.pem").write_bytes((engine.issue(f"for-{directory.name}") / "ca.pem").read_bytes())
    context = engine.server("engine", is_asking=True)
    context.minimum_version = context.maximum_version = version
    with _handshakes(context) as host:
        for directory in (foreign, none):
            error = await _failure(tmp_path, docker_host=host, docker_cert_path=str(directory))
            assert error.reason is SourceFailure.AUTHENTICATION, error.message
            assert "runner's certificate" in error.message


async def test_tls_to_one_that_speaks_none_and_the_other_way_round(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    async with served(_engine) as host:
        error = await _failure(tmp_path, docker_host=host, docker_cert_path=str(authority.issue("runner")))
        assert (error.reason, "does not speak TLS" in error.message) == (SourceFailure.CONFIGURATION, True)
    async with served(_engine, authority.server("engine")) as host:
        error = await _failure(tmp_path, docker_host=host)
        assert error.reason is SourceFailure.UNREACHABLE, error.message


async def test_certificates_that_are_not_there_or_are_none(tmp_path: Path) -> None:
    host = "tcp://127.0.0.1:9"
    error = await _failure(tmp_path, docker_host=host, docker_cert_path=str(tmp_path / "none"))
    assert error.reason is SourceFailure.NOT_FOUND
    directory = Authority(tmp_path / "ca").issue("runner")
    (directory / "key.pem").unlink()
    error = await _failure(tmp_path, docker_host=host, docker_cert_path=str(directory))
    assert error.reason is SourceFailure.NOT_FOUND
    (directory / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    error = await _failure(tmp_path, docker_host=host, docker_cert_path=str(directory))
    assert error.reason is SourceFailure.CONFIGURATION
    assert "c2VjcmV0" not in error.message


@pytest.mark.parametrize("after", [0, 1, 2, 20])
@pytest.mark.parametrize("broken", [_abort, _cut])
async def test_an_engine_that_breaks_off(tmp_path: Path, broken: Answer, after: int) -> None:
    async with served(_breaking(broken, after=after)) as host:
        error = await _failure(tmp_path, docker_host=host)
    assert error.reason is SourceFailure.UNREACHABLE, error.message


@pytest.mark.parametrize("after", [1, 20])
@pytest.mark.parametrize(
    ("status", "reason"),
    [(500, SourceFailure.REFUSED), (403, SourceFailure.AUTHENTICATION), (401, SourceFailure.AUTHENTICATION)],
)
async def test_an_engine_that_answers_with_an_error(
    tmp_path: Path, status: int, reason: SourceFailure, after: int
) -> None:
    async with served(_breaking(_says(status, '{"message": "no such luck"}'), after=after)) as host:
        error = await _failure(tmp_path, docker_host=host)
    assert error.reason is reason
    assert f"{status}: no such luck" in error.message


@pytest.mark.parametrize("after", [0, 1, 20])
@pytest.mark.parametrize(
    "broken",
    [
        _says(200, "<html>hello</html>", "text/html"),
        _says(200, '{"Id": '),
        _says(200, "[5]"),
        _says(200, '"text"'),
        _says(500, "[]"),
    ],
)
async def test_what_is_no_engine(tmp_path: Path, broken: Answer, after: int) -> None:
    async with served(_breaking(broken, after=after)) as host:
        error = await _failure(tmp_path, docker_host=host)
    assert error.reason is SourceFailure.MALFORMED, error.message
    assert "is no Docker engine" in error.message


async def test_a_deadline_ends_it(tmp_path: Path) -> None:
    waiting = asyncio.Event()

    async def never(_: web.BaseRequest) -> web.StreamResponse:
        waiting.set()
        await asyncio.Event().wait()
        return web.Response()

    async with served(_breaking(never, after=5)) as host:
        asking = asyncio.create_task(_discover(tmp_path, docker_host=host))
        await asyncio.wait_for(waiting.wait(), 5)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_a_socket_that_the_user_may_not_use(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    host = f"unix://{path}"
    # Everything is loaded before the user changes.
    assert (await _failure(tmp_path, docker_host=host)).reason is SourceFailure.UNREACHABLE
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(_NOBODY)
        try:
            error = await _failure(tmp_path, docker_host=host)
        finally:
            os.seteuid(user)
    assert (error.reason, "group docker" in error.message) == (SourceFailure.AUTHENTICATION, True)
