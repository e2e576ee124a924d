"""What went wrong, and what to do about it."""

from __future__ import annotations

import socket
import ssl
from http.client import BadStatusLine, HTTPException, IncompleteRead
from typing import Any, Final

from runbus.plugin import SourceError, SourceFailure
from services.runner.sources.vmware.api import vim, vmodl
from services.runner.sources.vmware.config import Address, Query

_SAID_CHARS: Final = 300


def unreachable(address: Address, cause: OSError, *, within_s: float) -> SourceError:
    """The error of a connection that does not come about."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _error(
            f"the certificate of {address} is not accepted: {cause.verify_message.rstrip('.')}. Name the "
            "certificates to trust in ssl-ca-cert, renew it, or say ignore-ssl=true",
            SourceFailure.CERTIFICATE,
        )
    if isinstance(cause, ssl.SSLError):
        return _error(f"{address} does not speak TLS as it should ({cause.reason or cause}). Correct url")
    if isinstance(cause, socket.gaierror):
        return _error(f"{address}: the name does not resolve on the runner ({cause.strerror}). Correct url")
    if isinstance(cause, TimeoutError):
        return _error(f"{address} takes no connection within {within_s:g} s. Correct url; is it up?")
    return _error(f"{address} cannot be reached: {cause.strerror or cause}. Correct url; is it up?")


def refused_login(query: Query, fault: Any) -> SourceError:
    """The error of a login that is not granted."""
    why = "" if isinstance(fault, vim.fault.InvalidLogin) else f" ({_said(fault)})"
    setting = "password-storage-path" if query.config.password_storage_path else "password"
    return _error(
        f"{query.address} does not let {query.config.username} in{why}. Correct username, and the key that "
        f"{setting} names",
        SourceFailure.AUTHENTICATION,
    )


def failed(address: Address, cause: BaseException, *, within_s: float) -> SourceError:
    """The error of a call that fails. ``within_s``: what a silent server was given."""
    if isinstance(cause, TimeoutError):
        text = f"{address} was silent for {within_s:g} s after a question. Is it overloaded? Ask again later"
        return _error(text, SourceFailure.TIMEOUT)
    if isinstance(cause, (OSError, IncompleteRead)):
        return _error(f"{address} broke off before it had answered ({_name(cause)}). Is it up? Ask again")
    if isinstance(cause, HTTPException) and not isinstance(cause, BadStatusLine):
        text = f"{address} answered {str(cause)[:_SAID_CHARS]}. Is that a vCenter or an ESXi host, and is it up?"
        return _error(text, SourceFailure.REFUSED)
    return not_the_api(address, type(cause).__name__)


def not_the_api(address: Address, why: str) -> SourceError:
    """The error of an answer that is none."""
    return _error(f"what {address} answers is not the vSphere API ({why}). Correct url", SourceFailure.MALFORMED)


def refused(address: Address, fault: Any) -> SourceError:
    """The error of a call that the server answers with a fault."""
    if isinstance(fault, vmodl.query.InvalidProperty):
        text = f"{address}: virtual machines have no {fault.name}. Correct mapping and tags"
        return _error(text, SourceFailure.CONFIGURATION)
    if isinstance(fault, vim.fault.NotAuthenticated):
        text = f"{address} ended the session before everything was read. Ask again"
        return _error(text, SourceFailure.REFUSED)
    return _error(f"{address} answered with the fault {_said(fault)}", SourceFailure.REFUSED)


def _said(fault: Any) -> str:
    name = type(fault).__name__.rpartition(".")[2]
    said = " ".join(str(fault.msg or "").split())[:_SAID_CHARS].rstrip(".")
    return f"{name}: {said}" if said else name


def _name(cause: BaseException) -> str:
    return (cause.strerror if isinstance(cause, OSError) else None) or type(cause).__name__


def _error(text: str, reason: SourceFailure = SourceFailure.UNREACHABLE) -> SourceError:
    return SourceError(text, reason=reason)
