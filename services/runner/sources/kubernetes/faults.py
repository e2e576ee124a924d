"""What is wrong when an API server does not hand out its pods, in words."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import Final

import aiohttp
import msgspec

from runbus.plugin import SourceError, SourceFailure
from services.runner.sources.kubernetes.connection import Connection

CONNECT_WITHIN_S: Final = 30.0
READ_WITHIN_S: Final = 60.0
FAULTS: Final = (aiohttp.ClientError, OSError, ValueError)
"""What asking an API server raises."""
_SHOWN_CHARS: Final = 400
_ANONYMOUS: Final = '"system:anonymous"'


class _Status(msgspec.Struct, frozen=True, kw_only=True):
    """An error of the API (``Status``)."""

    message: str = ""


def refused(connection: Connection, status: int, body: bytes, *, asked: str) -> SourceError:
    """The error of an answer that is none of 2xx; ``asked`` says what for."""
    said = _said(body)
    who = f"the API server {connection.host}"
    heard = f"{who} answered {status} to {asked}" + (f": {said}" if said else "")
    if status == HTTPStatus.UNAUTHORIZED or (status == HTTPStatus.FORBIDDEN and _ANONYMOUS in said):
        return SourceError(_not_let_in(connection, status), reason=SourceFailure.AUTHENTICATION)
    if status == HTTPStatus.FORBIDDEN:
        text = f"{heard}; give it a role that may list pods, or name a namespace where it may"
        return SourceError(text, reason=SourceFailure.REFUSED)
    if status == HTTPStatus.BAD_REQUEST:
        text = f"{heard}; look at field_selector, label_selector and the address"
        return SourceError(text, reason=SourceFailure.CONFIGURATION)
    if status == HTTPStatus.NOT_FOUND:
        return SourceError(f"{heard}; is it an API server?", reason=SourceFailure.REFUSED)
    return SourceError(heard, reason=SourceFailure.REFUSED)


def _not_let_in(connection: Connection, status: int) -> str:
    who = f"the API server {connection.host} ({connection.origin})"
    if connection.authorization or connection.cert_file:
        return f"{who} does not accept the credential ({status}): correct it, or see whether it has expired"
    return f"{who} lets nobody in without a credential ({status}): name a key in token, or a kubeconfig"


def unreachable(connection: Connection, cause: BaseException) -> SourceError:
    """The error of a connection that does not come about, or breaks."""
    where = f"the API server {connection.host} ({connection.origin})"
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        text = f"the name of {where} does not resolve on the runner: correct it"
        return SourceError(text, reason=SourceFailure.UNREACHABLE)
    if (wrong := _tls_fault(cause)) is not None:
        return _untrusted(where, wrong)
    if isinstance(cause, TimeoutError):
        text = f"{where} did not answer within {CONNECT_WITHIN_S:g} s, or was silent for {READ_WITHIN_S:g} s"
        return SourceError(text, reason=SourceFailure.TIMEOUT)
    return SourceError(f"{where} {_why(cause)}", reason=SourceFailure.UNREACHABLE)


def _why(cause: BaseException) -> str:
    """No text of the exception itself: it may hold a proxy's address with its password."""
    if isinstance(cause, aiohttp.ClientHttpProxyError):
        return f"is behind a proxy that answered {cause.status}: look at proxy-url, or the runner's HTTPS_PROXY"
    if isinstance(cause, aiohttp.ClientConnectorError) and not isinstance(cause.os_error, ConnectionResetError):
        return f"cannot be reached ({cause.strerror or 'no reason given'}): is it up?"
    if isinstance(cause, (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, OSError)):
        # Where a server refuses our certificate, asyncio has no more to say of it.
        return "broke the connection off: ask again, and see whether it wants another client certificate"
    return f"does not speak HTTP as expected ({type(cause).__name__}): correct the address"


def unusable(connection: Connection, cause: OSError) -> SourceError:
    """The error of certificates that cannot be loaded."""
    files = ", ".join(file for file in (connection.ca_file, connection.cert_file, connection.key_file) if file)
    why = (cause.reason if isinstance(cause, ssl.SSLError) else cause.strerror) or "not readable"
    return SourceError(
        f"the certificates of {connection.origin} cannot be loaded ({files}: {why}): they have to be PEM, "
        "and a key has to belong to its certificate",
        reason=SourceFailure.CERTIFICATE,
    )


def malformed(connection: Connection, why: str) -> SourceError:
    """The error of an answer that is no list of pods."""
    text = f"{connection.host} answered with something else than a list of pods ({why}): is it an API server?"
    return SourceError(text, reason=SourceFailure.MALFORMED)


def _tls_fault(cause: BaseException) -> ssl.SSLError | None:
    """What went wrong with TLS, if it was that; aiohttp wraps it in errors of the same kind, which say less."""
    for each in (getattr(cause, "certificate_error", None), getattr(cause, "os_error", None), cause):
        if isinstance(each, ssl.SSLError):
            return each
    return None


def _untrusted(where: str, wrong: ssl.SSLError) -> SourceError:
    if isinstance(wrong, ssl.SSLCertVerificationError):
        text = f"the certificate of {where} is not trusted ({wrong.verify_message}): look at ssl_ca_cert, or at"
        return SourceError(f"{text} certificate-authority of the kubeconfig", reason=SourceFailure.CERTIFICATE)
    why = (wrong.reason or "unknown").replace("_", " ").lower()
    if "alert" in why and ("certificate" in why or "unknown ca" in why):
        text = f"{where} does not accept our client certificate, or misses one ({why})"
        return SourceError(text, reason=SourceFailure.AUTHENTICATION)
    return SourceError(f"{where} does not speak TLS as expected ({why})", reason=SourceFailure.UNREACHABLE)


def _said(body: bytes) -> str:
    """The message of an answer; of one that is none of the API its first line."""
    try:
        text = msgspec.json.decode(body, type=_Status).message
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body.decode(errors="replace").strip().partition("\n")[0].strip()
    return text[:_SHOWN_CHARS].strip().removesuffix(".")
