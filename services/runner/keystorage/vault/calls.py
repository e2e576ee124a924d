"""One call to Vault, on connections that stay open. Runs in a thread.

What goes wrong is returned, not raised: so no exception with a request in it stands behind the error of a caller.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import hvac.adapters  # type: ignore[import-untyped]
import msgspec
import urllib3

from services.runner.keystorage.answers import MAX_BYTES, AnswerTooLargeError, AnswerTooSlowError, body_of, watched
from services.runner.keystorage.threads import current
from services.runner.keystorage.vault.config import VaultConfig
from services.runner.keystorage.vault.faults import Fault, astray, fault_of, too_large, too_slow
from services.runner.keystorage.vault.tls import context_of

AT_ONCE: Final = 20
_MOVES: Final = 2
_FOLLOWED: Final = (HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT)
_PASSING: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.PRECONDITION_FAILED)


class Answer(msgspec.Struct, frozen=True):
    """What Vault answered. ``body`` is None where it is no JSON object: then it was not Vault."""

    status: int
    body: dict[str, Any] | None

    @property
    def is_passing(self) -> bool:
        """Whether the same call may be answered otherwise a moment later."""
        return self.status in _PASSING or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    def says(self, text: str) -> bool:
        """Whether its errors or warnings have these words. They are looked into and never passed on."""
        body = self.body or {}
        return any(text in str(said) for said in (*(body.get("errors") or ()), *(body.get("warnings") or ())))

    def __repr__(self) -> str:
        return f"Answer({self.status})"


class Http:
    """The connections to one Vault. Raises :class:`KeyStorageError` (CONFIGURATION) where TLS is set up wrongly.

    It follows no environment variable (``VAULT_TOKEN``, ``HTTPS_PROXY``), and no file of the user's (``.netrc``).
    """

    def __init__(self, config: VaultConfig) -> None:
        self._config = config
        context = context_of(config)
        self._pools = urllib3.PoolManager(num_pools=4, maxsize=AT_ONCE, ssl_context=context, retries=False)
        self._pools.pool_classes_by_scheme = {
            "http": watched(urllib3.HTTPConnectionPool), "https": watched(urllib3.HTTPSConnectionPool),
        }  # fmt: skip
        self._timeout = urllib3.Timeout(connect=config.open_timeout_s, read=config.read_timeout_s)
        if not config.validate_ssl:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def send(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Answer | Fault:
        """Make a call. A standby node sends it to the active one; nothing else is followed."""
        until_s = time.monotonic() + self._config.attempt_s
        target = self._config.address.rstrip("/") + url
        response: urllib3.BaseHTTPResponse | None = None
        try:
            for _ in range(_MOVES + 1):
                response = self._pools.urlopen(
                    method, target, redirect=False, headers=headers, body=body, timeout=self._timeout,
                    preload_content=False,
                )  # fmt: skip
                answer = _answer(response.status, body_of(response, until_s, decode=True))
                moved = _moved(target, response)
                if moved is None:
                    return answer
                target = moved
        except AnswerTooLargeError:
            return too_large(self._config, MAX_BYTES)
        except AnswerTooSlowError:
            return too_slow(self._config)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as cause:
            if response is not None:
                response.close()
            return fault_of(cause, self._config)
        finally:
            if (call := current()) is not None:
                call.unwatch()
        return astray(self._config)

    def close(self) -> None:
        """Close the connections."""
        self._pools.clear()


class Adapter(hvac.adapters.Adapter):  # type: ignore[misc]
    """Carries hvac's calls over :class:`Http`; each returns an :class:`Answer`, or a :class:`Fault`."""

    def __init__(self, http: Http, *, token: str = "", namespace: str = "") -> None:
        super().__init__(token=token, namespace=namespace)
        self._http = http
        headers = {"X-Vault-Request": "true", "X-Vault-Token": token, "X-Vault-Namespace": namespace}
        self._headers = {name: value for name, value in headers.items() if value}

    def __repr__(self) -> str:
        return f"Adapter(namespace={self.namespace!r})"

    def request(self, method: str, url: str, *_: Any, json: Any = None, **__: Any) -> Answer | Fault:
        """Make a call. Listing is a GET: proxies know no LIST."""
        if method == "list":
            method, url = "get", f"{url}?list=true"
        body = None if json is None else msgspec.json.encode(json)
        return self._http.send(method.upper(), url, self._headers, body)

    def get_login_token(self, response: Answer | Fault) -> str:
        """The token of a login; empty: there is none."""
        auth = (response.body or {}).get("auth") if isinstance(response, Answer) else None
        return str(auth.get("client_token") or "") if isinstance(auth, dict) else ""


def _answer(status: int, data: bytes) -> Answer:
    try:
        body = msgspec.json.decode(data) if data else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = None
    return Answer(status, body if isinstance(body, dict) else None)


def _moved(target: str, response: urllib3.BaseHTTPResponse) -> str | None:
    """Where a node sends a call; None: nowhere, or where the token would go unprotected."""
    location = response.headers.get("Location")
    if location is None or response.status not in _FOLLOWED:
        return None
    moved = urljoin(target, location)
    is_worse = urlsplit(target).scheme == "https" and urlsplit(moved).scheme != "https"
    return None if is_worse else moved
