"""Calls of Conjur's REST API, with a token that is granted anew before it expires."""

from __future__ import annotations

import asyncio
import base64
import random
import ssl
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from runbus.plugin import KeyFailure, KeyStorageError
from services.runner.keystorage.conjur.config import AuthnType, ConjurConfig

_TOKEN_LIVES_S: Final = 6 * 60.0
"""Conjur's are good for eight minutes."""
_BUSY: Final = frozenset({429, 502, 503, 504})
_PAUSE_S: Final = 0.25
_MAX_PAUSE_S: Final = 4.0
_AT_A_TIME: Final = 8
_CHUNK_BYTES: Final = 65536
MAX_ANSWER_BYTES: Final = 4 << 20
"""A page of a listing, of 1,000 variables, takes a fifth of it."""
_FAULTS: Final[tuple[tuple[tuple[type[Exception], ...], KeyFailure, str], ...]] = (
    ((httpx.ConnectTimeout,), KeyFailure.UNREACHABLE, "no connection within {open_s:g} s. Is there a way to it?"),
    (
        (httpx.TimeoutException,),
        KeyFailure.TIMEOUT,
        "no answer within {read_s:g} s. Is it overloaded? Else raise readTimeout",
    ),
    (
        (httpx.NetworkError, httpx.ProxyError),
        KeyFailure.UNREACHABLE,
        "it cannot be reached from the runner. Correct applianceUrl; is it up?",
    ),
    (
        (httpx.RemoteProtocolError,),
        KeyFailure.UNREACHABLE,
        "it broke off before it had answered, or speaks no HTTP. Correct applianceUrl; is it up?",
    ),
    (
        (httpx.ProtocolError, httpx.DecodingError),
        KeyFailure.MALFORMED,
        "the answer is none of Conjur; is applianceUrl wrong?",
    ),
    ((OSError,), KeyFailure.CONFIGURATION, "sslCaCert cannot be read; name a file of certificates (PEM)"),
)


class Answer(msgspec.Struct, frozen=True):
    """What came, whole."""

    status_code: int
    content: bytes
    content_type: str

    def __repr__(self) -> str:
        return f"Answer({self.status_code})"


class Calls:
    """Raises :class:`KeyStorageError`, whose texts hold nothing of an answer."""

    def __init__(self, config: ConjurConfig) -> None:
        self._config = config
        self._url = config.appliance_url.rstrip("/")
        self._client: httpx.AsyncClient | None = None
        self._lock = asyncio.Lock()
        self._places = asyncio.Semaphore(_AT_A_TIME)
        self._token = ""
        self._granted_s = 0.0

    async def get(self, path: str, what: str, query: dict[str, str] | None = None) -> Answer:
        """An answer of 200. ``path``: below the address, each of its parts quoted. ``what``: for errors."""
        answer = await self._once(path, what, query)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            # Revoked before its time, or the server is another one now: one more token, and no more.
            self._token = ""
            answer = await self._once(path, what, query)
        if answer.status_code != httpx.codes.OK:
            raise _refused(self._url, what, answer)
        return answer

    async def login(self) -> None:
        """Get a token, whether or not there is one."""
        async with self._lock:
            await self._grant()

    async def close(self) -> None:
        """Let go of connections and the token."""
        client, self._client, self._token = self._client, None, ""
        if client is not None:
            await client.aclose()

    async def _once(self, path: str, what: str, query: dict[str, str] | None) -> Answer:
        async with self._lock:
            if not self._token or time.monotonic() - self._granted_s > _TOKEN_LIVES_S:
                await self._grant()
            headers = {"Authorization": f'Token token="{self._token}"'}
        return await self._sent("GET", path, what, headers=headers, params=query)

    async def _grant(self) -> None:
        config = self._config
        login = [quote(config.login, safe="")] if config.login else []
        service = [config.service_id] if config.authn_type is not AuthnType.API_KEY else []
        path = "/".join([config.authn_type, *service, config.account, *login, "authenticate"])
        body: dict[str, Any] = {"content": config.api_key.encode()}
        if config.authn_type is AuthnType.JWT:
            body = {"data": {"jwt": await asyncio.to_thread(_jwt, config.jwt_file)}}
        started_s = time.monotonic()
        who = config.login or config.jwt_file
        answer = await self._sent("POST", path, f"login of {who}", **body)
        if answer.status_code in (401, 403, 404):
            raise KeyStorageError(
                f"{self._url} does not let {who} in ({answer.status_code}): correct account, login and apiKey, or "
                "the token of jwtFile; is the authenticator enabled?",
                reason=KeyFailure.AUTHENTICATION,
            )
        if answer.status_code != httpx.codes.OK:
            raise _refused(self._url, "login", answer)
        if not answer.content.lstrip().startswith(b"{"):
            raise malformed(self._url, "login")
        self._token = base64.b64encode(answer.content).decode()
        self._granted_s = started_s

    async def _sent(self, method: str, path: str, what: str, **options: Any) -> Answer:
        attempt = 0
        while True:
            try:
                answer = await self._received(method, path, what, options)
                if answer.status_code not in _BUSY or attempt >= self._config.max_retries:
                    return answer
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as cause:
                fault = self._not_answered(what, cause)
                again = isinstance(cause, httpx.NetworkError | httpx.ConnectTimeout | httpx.RemoteProtocolError)
                if not again or fault.reason is KeyFailure.CERTIFICATE or attempt >= self._config.max_retries:
                    raise fault from None
            # The pauses differ, so that many runners do not come back at one moment.
            await asyncio.sleep(random.uniform(0.5, 1.0) * min(_PAUSE_S * 2**attempt, _MAX_PAUSE_S))  # noqa: S311
            attempt += 1

    async def _received(self, method: str, path: str, what: str, options: dict[str, Any]) -> Answer:
        """One attempt: an answer of bounded size, within the time of one, however slowly it comes."""
        client = await self._opened()
        data = bytearray()
        try:
            async with (
                self._places,
                asyncio.timeout(self._config.attempt_s) as limit,
                client.stream(method, f"{self._url}/{path}", **options) as response,
            ):
                await self._read(response, data, what)
                return Answer(response.status_code, bytes(data), response.headers.get("content-type", ""))
        except TimeoutError:
            if not limit.expired():
                raise
            text = f"its answer had not come to an end after {self._config.attempt_s:g} s. Is it overloaded?"
            raise KeyStorageError(f"{self._url}: {what}: {text}", reason=KeyFailure.TIMEOUT) from None
        finally:
            data.clear()  # a traceback holds this frame as long as anybody has the error

    async def _read(self, response: httpx.Response, data: bytearray, what: str) -> None:
        if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise malformed(self._url, what)  # nobody asked for it, and its size cannot be told
        async for chunk in response.aiter_raw(_CHUNK_BYTES):
            data += chunk
            if len(data) > MAX_ANSWER_BYTES:
                text = f"it answers with more than {MAX_ANSWER_BYTES >> 20} MiB. Is applianceUrl wrong?"
                raise KeyStorageError(f"{self._url}: {what}: {text}", reason=KeyFailure.TOO_LARGE)

    async def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            verify = await asyncio.to_thread(_context, self._config)
            # Another call may have come first, while this one waited.
            self._client = self._client or httpx.AsyncClient(
                verify=verify,
                timeout=httpx.Timeout(self._config.read_timeout, connect=self._config.open_timeout, pool=None),
                # As many as there are places: a call that is cancelled while it waits for a connection would leave
                # its own in the library's line, for ever.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=_AT_A_TIME),
                headers={"Accept-Encoding": "identity"},
            )
        return self._client

    def _not_answered(self, what: str, cause: Exception) -> KeyStorageError:
        why, reason = _why(self._config, cause)
        return KeyStorageError(f"{self._url}: {what}: {why}", reason=reason)


def malformed(url: str, what: str) -> KeyStorageError:
    """The error of an answer that is none of Conjur."""
    why = "the answer is none of Conjur; is a proxy in between, or is applianceUrl wrong?"
    return KeyStorageError(f"{url}: {what}: {why}", reason=KeyFailure.MALFORMED)


def _refused(url: str, what: str, answer: Answer) -> KeyStorageError:
    status = answer.status_code
    why, reason = {
        401: ("the runner is not let in, not with a new token either", KeyFailure.AUTHENTICATION),
        403: ("the runner may not do that: permit it in Conjur's policy", KeyFailure.FORBIDDEN),
        404: ("there is none, it has no value, or the runner may not see it", KeyFailure.NOT_FOUND),
    }.get(status, ("it answers with an error", KeyFailure.FAILED))
    if 300 <= status < 400:
        return malformed(url, what)
    if status in _BUSY:
        why = "it takes no more calls just now, or is not ready, not after several attempts either"
        reason = KeyFailure.SEALED if status == httpx.codes.SERVICE_UNAVAILABLE else KeyFailure.FAILED
    return KeyStorageError(f"{url}: {what}: {why} ({status})", reason=reason)


def _why(config: ConjurConfig, cause: Exception) -> tuple[str, KeyFailure]:
    inner: BaseException | None = cause
    while inner is not None:
        if isinstance(inner, ssl.SSLCertVerificationError):
            said = inner.verify_message.rstrip(".")
            text = (
                f"its certificate is not accepted: {said}. Name the certificates to trust in sslCaCert, or renew it"
            )
            return text, KeyFailure.CERTIFICATE
        inner = inner.__cause__ or inner.__context__
    for kinds, reason, why in _FAULTS:
        if isinstance(cause, kinds):
            return why.format(open_s=config.open_timeout, read_s=config.read_timeout), reason
    return f"the call failed ({type(cause).__name__})", KeyFailure.FAILED


def _context(config: ConjurConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=config.ssl_ca_cert or None)
    if not config.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _jwt(file: str) -> str:
    try:
        return Path(file).read_text("utf-8").strip()
    except (OSError, ValueError) as cause:
        why = cause.strerror if isinstance(cause, OSError) else "no text"
        raise KeyStorageError(f"jwtFile {file} cannot be read: {why}", reason=KeyFailure.CONFIGURATION) from None
