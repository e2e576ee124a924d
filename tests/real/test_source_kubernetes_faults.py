"""What an API server does seldom, done by the stand-in on demand; and connections that do not come about."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.client_reqrep import ConnectionKey

from bus.server import free_port
from runbus.plugin import Discovered, SourceError, SourceFailure
from services.runner.sources.kubernetes import KubernetesContainers, faults, listing
from services.runner.sources.kubernetes.connection import Connection
from tests.support.kubeaccess import asked, kubeconfig, settings
from tests.support.kubecerts import Authority
from tests.support.kubepods import pod
from tests.support.kubestand import READER_TOKEN, StandIn, serving, status

pytestmark = pytest.mark.slow


@pytest.fixture
async def stand(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StandIn]:
    """Twenty-five pods in three pages, without TLS."""
    monkeypatch.setattr(listing, "PAGE_PODS", 10)
    async with serving(StandIn(pod(f"web-{number}") for number in range(25))) as server:
        yield server


async def discover(stand: StandIn, tmp_path: Path, **more: str) -> Discovered:
    given = {"url": stand.url, "token": READER_TOKEN, **more}
    return await KubernetesContainers().discover(settings(**given), asked(tmp_path))


async def refused(stand: StandIn, tmp_path: Path, **more: str) -> SourceError:
    with pytest.raises(SourceError) as raised:
        await discover(stand, tmp_path, **more)
    assert READER_TOKEN not in raised.value.message
    return raised.value


async def test_pages_follow_each_other(stand: StandIn, tmp_path: Path) -> None:
    found = await discover(stand, tmp_path)

    assert len({node.name for node in found.nodes}) == 25
    assert [request.get("limit") for request in stand.requests] == ["10", "10", "10"]
    assert ["continue" in request for request in stand.requests] == [False, True, True]


async def test_an_error_at_the_second_page_is_an_error_and_no_short_list(stand: StandIn, tmp_path: Path) -> None:
    stand.fault = lambda number, _: (
        status(500, "InternalError", "etcdserver: request timed out") if number == 2 else None
    )
    error = await refused(stand, tmp_path)

    assert error.reason is SourceFailure.REFUSED
    assert "answered 500 to the request for page 2 of the pods: etcdserver: request timed out" in error.message


async def test_rights_that_end_at_the_second_page(stand: StandIn, tmp_path: Path) -> None:
    stand.fault = lambda number, _: status(401, "Unauthorized", "Unauthorized") if number == 2 else None

    assert (await refused(stand, tmp_path)).reason is SourceFailure.AUTHENTICATION


async def test_a_page_that_is_gone_starts_the_list_again_once(stand: StandIn, tmp_path: Path) -> None:
    stand.fault = lambda number, _: status(410, "Expired", "continue is too old") if number == 3 else None
    found = await discover(stand, tmp_path)

    assert len(found.nodes) == len({node.name for node in found.nodes}) == 25
    assert ["continue" in request for request in stand.requests] == [False, True, True, False, True, True]


async def test_a_page_that_is_gone_each_time(stand: StandIn, tmp_path: Path) -> None:
    def gone(_number: int, request: web.Request) -> web.Response | None:
        return status(410, "Expired", "too old") if "continue" in request.query else None

    stand.fault = gone
    error = await refused(stand, tmp_path)

    assert error.reason is SourceFailure.REFUSED
    assert "changed twice" in error.message
    assert len(stand.requests) == 4


async def test_a_busy_server_is_asked_again_when_it_says(stand: StandIn, tmp_path: Path) -> None:
    def busy(number: int, _request: web.Request) -> web.Response | None:
        return status(429, "TooManyRequests", "too many", Retry_After="0") if number in (1, 3) else None

    stand.fault = busy

    assert len((await discover(stand, tmp_path)).nodes) == 25
    assert len(stand.requests) == 5


async def test_a_server_that_stays_busy(stand: StandIn, tmp_path: Path) -> None:
    stand.fault = lambda _number, _request: status(429, "TooManyRequests", "too many requests", Retry_After="0")
    error = await refused(stand, tmp_path)

    assert error.reason is SourceFailure.REFUSED
    assert "429" in error.message
    assert len(stand.requests) == 5


@pytest.mark.parametrize(
    ("answer", "reason", "said"),
    [
        (lambda: web.Response(text="<html>hello</html>"), SourceFailure.MALFORMED, "byte 0"),
        (lambda: web.json_response({"kind": "Table"}), SourceFailure.MALFORMED, "kind 'Table'"),
        (lambda: web.json_response([1]), SourceFailure.MALFORMED, "Expected `object`"),
        (
            lambda: web.json_response({"kind": "PodList", "items": [{"metadata": {"name": 5}}]}),
            SourceFailure.MALFORMED,
            "$.items[0].metadata.name",
        ),
        (lambda: web.Response(body=b'{"kind": "\xff"}'), SourceFailure.MALFORMED, "list of pods"),
        (lambda: web.Response(body=b'{"x": ' + b"[" * 100_000), SourceFailure.MALFORMED, "list of pods"),
        (lambda: web.Response(status=404, text="404 page not found\n"), SourceFailure.REFUSED, "404 page not found"),
        (lambda: web.Response(status=502, text=""), SourceFailure.REFUSED, "answered 502"),
    ],
)
async def test_an_answer_that_is_no_list_of_pods(
    stand: StandIn, tmp_path: Path, answer: object, reason: SourceFailure, said: str
) -> None:
    assert callable(answer)
    stand.fault = lambda _number, _request: answer()
    error = await refused(stand, tmp_path)

    assert error.reason is reason
    assert said in error.message


async def test_a_connection_that_breaks_within_a_page(stand: StandIn, tmp_path: Path) -> None:
    def broken(number: int, request: web.Request) -> None:
        # From then on: a connection that breaks while it is used again is tried once more by itself.
        if number >= 2 and request.transport is not None:
            request.transport.abort()

    stand.fault = broken
    error = await refused(stand, tmp_path)

    assert error.reason is SourceFailure.UNREACHABLE
    assert "broke the connection off" in error.message


async def test_an_answer_without_end_is_cut(stand: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_PAGE_BYTES", 1000)
    error = await refused(stand, tmp_path)

    assert error.reason is SourceFailure.TOO_LARGE


async def test_a_server_that_is_silent(stand: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_TIMEOUT", aiohttp.ClientTimeout(total=None, sock_read=0.1))
    entered = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        entered.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await refused(stand, tmp_path, url=f"http://127.0.0.1:{port}")
    assert entered.is_set()
    assert error.reason is SourceFailure.TIMEOUT


async def test_nobody_answers(stand: StandIn, tmp_path: Path) -> None:
    error = await refused(stand, tmp_path, url=f"https://127.0.0.1:{free_port('127.0.0.1')}")

    assert error.reason is SourceFailure.UNREACHABLE
    assert "cannot be reached" in error.message


async def test_tls_where_there_is_none(stand: StandIn, tmp_path: Path) -> None:
    error = await refused(stand, tmp_path, url=stand.url.replace("http:", "https:"))

    assert error.reason is SourceFailure.UNREACHABLE
    assert "does not speak TLS" in error.message


async def test_a_certificate_that_has_expired(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with serving(StandIn([pod("web-1")]), tls=authority.server(is_expired=True)) as stand:
        error = await refused(stand, tmp_path, ssl_ca_cert=str(authority.file))
        assert error.reason is SourceFailure.CERTIFICATE
        assert "certificate has expired" in error.message

        assert len((await discover(stand, tmp_path, verify_ssl="false")).nodes) == 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_wants_a_certificate_of_ours(tmp_path: Path, version: ssl.TLSVersion) -> None:
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = version
    context.load_cert_chain(*authority.server())

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        error = await refused(StandIn(), tmp_path, url=url, ssl_ca_cert=str(authority.file))
    assert error.reason is SourceFailure.UNREACHABLE
    assert "wants another client certificate" in error.message


async def test_an_authority_that_is_no_certificate(stand: StandIn, tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_text("no certificate")
    error = await refused(stand, tmp_path, ssl_ca_cert=str(file))

    assert error.reason is SourceFailure.CERTIFICATE
    assert str(file) in error.message


async def test_a_proxy_that_wants_a_password(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        proxy = f"http://me:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        file = kubeconfig(tmp_path / "config", user={"token": READER_TOKEN}, cluster={"proxy-url": proxy})
        error = await refused(StandIn(), tmp_path, config_file=str(file))
    assert error.reason is SourceFailure.UNREACHABLE
    assert "a proxy that answered 407" in error.message
    assert "secret" not in error.message


async def test_what_netrc_says_of_the_host_does_not_matter(
    stand: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    assert len((await discover(stand, tmp_path)).nodes) == 25


def test_a_name_that_does_not_resolve_and_an_alert() -> None:
    connection = Connection(host="https://api.test", origin="the setting url")
    key = ConnectionKey("api.test", 443, True, True, None, None, None)
    unresolved = aiohttp.ClientConnectorDNSError(key, OSError(-2, "Name or service not known"))
    error = faults.unreachable(connection, unresolved)
    assert error.reason is SourceFailure.UNREACHABLE
    assert "does not resolve" in error.message

    alert = ssl.SSLError(1, "any")
    alert.reason = "TLSV1_ALERT_UNKNOWN_CA"
    error = faults.unreachable(connection, aiohttp.ClientConnectorSSLError(key, alert))
    assert error.reason is SourceFailure.AUTHENTICATION
    assert "tlsv1 alert unknown ca" in error.message
