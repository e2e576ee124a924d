"""What is wrong where an engine cannot be asked."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import aiodocker
import aiohttp

from runbus.plugin import SourceError, SourceFailure
from services.runner.nodes.docker.client import CONNECT_WITHIN_S
from services.runner.nodes.docker.place import Engine

UNFIT: Final = (ValueError, TypeError, LookupError, AttributeError)
"""What aiodocker raises where an answer is none of an engine's: not JSON, or other JSON."""
_SHOWN_CHARS: Final = 300
_NO_CONNECTION: Final = 900
"""aiodocker's own status where there was no answer at all."""
_BROKEN_OFF: Final = (
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientPayloadError,
    ConnectionResetError,
    ConnectionAbortedError,
    BrokenPipeError,
)
_OUR_CERTIFICATE: Final = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE", "ACCESS_DENIED")
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")


def failed(engine: Engine, cause: BaseException) -> SourceError:
    """The error of an engine that did not answer, or not as it should."""
    where = f"the engine at {engine.host}"
    if isinstance(cause, aiodocker.DockerError) and cause.status != _NO_CONNECTION:
        return _answered(where, cause)
    if isinstance(cause, (aiodocker.DockerError, aiohttp.ClientError, OSError)):
        return _unreached(where, list(_chain(cause)) or [cause])
    return SourceError(
        f"what answers at {engine.host} is no Docker engine, or answers in a form that is not known "
        f"({type(cause).__name__}: {_short(str(cause))}). Correct docker-host",
        reason=SourceFailure.MALFORMED,
    )


def unreadable(engine: Engine, cause: Exception) -> SourceError:
    """The error of certificates that cannot be used."""
    reason = SourceFailure.NOT_FOUND if isinstance(cause, FileNotFoundError) else SourceFailure.CONFIGURATION
    return SourceError(
        f"ca.pem, cert.pem or key.pem of docker-cert-path {engine.cert_path} cannot be used: {cause}", reason=reason
    )


def _answered(where: str, cause: aiodocker.DockerError) -> SourceError:
    if cause.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        text = f"{where} does not let the runner in ({cause.status}: {_short(cause.message)})"
        return SourceError(text, reason=SourceFailure.AUTHENTICATION)
    hint = "; it speaks TLS: set docker-cert-path" if "HTTPS server" in cause.message else ""
    return SourceError(
        f"{where} answered {cause.status}: {_short(cause.message)}{hint}", reason=SourceFailure.REFUSED
    )


def _unreached(where: str, causes: list[BaseException]) -> SourceError:
    first = getattr(causes[-1], "strerror", None) or str(causes[-1]) or type(causes[-1]).__name__
    if any(isinstance(cause, aiohttp.ClientConnectorDNSError) for cause in causes):
        return _unreachable(f"the name of {where} does not resolve on the runner. Correct docker-host")
    for cause in causes:
        if isinstance(cause, aiohttp.ClientConnectorCertificateError):
            said = getattr(cause.certificate_error, "verify_message", "") or cause.certificate_error
            return SourceError(
                f"{where} has a certificate that is not trusted ({said}). Renew it, put the authority that signed it "
                "into ca.pem of docker-cert-path, or set docker-tls-verify=false",
                reason=SourceFailure.CERTIFICATE,
            )
    said = " ".join(str(cause).upper().replace(" ", "_") for cause in causes)
    if "ALERT" in said and any(word in said for word in _OUR_CERTIFICATE):
        return SourceError(
            f"{where} refused the runner's certificate, or asks for one ({first}). Look at cert.pem and key.pem of "
            "docker-cert-path",
            reason=SourceFailure.AUTHENTICATION,
        )
    if any(isinstance(cause, (aiohttp.ClientSSLError, ssl.SSLError)) for cause in causes):
        if any(word in said for word in _NO_TLS):
            text = f"{where} does not speak TLS ({first}). Correct docker-host, or leave docker-cert-path away"
            return SourceError(text, reason=SourceFailure.CONFIGURATION)
        return SourceError(f"TLS with {where} failed ({first})", reason=SourceFailure.CERTIFICATE)
    return _unconnected(where, causes, first)


def _unconnected(where: str, causes: list[BaseException], first: str) -> SourceError:
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return _unreachable(f"{where} did not answer within {CONNECT_WITHIN_S:g} s. Is it up? Correct docker-host")
    if any(isinstance(cause, PermissionError) for cause in causes):
        return SourceError(
            "the runner's user may not use the socket of " + where + ". Add it to the group docker",
            reason=SourceFailure.AUTHENTICATION,
        )
    if any(isinstance(cause, _BROKEN_OFF) for cause in causes):
        return _unreachable(f"{where} broke off while it was asked ({first}). Is it up?")
    return _unreachable(f"{where} cannot be reached ({first}). Is it up? Correct docker-host")


def _unreachable(text: str) -> SourceError:
    return SourceError(text, reason=SourceFailure.UNREACHABLE)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 3] + "..."


def _chain(cause: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, down to the system's."""
    seen: BaseException | None = cause
    while seen is not None:
        if not isinstance(seen, aiodocker.DockerError):
            yield seen
        seen = getattr(seen, "os_error", None) or seen.__cause__ or seen.__context__
