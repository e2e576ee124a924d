"""Connections to Docker engines, and what is wrong when they fail."""

from __future__ import annotations

import asyncio
import ssl
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiodocker
import aiohttp

from runbus.plugin import FailureReason, StepError
from services.runner.nodes.docker.place import Engine, Place

CONNECT_WITHIN_S: Final = 30.0
FAULTS: Final = (aiodocker.DockerError, aiohttp.ClientError, OSError)
"""What using an engine raises."""
_NO_CONNECTION: Final = 900
"""aiodocker's own status where there was no answer at all."""


class Engines:
    """One client for each engine."""

    def __init__(self) -> None:
        self._clients: dict[Engine, aiodocker.Docker] = {}

    async def client(self, engine: Engine) -> aiodocker.Docker:
        """Raises ``OSError`` where its certificates cannot be read."""
        if engine not in self._clients:
            context = None if engine.cert_path is None else await asyncio.to_thread(_tls, engine)
            url = engine.host if context is None else engine.host.replace("tcp://", "https://", 1)
            timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_WITHIN_S, sock_connect=CONNECT_WITHIN_S)
            if engine not in self._clients:
                self._clients[engine] = aiodocker.Docker(url=url, ssl_context=context, timeout=timeout)
        return self._clients[engine]

    async def close(self) -> None:
        """Close them all."""
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.close()


def _tls(engine: Engine) -> ssl.SSLContext:
    directory = Path(engine.cert_path or "")
    authority = directory / "ca.pem"
    context = ssl.create_default_context(cafile=str(authority) if authority.exists() else None)
    if not engine.is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if (directory / "cert.pem").exists():
        context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context


def failed(node: str, place: Place, cause: BaseException) -> StepError:
    """The error of an engine that cannot be used, or of a container that is not there."""
    if isinstance(cause, aiodocker.DockerError) and cause.status == _NO_CONNECTION:
        cause = cause.__context__ or cause
    reason, text = _answered(cause) if isinstance(cause, aiodocker.DockerError) else _unreachable(cause)
    return StepError(f"Node {node} ({place}): {text}", reason=reason)


def _answered(cause: aiodocker.DockerError) -> tuple[FailureReason, str]:
    if cause.status == HTTPStatus.NOT_FOUND:
        return FailureReason.HOST_NOT_FOUND, f"the engine does not have it ({cause.message}). Correct docker:Id."
    if cause.status == HTTPStatus.CONFLICT:
        return FailureReason.CONNECTION_FAILURE, f"it does not run ({cause.message}). Start it."
    return FailureReason.UNKNOWN, f"the engine answered {cause.status}: {cause.message}."


def _unreachable(cause: BaseException) -> tuple[FailureReason, str]:
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return FailureReason.HOST_NOT_FOUND, "the engine's name does not resolve on the runner. Correct docker-host."
    if isinstance(cause, (aiohttp.ClientSSLError, ssl.SSLError)):
        return FailureReason.AUTHENTICATION, f"TLS failed ({cause}). Look at docker-cert-path and docker-tls-verify."
    if isinstance(cause, TimeoutError):
        return FailureReason.CONNECTION_TIMEOUT, f"the engine did not answer within {CONNECT_WITHIN_S:g} s."
    if isinstance(cause, PermissionError) or isinstance(getattr(cause, "os_error", None), PermissionError):
        return FailureReason.CONNECTION_FAILURE, (
            "the runner's user may not use the engine's socket. Add it to the group docker, or correct docker-host."
        )
    return FailureReason.CONNECTION_FAILURE, f"the engine cannot be reached ({cause}). Is it up? Correct docker-host."
