"""A stand-in for Vault, for the faults that a real one cannot be told to show. It is not Vault.

It answers the calls that ``services/runner/keystorage/vault`` makes, on loopback, by TLS where it is given a context.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from services.runner.keystorage.vault.config import VaultConfig
from tests.support.vaultengine import VaultState

_HTML = b"<html><body>Please log in at the portal. hvs.do-not-repeat-me</body></html>"


class Call(NamedTuple):
    """A request as it came; ``path`` is decoded, from ``/v1/`` on."""

    method: str
    path: str
    raw: str
    token: str
    namespace: str


class VaultStandIn:
    """One server. ``state`` is what it knows; the other attributes are the faults it shows."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.state = VaultState()
        self.calls: list[Call] = []
        self.connections = 0
        self.at_once_most = 0
        self.delay_s = 0.0
        self.is_sealed = False
        self.html_status = 0
        """Every answer is a page of HTML with this status; 0: none."""
        self.raw = b""
        """Every answer is a 200 with this body; empty: it is Vault's."""
        self.next_statuses: list[int] = []
        """What the next calls are answered with, before anything else."""
        self.drops = 0
        """How many of the next calls are broken off without an answer."""
        self.redirect_to = ""
        self.padding_bytes = 0
        self.drip_s = 0.0
        """Between two bytes of an answer that then never ends."""
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        if tls is not None:
            # The handshake in the connection's own thread, where a failing one harms nobody.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.address = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def config(self, **settings: str) -> VaultConfig:
        """Settings as the runner hands them over, by their own names, all texts; retries come at once."""
        given = {"address": self.address, "token": "root-token", "retryIntervalMilliseconds": "5"}
        return msgspec.convert({**given, **settings}, VaultConfig, strict=False)

    def paths(self, method: str | None = None) -> list[str]:
        """What was called so far, logins and looks at the token left out."""
        seen = [call for call in self.calls if not call.path.startswith(("auth/", "sys/"))]
        return [call.path for call in seen if method in (None, call.method)]

    def count(self, path: str) -> int:
        """How often a path was called."""
        return sum(call.path == path for call in self.calls)

    def stop(self) -> None:
        """Close it, and every connection."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, call: Call, body: dict[str, Any]) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and more headers."""
        with self._lock:
            self.calls.append(call)
            self._at_once += 1
            self.at_once_most = max(self.at_once_most, self._at_once)
            forced = self.next_statuses.pop(0) if self.next_statuses else 0
        try:
            if self.delay_s:
                time.sleep(self.delay_s)
            return self._answer(call, body, forced)
        finally:
            with self._lock:
                self._at_once -= 1

    def _answer(self, call: Call, body: dict[str, Any], forced: int) -> tuple[int, bytes, dict[str, str]]:
        if self.redirect_to:
            return 307, b"", {"Location": f"{self.redirect_to}/v1/{call.path}"}
        if self.html_status:
            return self.html_status, _HTML, {"Content-Type": "text/html"}
        if self.raw:
            return 200, self.raw, {}
        if forced:
            return forced, json.dumps({"errors": ["hvs.do-not-repeat-me"]}).encode(), {}
        if self.is_sealed:
            return 503, json.dumps({"errors": ["Vault is sealed"]}).encode(), {}
        with self._lock:
            status, said = self.state.answer(call.method, call.path, call.token, body)
        return status, (json.dumps(said).encode() + b" " * self.padding_bytes if said else b""), {}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that fail are what the tests are about."""


def _handler(stand_in: VaultStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            stand_in.connections += 1

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it)
            pass

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else {}
            is_list = "list" in parse_qs(url.query)
            call = Call(
                "LIST" if is_list else self.command,
                unquote(url.path).removeprefix("/v1/"),
                url.path,
                self.headers.get("X-Vault-Token", ""),
                self.headers.get("X-Vault-Namespace", ""),
            )
            if stand_in.drops:
                stand_in.drops -= 1
                self.close_connection = True
                return
            status, data, more = stand_in.answer(call, body or {})
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **more}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if stand_in.drip_s:
                for at in range(len(data)):
                    self.wfile.write(data[at : at + 1])
                    time.sleep(stand_in.drip_s)
                return
            self.wfile.write(data)

        do_POST = do_PUT = do_LIST = do_GET  # noqa: N815  (the base class names them)

    return Handler


@contextmanager
def vault_stand_in(tls: ssl.SSLContext | None = None) -> Iterator[VaultStandIn]:
    """A stand-in that ends with the context."""
    server = VaultStandIn(tls)
    try:
        yield server
    finally:
        server.stop()
