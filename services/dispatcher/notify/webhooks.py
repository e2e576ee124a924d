"""Delivering by HTTP."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Final

import httpx

from domain.notify.config import Method, shown, unfilled, url_fault, webhook_of
from domain.notify.payload import Body, body_of, headers_of
from domain.notify.retries import Verdict, retry_after_s, verdict_of
from domain.notify.signature import HEADER, signature
from runbus.plugin import NotificationError
from schemas.errors import RunbusError
from schemas.notices import NotificationTask
from schemas.version import VERSION

_MOST_REDIRECTS: Final = 5
_KEEP_METHOD: Final = frozenset({307, 308})


class Webhooks:
    """One client for all webhooks. ``secret`` signs them; ``timeout_s`` is for one try as a whole."""

    def __init__(self, *, secret: str, timeout_s: float) -> None:
        self._secret = secret
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            timeout=timeout_s,
            follow_redirects=False,
            headers={"User-Agent": f"runbus/{VERSION}"},
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=8),
        )

    async def send(self, task: NotificationTask, name: str) -> None:
        """One request, with redirects within its host. Raises ``NotificationError``; no URL stands in its text."""
        url = task.target
        if fault := unfilled(url) or url_fault(url):
            raise NotificationError(f"the URL {shown(url)} {fault}: correct it in the job.", permanent=True)
        request = self._request(task, name)
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._response(request)
        except TimeoutError:
            raise NotificationError(f"{shown(url)} did not answer within {self._timeout_s:g} s.") from None
        except httpx.TransportError as cause:
            raise NotificationError(f"{shown(url)}: {type(cause).__name__}: {cause}.") from cause
        _judge(response, url)

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()

    def _request(self, task: NotificationTask, name: str) -> httpx.Request:
        try:
            webhook = webhook_of(task.notification)
            body = Body("", b"") if webhook.method is Method.GET else body_of(task.notice, webhook.format)
            headers = headers_of(task.notice) | {"X-Runbus-Delivery": name}
            if body.content_type:
                headers["Content-Type"] = body.content_type
            if self._secret:
                headers[HEADER] = signature(self._secret, body.data, unix_s=int(time.time()))
            content = None if webhook.method is Method.GET else body.data
            return self._client.build_request(webhook.method.upper(), task.target, headers=headers, content=content)
        except RunbusError as error:
            raise NotificationError(error.message, permanent=True) from error
        except (httpx.InvalidURL, UnicodeError) as cause:
            raise NotificationError(f"the URL {shown(task.target)} is none: {cause}.", permanent=True) from cause

    async def _response(self, request: httpx.Request) -> httpx.Response:
        """The answer's head; its body is not read."""
        for _ in range(_MOST_REDIRECTS):
            response = await self._client.send(request, stream=True)
            await response.aclose()
            following = response.next_request
            if following is None:
                return response
            _require_same_host(request, response, following)
            request = following
        raise NotificationError(f"{shown(str(request.url))} redirects without end.", permanent=True)


def _require_same_host(request: httpx.Request, response: httpx.Response, following: httpx.Request) -> None:
    """A webhook goes where the job says: not to another host, and a POST does not become a GET."""
    here, there = request.url, following.url
    if (here.scheme, here.host, here.port) != (there.scheme, there.host, there.port):
        raise NotificationError(
            f"{shown(str(here))} redirects to another place, {shown(str(there))}: give that URL in the job.",
            permanent=True,
        )
    if request.method != "GET" and response.status_code not in _KEEP_METHOD:
        raise NotificationError(
            f"{shown(str(here))} answers a POST with a redirect ({response.status_code}): give the final URL.",
            permanent=True,
        )


def _judge(response: httpx.Response, url: str) -> None:
    verdict = verdict_of(response.status_code)
    if verdict is Verdict.DELIVERED:
        return
    text = f"{shown(url)} answered {response.status_code} {response.reason_phrase}".rstrip()
    asked_s = retry_after_s(response.headers.get("Retry-After", ""), datetime.now(UTC))
    raise NotificationError(f"{text}.", permanent=verdict is Verdict.REFUSED, retry_after_s=asked_s)
