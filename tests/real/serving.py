"""Something on loopback that answers HTTP as a test says, by TLS or without."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
_ADDRESS = "127.0.0.1"


@asynccontextmanager
async def served(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Answer every request; yields the address as ``tcp://127.0.0.1:PORT``."""
    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, _ADDRESS, 0, ssl_context=tls)
    await site.start()
    try:
        yield f"tcp://{_ADDRESS}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Authority:
    """Signs certificates for loopback; each lies in a directory as Docker has them: ca.pem, cert.pem, key.pem."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, directory.name)])
        self._certificate = self._signed(self._name, self._key, days_left=10, is_authority=True)

    def issue(self, name: str, *, days_left: int = 10, address: str = _ADDRESS) -> Path:
        """A directory with a key, its certificate, and the authority's."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._signed(subject, key, days_left=days_left, address=address)
        directory = self._directory / name
        directory.mkdir(parents=True)
        pem = serialization.Encoding.PEM
        (directory / "ca.pem").write_bytes(self._certificate.public_bytes(pem))
        (directory / "cert.pem").write_bytes(certificate.public_bytes(pem))
        plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (directory / "key.pem").write_bytes(key.private_bytes(pem, *plain))
        return directory

    def server(
        self, name: str, *, days_left: int = 10, address: str = _ADDRESS, is_asking: bool = False
    ) -> ssl.SSLContext:
        """For a server with a certificate of its own; ``is_asking``: it wants one of its clients, too."""
        directory = self.issue(name, days_left=days_left, address=address)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(directory / "ca.pem"))
        context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
        if is_asking:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days_left: int, address: str = _ADDRESS,
        is_authority: bool = False,
    ) -> x509.Certificate:  # fmt: skip
        end = datetime.now(UTC) + timedelta(days=days_left)
        names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(address))])
        return (
            x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(end - timedelta(days=365))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
