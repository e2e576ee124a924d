"""Making one SSH connection."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import asyncssh

from services.runner.nodes.ssh.failures import ConnectError, UnusableKeyError
from services.runner.nodes.ssh.hostkeys import HostKeyCheck, KnownHosts
from services.runner.nodes.ssh.route import HostKeyPolicy, Login, PrivateKey, Route

_MAX_KEYS: Final = 64
_WINDOW_BYTES: Final = 1024 * 1024
"""What a server may send of one command's output while the log takes no more."""


class Client(asyncssh.SSHClient):
    """The callbacks of one connection."""

    def __init__(self, check: HostKeyCheck | None) -> None:
        self._check = check
        self.on_lost: Callable[[], None] | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        """Asked for a key that is not known."""
        return self._check is not None and self._check.accepts(addr, key)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """It ended, whoever ended it."""
        if self.on_lost is not None:
            self.on_lost()


class Opener:
    """Makes connections; keeps the keys and known hosts that it has read."""

    def __init__(self) -> None:
        self._known_hosts = KnownHosts()
        self._keys: dict[bytes, asyncssh.SSHKey] = {}
        # Its records hold commands and, one level down, the environment.
        logging.getLogger("asyncssh").setLevel(logging.WARNING)

    async def open(
        self, route: Route, tunnel: asyncssh.SSHClientConnection | None
    ) -> tuple[asyncssh.SSHClientConnection, Client]:
        """Connect and log in. Raises :class:`ConnectError` with what asyncssh or the system raised."""
        check: HostKeyCheck | None = None
        try:
            async with asyncio.timeout(route.connect_timeout_s):
                known: asyncssh.SSHKnownHosts | None = None
                if route.policy is not HostKeyPolicy.OFF:
                    known = await self._known_hosts.load(route.known_hosts)
                    check = HostKeyCheck(route, known)
                client = Client(check)
                connection = await asyncssh.connect(
                    route.address.host,
                    route.address.port,
                    tunnel=tunnel or (),
                    known_hosts=known,
                    client_factory=lambda: client,
                    **_FIXED,
                    **_of_route(route),
                    **await self._of_login(route.login),
                )
        except (asyncssh.Error, OSError, ValueError, UnusableKeyError) as cause:
            raise ConnectError(route, cause, check) from cause
        return connection, client

    async def _of_login(self, login: Login) -> dict[str, Any]:
        if login.password is not None:
            return {
                "password": login.password,
                "client_keys": None,
                "preferred_auth": ("password", "keyboard-interactive"),
            }
        if login.key is None:
            return {"agent_path": login.agent or "", "preferred_auth": ("publickey",)}
        return {
            "client_keys": [await self._key(login.key)],
            "agent_path": "",
            "preferred_auth": ("publickey",),
        }

    async def _key(self, source: PrivateKey) -> Any:
        """The key, parsed once; with the certificate beside its file, if there is one."""
        try:
            text = source.text or await asyncio.to_thread(Path(source.path).read_text)
        except (OSError, UnicodeDecodeError) as cause:
            reason = cause.strerror if isinstance(cause, OSError) else "it is no text"
            raise UnusableKeyError(
                f"the private key {source.path} cannot be read on the runner ({reason}); correct ssh-keypath, or let "
                "the runner's user read the file"
            ) from cause
        held = hashlib.sha256(f"{source.passphrase}\0{text}".encode()).digest()
        if held not in self._keys:
            if len(self._keys) >= _MAX_KEYS:
                self._keys.clear()
            self._keys[held] = await asyncio.to_thread(_parsed, source, text)
        certificate = Path(f"{source.path}-cert.pub")
        if source.path and certificate.is_file():  # noqa: ASYNC240  (one look beside a connect)
            return self._keys[held], str(certificate)
        return self._keys[held]


_FIXED: Final[dict[str, Any]] = {
    "config": None,  # neither does the original read ~/.ssh/config
    "gss_host": None,
    "x509_trusted_certs": None,
    "x509_trusted_cert_paths": [],
    "x11_forwarding": False,
    "request_pty": False,
    "encoding": None,
    "window": _WINDOW_BYTES,
}


def _of_route(route: Route) -> dict[str, Any]:
    return {
        "username": route.login.user,
        "keepalive_interval": route.keepalive_s,
        "keepalive_count_max": route.keepalive_count,
        "local_addr": (route.local_ip, 0) if route.local_ip else (),
    }


def _parsed(source: PrivateKey, text: str) -> asyncssh.SSHKey:
    named = f"the private key {source.path}" if source.path else "the private key that ssh-key-storage-path names"
    try:
        return asyncssh.import_private_key(text, source.passphrase)
    except asyncssh.KeyEncryptionError as cause:
        if "bcrypt" in str(cause):
            raise UnusableKeyError(
                f"{named} is encrypted in a way that needs the package bcrypt; install it beside the runner"
            ) from cause
        raise UnusableKeyError(
            f"{named} needs another passphrase; correct ssh-key-passphrase-storage-path"
        ) from cause
    except asyncssh.KeyImportError as cause:
        if "passphrase" in str(cause).lower():
            raise UnusableKeyError(
                f"{named} is encrypted and no passphrase is set; set ssh-key-passphrase-storage-path"
            ) from cause
        means = "" if source.passphrase is None else " with the passphrase that is set"
        raise UnusableKeyError(f"{named} is none that can be read{means}; give one in OpenSSH or PEM form") from cause
