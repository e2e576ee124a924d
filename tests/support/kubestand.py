"""A stand-in for the Kubernetes API: the one call that lists pods, written for these tests.

It is no Kubernetes. It does what the API's documentation says of that call: pages by ``limit`` and ``continue``,
selectors (of labels: equality, inequality, presence; of fields: those below), bearer tokens, client certificates, and
errors as ``Status``; and on demand what a real API server does seldom. Where there is a real one, the tests ask that,
too.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable, Container, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

READER_TOKEN = "token-of-a-reader"
STRANGER_TOKEN = "token-of-somebody-without-rights"
_FIELDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "metadata.name": lambda pod: str(pod["metadata"]["name"]),
    "metadata.namespace": lambda pod: str(pod["metadata"]["namespace"]),
    "spec.nodeName": lambda pod: str(pod["spec"].get("nodeName", "")),
    "status.phase": lambda pod: str(pod["status"].get("phase", "")),
}

Requirement = tuple[str, str, str]
"""Name, sign and value; the sign is ``=``, ``!=``, or empty for mere presence."""
Fault = Callable[[int, web.Request], web.StreamResponse | None]
"""Given the number of a request, from 1, and the request: an answer in place of the right one, or None."""


class StandIn:
    """Serves ``pods``. ``requests`` are the queries that came, in order."""

    def __init__(self, pods: Iterable[dict[str, Any]] = ()) -> None:
        self.pods = list(pods)
        self.fault: Fault = lambda _number, _request: None
        self.requests: list[dict[str, str]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One page, or an error."""
        self.requests.append(dict(request.query))
        instead = self.fault(len(self.requests), request) or _denial(request)
        if instead is not None:
            return instead
        try:
            labels = _requirements(request.query.get("labelSelector", ""))
            fields = _requirements(request.query.get("fieldSelector", ""), known=_FIELDS)
        except ValueError as wrong:
            return status(400, "BadRequest", str(wrong))
        namespace = request.match_info.get("namespace", "")
        found = [pod for pod in self.pods if _is_selected(pod, namespace, labels, fields)]
        start = _start(request.query.get("continue", ""))
        end = start + int(request.query.get("limit", "0") or 0) if request.query.get("limit") else len(found)
        meta: dict[str, Any] = {"resourceVersion": "100"}
        if end < len(found):
            meta |= {"continue": _continuation(end), "remainingItemCount": len(found) - end}
        page = {"kind": "PodList", "apiVersion": "v1", "metadata": meta, "items": found[start:end]}
        return web.json_response(page)


@asynccontextmanager
async def serving(
    stand: StandIn, *, tls: tuple[Path, Path] | None = None, client_ca: Path | None = None
) -> AsyncIterator[StandIn]:
    """Serve on loopback, at ``stand.url``; with a certificate and its key over TLS."""
    app = web.Application()
    app.router.add_get("/api/v1/pods", stand.answer)
    app.router.add_get("/api/v1/namespaces/{namespace}/pods", stand.answer)
    context = None
    if tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL if client_ca else ssl.CERT_NONE
        context.load_cert_chain(*tls)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = runner.addresses[0][1]
        stand.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"
        yield stand
    finally:
        await runner.cleanup()


def status(code: int, reason: str, message: str, **headers: str) -> web.Response:
    """An error as the API gives it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response({**body, "code": code}, status=code, headers=named)


def _denial(request: web.Request) -> web.Response | None:
    said = request.headers.get("Authorization", "")
    if said == f"Bearer {STRANGER_TOKEN}":
        text = 'pods is forbidden: User "stranger" cannot list resource "pods" in API group "" at the cluster scope'
        return status(403, "Forbidden", text)
    if said == f"Bearer {READER_TOKEN}":
        return None
    if said:
        return status(401, "Unauthorized", "Unauthorized")
    if request.transport is not None and request.transport.get_extra_info("peercert"):
        return None
    text = (
        'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" at the cluster scope'
    )
    return status(403, "Forbidden", text)


def _is_selected(pod: dict[str, Any], namespace: str, labels: list[Requirement], fields: list[Requirement]) -> bool:
    if namespace and pod["metadata"]["namespace"] != namespace:
        return False
    borne = pod["metadata"].get("labels") or {}
    known = {name: read(pod) for name, read in _FIELDS.items()}
    return all(_fits(borne, each) for each in labels) and all(_fits(known, each) for each in fields)


def _requirements(text: str, *, known: Container[str] | None = None) -> list[Requirement]:
    found = []
    for part in filter(None, text.split(",")):
        name, sign, value = part.replace("==", "=").partition("!=" if "!=" in part else "=")
        if not name or " " in name:
            raise ValueError(f"unable to parse requirement: {part}")
        if known is not None and name not in known:
            raise ValueError(f"field label not supported: {name}")
        found.append((name, sign, value))
    return found


def _fits(values: dict[str, str], requirement: Requirement) -> bool:
    name, sign, value = requirement
    if not sign:
        return name in values
    return (values.get(name) == value) is (sign == "=")


def _continuation(start: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"v": "meta.k8s.io/v1", "start": start}).encode()).decode()


def _start(continuation: str) -> int:
    return int(json.loads(base64.urlsafe_b64decode(continuation))["start"]) if continuation else 0
