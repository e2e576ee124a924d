"""Asks an API server for pods, page by page, and makes nodes of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec
import structlog
from kubernetes_asyncio.client.api_client import ApiClient
from kubernetes_asyncio.client.configuration import Configuration

from runbus.plugin import Discovered, Node, SourceContext, SourceError, SourceFailure
from schemas.version import VERSION
from services.runner.sources.kubernetes import faults
from services.runner.sources.kubernetes.access import connection_of, unused
from services.runner.sources.kubernetes.config import KubernetesConfig
from services.runner.sources.kubernetes.connection import Connection
from services.runner.sources.kubernetes.nodes import Shape
from services.runner.sources.kubernetes.pods import PodList

PAGE_PODS: Final = 500
MAX_PAGE_BYTES: Final = 256 << 20
_MAX_ERROR_BYTES: Final = 64 << 10
_CHUNK_BYTES: Final = 1 << 16
_TRIES: Final = 5
"""How often a page is asked for while the API server says that it has too much to do."""
_MAX_RETRY_AFTER_S: Final = 10.0
_BUSY: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_TIMEOUT: Final = aiohttp.ClientTimeout(
    total=None, sock_connect=faults.CONNECT_WITHIN_S, sock_read=faults.READ_WITHIN_S
)

log = structlog.get_logger("runner")


class _ExpiredError(Exception):
    """The list has changed too much since its first page: the next one is gone."""


async def discover(config: KubernetesConfig, context: SourceContext) -> Discovered:
    """The containers of the pods. Raises :class:`SourceError`."""
    shape = Shape(config)
    connection = await connection_of(config, context)
    began_s = time.monotonic()
    async with _opened(connection) as api:
        lister = _Lister(api, connection, config, shape)
        nodes = await lister.nodes()
    if config.debug:
        log.info(
            "kubernetes.listed", server=connection.host, origin=connection.origin, pages=lister.pages,
            nodes=len(nodes), seconds=round(time.monotonic() - began_s, 3),
        )  # fmt: skip
    return Discovered(nodes=nodes, warnings=[*unused(config), *shape.warnings])


@asynccontextmanager
async def _opened(connection: Connection) -> AsyncIterator[ApiClient]:
    settings: Any = Configuration(host=connection.host, ssl_ca_cert=connection.ca_file)
    settings.cert_file = connection.cert_file
    settings.key_file = connection.key_file
    settings.verify_ssl = connection.is_verified
    settings.tls_server_name = connection.server_name
    settings.proxy = connection.proxy or _usual_proxy(connection.host)
    if connection.authorization:
        settings.api_key["BearerToken"] = connection.authorization
    try:
        api: Any = ApiClient(settings)
    except OSError as cause:
        raise faults.unusable(connection, cause) from None
    api.user_agent = f"runbus/{VERSION}"
    _without_netrc(api.rest_client)
    try:
        yield api
    finally:
        await api.close()


def _usual_proxy(host: str) -> str | None:
    """The one that HTTPS_PROXY and NO_PROXY of the runner mean for this address."""
    parts = urlsplit(host)
    if proxy_bypass(parts.netloc):
        return None
    found = getproxies().get(parts.scheme)
    return found if found and found.startswith(("http://", "https://")) else None


def _without_netrc(rest: Any) -> None:
    """The library's session would read ``~/.netrc``, and refuse to send a token where the host is in it."""
    inherited: aiohttp.ClientSession = rest.pool_manager
    rest.pool_manager = aiohttp.ClientSession(connector=inherited.connector)
    inherited.detach()


class _Lister:
    def __init__(self, api: Any, connection: Connection, config: KubernetesConfig, shape: Shape) -> None:
        self._api = api
        self._connection = connection
        self._shape = shape
        namespace = config.namespace_filter.strip()
        self._path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods" if namespace else "/api/v1/pods"
        selectors = {"fieldSelector": config.field_selector.strip(), "labelSelector": config.label_selector.strip()}
        self._query = [(name, value) for name, value in selectors.items() if value]
        self.pages = 0

    async def nodes(self) -> list[Node]:
        """Of every page; from the first again, once, where a page is gone before it is asked for."""
        try:
            return await self._all()
        except _ExpiredError:
            pass  # Pages are kept for five minutes, and for less while much happens in the cluster.
        try:
            return await self._all()
        except _ExpiredError:
            text = f"the list at {self._connection.host} changed twice before it was read: narrow it by a namespace"
            raise SourceError(text, reason=SourceFailure.REFUSED) from None

    async def _all(self) -> list[Node]:
        nodes: list[Node] = []
        resume = ""
        while True:
            page = await self._page(resume)
            found, resume = await asyncio.to_thread(self._read, page)
            nodes += found
            self.pages += 1
            if not resume:
                return nodes

    def _read(self, page: bytes) -> tuple[list[Node], str]:
        """The nodes of a page, and where the next one begins."""
        try:
            pods = msgspec.json.decode(page, type=PodList)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise faults.malformed(self._connection, str(cause)) from None
        if pods.kind != "PodList":
            raise faults.malformed(self._connection, f"kind {pods.kind[:60]!r}")
        return self._shape.nodes(pods.items or ()), pods.metadata.resume

    async def _page(self, resume: str) -> bytes:
        for tries_left in reversed(range(_TRIES)):
            try:
                answer = await self._ask(resume)
                async with answer:
                    pause_s = _pause_s(answer)
                    if pause_s is None or not tries_left:
                        return await self._body(answer, resume)
            except faults.FAULTS as cause:
                raise faults.unreachable(self._connection, cause) from None
            await asyncio.sleep(pause_s)
        raise AssertionError("the last try returns or raises")

    async def _ask(self, resume: str) -> aiohttp.ClientResponse:
        query = [*self._query, ("limit", str(PAGE_PODS))]
        if resume:
            query.append(("continue", resume))
        answer: aiohttp.ClientResponse = await self._api.call_api(
            self._path, "GET", query_params=query, header_params={"Accept": "application/json"},
            auth_settings=["BearerToken"], _preload_content=False, _request_timeout=_TIMEOUT,
        )  # fmt: skip
        return answer

    async def _body(self, answer: aiohttp.ClientResponse, resume: str) -> bytes:
        """Raises :class:`SourceError` where the answer is an error, and :class:`_ExpiredError`."""
        if answer.status == HTTPStatus.OK:
            return await _bounded(answer, self._connection)
        if answer.status == HTTPStatus.GONE and resume:
            raise _ExpiredError
        said = await _head(answer, _MAX_ERROR_BYTES)
        asked = f"the request for page {self.pages + 1} of the pods" if resume else "the request for pods"
        raise faults.refused(self._connection, answer.status, said, asked=asked)


async def _bounded(answer: aiohttp.ClientResponse, connection: Connection) -> bytes:
    page = await _head(answer, MAX_PAGE_BYTES + 1)
    if len(page) > MAX_PAGE_BYTES:
        text = f"{connection.host} answered with more than {MAX_PAGE_BYTES >> 20} MiB for {PAGE_PODS} pods"
        raise SourceError(f"{text}: narrow the list by a namespace", reason=SourceFailure.TOO_LARGE)
    return page


async def _head(answer: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """The body, or its first bytes."""
    body = bytearray()
    async for part in answer.content.iter_chunked(_CHUNK_BYTES):
        body += part
        if len(body) >= limit_bytes:
            break
    return bytes(body[:limit_bytes])


def _pause_s(answer: aiohttp.ClientResponse) -> float | None:
    """How long an API server that has too much to do wants to be left alone; None: this is its answer."""
    if answer.status not in _BUSY:
        return None
    said = answer.headers.get("Retry-After", "")
    return min(float(said), _MAX_RETRY_AFTER_S) if said.isdecimal() else None
