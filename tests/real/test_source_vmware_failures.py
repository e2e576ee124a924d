"""What is said where machines cannot be had: by the simulator of a vCenter, and by others that answer on loopback."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bus.server import free_port
from runbus.plugin import SourceError, SourceFailure
from services.runner.sources.vmware import VmwareConfig, VmwareMachines
from tests.support.badnodes import silent_port, talking_port
from tests.support.waiting import eventually

from .serving import Authority, served
from .vcsim import PASSWORD, USER, Vcsim, simulator

pytestmark = pytest.mark.slow

_NO_CONTEXT: Any = None


@pytest.fixture(scope="module")
def vcenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vcsim]:
    """Only read in these tests."""
    with simulator(tmp_path_factory.mktemp("vcsim")) as started:
        yield started


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many calls for few machines."""
    from services.runner.sources.vmware import session  # noqa: PLC0415

    monkeypatch.setattr(session, "PAGE_OBJECTS", 1)


async def _failure(config: VmwareConfig) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await VmwareMachines().discover(config, _NO_CONTEXT)
    assert PASSWORD not in caught.value.message
    assert "Traceback" not in caught.value.message
    assert not caught.value.message.endswith(".")
    return caught.value


def _at(port: int, scheme: str = "https") -> VmwareConfig:
    return VmwareConfig(url=f"{scheme}://127.0.0.1:{port}", username=USER, password=PASSWORD)


class TestLogin:
    @pytest.mark.parametrize(
        ("wrong", "setting"),
        [({"password": "no"}, "password"), ({"username": "nobody"}, "password"),
         ({"password_storage_path": "no"}, "password-storage-path")],
    )  # fmt: skip
    async def test_who_is_not_let_in(self, vcenter: Vcsim, wrong: dict[str, str], setting: str) -> None:
        before = len(vcenter.calls())
        failure = await _failure(vcenter.config(**wrong))
        assert failure.reason is SourceFailure.AUTHENTICATION
        assert f"does not let {wrong.get('username', USER)} in" in failure.message
        assert f"the key that {setting} names" in failure.message
        assert vcenter.calls()[before:] == ["RetrieveServiceContent", "Login"]


class TestCertificates:
    async def test_one_that_nobody_trusts(self, vcenter: Vcsim) -> None:
        failure = await _failure(vcenter.config(ssl_ca_cert=""))
        assert failure.reason is SourceFailure.CERTIFICATE
        assert failure.message == (
            f"the certificate of {vcenter.url}/sdk is not accepted: unable to get local issuer certificate. Name the "
            "certificates to trust in ssl-ca-cert, renew it, or say ignore-ssl=true"
        )

    @pytest.mark.parametrize("setting", [{"ignore_ssl": "true"}, {"verify_ssl": "false"}])
    async def test_it_is_taken_all_the_same(self, vcenter: Vcsim, setting: dict[str, str]) -> None:
        found = await VmwareMachines().discover(vcenter.config(ssl_ca_cert="", **setting), _NO_CONTEXT)
        assert len(found.nodes) == 4

    async def test_one_of_another_host(self, vcenter: Vcsim) -> None:
        failure = await _failure(vcenter.config(url=f"https://localhost:{vcenter.port}"))
        assert failure.reason is SourceFailure.CERTIFICATE
        assert "Hostname mismatch" in failure.message

    async def test_one_that_has_expired(self, tmp_path: Path) -> None:
        with simulator(tmp_path, days_left=-1) as expired:
            failure = await _failure(expired.config())
            assert failure.reason is SourceFailure.CERTIFICATE
            assert "certificate has expired" in failure.message
            found = await VmwareMachines().discover(expired.config(ignore_ssl="true"), _NO_CONTEXT)
            assert len(found.nodes) == 4

    async def test_a_file_that_is_not_there(self, vcenter: Vcsim, tmp_path: Path) -> None:
        failure = await _failure(vcenter.config(ssl_ca_cert=str(tmp_path / "no.pem")))
        assert failure.reason is SourceFailure.NOT_FOUND
        assert failure.message == f"ssl-ca-cert: {tmp_path}/no.pem cannot be read: No such file or directory"

    @pytest.mark.parametrize("text", ["", "no certificate\n", "-----BEGIN CERTIFICATE-----\nMII\n"])
    async def test_a_file_of_something_else(self, vcenter: Vcsim, tmp_path: Path, text: str) -> None:
        (tmp_path / "some.pem").write_text(text)
        failure = await _failure(vcenter.config(ssl_ca_cert=str(tmp_path / "some.pem")))
        assert failure.reason is SourceFailure.CONFIGURATION
        assert "holds no certificates in PEM" in failure.message


class TestOthers:
    """Who answers is no vCenter, or nobody does."""

    async def test_nobody(self) -> None:
        port = free_port("127.0.0.1")
        failure = await _failure(_at(port))
        assert failure.reason is SourceFailure.UNREACHABLE
        assert failure.message == (
            f"https://127.0.0.1:{port}/sdk cannot be reached: Connection refused. Correct url; is it up?"
        )

    async def test_one_without_tls(self) -> None:
        async with talking_port(b"SSH-2.0-OpenSSH_9.2\r\n") as port:
            failure = await _failure(_at(port))
        assert failure.reason is SourceFailure.UNREACHABLE

    async def test_no_http(self) -> None:
        async with talking_port(b"SSH-2.0-OpenSSH_9.2\r\n") as port:
            failure = await _failure(_at(port, "http"))
        assert failure.reason in (SourceFailure.MALFORMED, SourceFailure.UNREACHABLE)

    @pytest.mark.parametrize("text", ["<html><p>Welcome<br></html>", "<html><p>Welcome</p></html>", "Welcome", ""])
    async def test_a_page(self, text: str) -> None:
        async def answer(_request: web.BaseRequest) -> web.Response:
            return web.Response(text=text, content_type="text/html")

        async with served(answer) as url:
            failure = await _failure(_at(int(url.rpartition(":")[2]), "http"))
        assert failure.reason is SourceFailure.MALFORMED
        assert "is not the vSphere API" in failure.message

    @pytest.mark.parametrize(("status", "said"), [(404, "404 Not Found"), (503, "503 Service Unavailable")])
    async def test_an_error(self, status: int, said: str) -> None:
        async def answer(_request: web.BaseRequest) -> web.Response:
            return web.Response(status=status)

        async with served(answer) as url:
            failure = await _failure(_at(int(url.rpartition(":")[2]), "http"))
        assert failure.reason is SourceFailure.REFUSED
        assert f"answered {said}. Is that a vCenter" in failure.message

    async def test_one_that_takes_no_question(self, tmp_path: Path) -> None:
        async def answer(_request: web.BaseRequest) -> web.Response:
            return web.Response()

        async with served(answer, Authority(tmp_path / "a").server("vc", is_asking=True)) as url:
            config = _at(int(url.rpartition(":")[2]))
            failure = await _failure(VmwareConfig(url=config.url, username=USER, password=PASSWORD, ignore_ssl=True))
        assert failure.reason is SourceFailure.UNREACHABLE


@pytest.mark.usefixtures("small_pages")
class TestHalfWay:
    async def test_the_server_dies(self, tmp_path: Path) -> None:
        with simulator(tmp_path, "-method-delay", "ContinueRetrievePropertiesEx:60000") as vcenter:
            asking = asyncio.create_task(_failure(vcenter.config()))
            await eventually(lambda: "ContinueRetrievePropertiesEx" in vcenter.calls(), what="the second page")
            vcenter.stop()
            failure = await asking
        assert failure.reason is SourceFailure.UNREACHABLE
        assert "broke off before it had answered" in failure.message

    async def test_the_session_is_ended_there(self, tmp_path: Path) -> None:
        with simulator(tmp_path, "-method-delay", "ContinueRetrievePropertiesEx:300") as vcenter:
            asking = asyncio.create_task(_failure(vcenter.config()))
            await eventually(lambda: "ContinueRetrievePropertiesEx" in vcenter.calls(), what="the second page")
            await asyncio.to_thread(_end_other_sessions, vcenter)
            failure = await asking
        assert failure.reason is SourceFailure.REFUSED
        assert "ended the session before everything was read" in failure.message

    async def test_nobody_waits_any_more(self, tmp_path: Path) -> None:
        with simulator(tmp_path, "-method-delay", "ContinueRetrievePropertiesEx:60000") as vcenter:
            asking = asyncio.create_task(VmwareMachines().discover(vcenter.config(), _NO_CONTEXT))
            await eventually(lambda: "ContinueRetrievePropertiesEx" in vcenter.calls(), what="the second page")
            asked_s = time.monotonic()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert time.monotonic() - asked_s < 1.0
            await eventually(lambda: vcenter.calls()[-1] == "Logout", what="the end of the session")

    async def test_a_silent_server(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from services.runner.sources.vmware import stub  # noqa: PLC0415

        monkeypatch.setattr(stub, "ANSWER_WITHIN_S", 0.5)
        with simulator(tmp_path, "-method-delay", "ContinueRetrievePropertiesEx:60000") as vcenter:
            failure = await _failure(vcenter.config())
            await eventually(lambda: vcenter.calls()[-1] == "Logout", what="the end of the session")
        assert failure.reason is SourceFailure.TIMEOUT
        assert "was silent for 0.5 s after a question" in failure.message


async def test_one_that_takes_connections_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from services.runner.sources.vmware import stub  # noqa: PLC0415

    monkeypatch.setattr(stub, "CONNECT_WITHIN_S", 0.5)
    async with silent_port() as port:
        failure = await _failure(_at(port))
    assert failure.reason is SourceFailure.UNREACHABLE
    assert "takes no connection within 0.5 s" in failure.message


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_deadline_is_kept_all_the_same(scheme: str) -> None:
    async with silent_port() as port:
        started_s = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await VmwareMachines().discover(_at(port, scheme), _NO_CONTEXT)
        assert time.monotonic() - started_s < 3.0


async def test_the_thread_of_a_hung_login_ends() -> None:
    from services.runner.sources.vmware import _discover  # noqa: PLC0415
    from services.runner.sources.vmware.abort import Abort  # noqa: PLC0415
    from services.runner.sources.vmware.config import query_of  # noqa: PLC0415

    async with silent_port() as port:
        abort, query = Abort(), query_of(_at(port, "http"))
        ended: list[BaseException] = []

        def ask() -> None:
            try:
                _discover(query, abort)
            except SourceError as failure:
                ended.append(failure)

        thread = threading.Thread(target=ask)
        thread.start()
        await eventually(lambda: abort._connection is not None, what="the connection")
        abort.cut()
        await asyncio.to_thread(thread.join, 5.0)
        assert not thread.is_alive()
        assert len(ended) == 1


def _end_other_sessions(vcenter: Vcsim) -> None:
    with vcenter.administrator() as content:
        manager = content.sessionManager
        own = manager.currentSession.key
        manager.TerminateSession([each.key for each in manager.sessionList if each.key != own])


def test_an_answer_that_ends_early() -> None:
    from services.runner.sources.vmware.stub import page_from  # noqa: PLC0415

    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<a>")
        theirs.shutdown(socket.SHUT_WR)
        response = HTTPResponse(ours)
        response.begin()
        with pytest.raises(IncompleteRead):
            page_from(response)
        response.close()


def test_faults_of_the_api() -> None:
    from services.runner.sources.vmware.api import vim, vmodl  # noqa: PLC0415
    from services.runner.sources.vmware.config import Address  # noqa: PLC0415
    from services.runner.sources.vmware.faults import refused, unreachable  # noqa: PLC0415

    address = Address("https", "vc", 443, "/sdk")
    unknown = refused(address, vmodl.query.InvalidProperty(name="config.nosuch"))
    assert unknown.reason is SourceFailure.CONFIGURATION
    assert unknown.message == "https://vc/sdk: virtual machines have no config.nosuch. Correct mapping and tags"
    denied = refused(address, vim.fault.NoPermission(msg="Permission to perform\n this operation was denied."))
    assert denied.reason is SourceFailure.REFUSED
    assert denied.message == (
        "https://vc/sdk answered with the fault NoPermission: Permission to perform this operation was denied"
    )
    nameless = unreachable(address, socket.gaierror(socket.EAI_NONAME, "Name or service not known"), within_s=1)
    assert nameless.reason is SourceFailure.UNREACHABLE
    assert "the name does not resolve on the runner (Name or service not known)" in nameless.message
