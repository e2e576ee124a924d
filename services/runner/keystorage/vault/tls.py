"""Which certificates are trusted, and with which one the runner shows who it is."""

from __future__ import annotations

import ssl

from runbus.plugin import KeyFailure, KeyStorageError
from services.runner.keystorage.vault.config import AuthBackend, VaultConfig


def context_of(config: VaultConfig) -> ssl.SSLContext | None:
    """For connections to Vault; None: without TLS. Raises :class:`KeyStorageError` (CONFIGURATION)."""
    named = (config.client_pem_file, config.client_key_pem_file)
    if not (config.address.startswith("https:") or config.pem_file or any(named)):
        return None
    context = _trusting(config)
    if not config.validate_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if any(named) or config.auth_backend is AuthBackend.CERT:
        _show(context, named)
    return context


def _trusting(config: VaultConfig) -> ssl.SSLContext:
    """Without a file of one's own the machine's store is trusted: companies add their authorities there."""
    try:
        return ssl.create_default_context(cafile=config.pem_file or None)
    except OSError as cause:
        why = cause.strerror or type(cause).__name__
    raise _error(f"pemFile {config.pem_file} cannot be used ({why}): name a file of certificates in PEM form")


def _show(context: ssl.SSLContext, named: tuple[str, str]) -> None:
    try:
        # A key with a passphrase is refused here; OpenSSL would otherwise ask for it on the terminal.
        context.load_cert_chain(*named, password=lambda: b"")
    except (OSError, ValueError) as cause:
        why = (cause.strerror if isinstance(cause, OSError) else None) or type(cause).__name__
    else:
        return
    text = f"clientPemFile {named[0]} with clientKeyPemFile {named[1]} cannot be used ({why}): they must be there"
    raise _error(f"{text}, fit each other, be in PEM form and without a passphrase")


def _error(text: str) -> KeyStorageError:
    return KeyStorageError(f"Vault's settings: {text}", reason=KeyFailure.CONFIGURATION)
