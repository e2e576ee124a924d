"""Certificates for the stand-in of Vault."""

from __future__ import annotations

import ssl

from tests.support.kubecerts import Authority


def server_context(authority: Authority, *, is_expired: bool = False, is_asking: bool = False) -> ssl.SSLContext:
    """Of a server at 127.0.0.1; ``is_asking``: it lets nobody in without a certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server(is_expired=is_expired))
    if is_asking:
        context.load_verify_locations(authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
