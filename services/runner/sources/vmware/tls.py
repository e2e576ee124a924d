"""What is trusted."""

from __future__ import annotations

import ssl
from pathlib import Path

from runbus.plugin import SourceError, SourceFailure
from services.runner.sources.vmware.config import Query


def context_of(query: Query) -> ssl.SSLContext | None:
    """For the connections; None: they are not encrypted. Raises :class:`SourceError`."""
    if query.address.scheme != "https":
        return None
    if not query.is_verified:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    file = query.config.ssl_ca_cert
    try:
        return ssl.create_default_context(cafile=file or None)
    except ssl.SSLError as cause:
        text = f"ssl-ca-cert: {file} holds no certificates in PEM ({cause.reason or cause})"
        raise SourceError(text, reason=SourceFailure.CONFIGURATION) from None
    except OSError as cause:
        missing = not Path(file).exists()
        reason = SourceFailure.NOT_FOUND if missing else SourceFailure.CONFIGURATION
        raise SourceError(f"ssl-ca-cert: {file} cannot be read: {cause.strerror}", reason=reason) from None
