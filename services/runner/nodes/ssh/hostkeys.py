"""The keys by which hosts are known, and what is done about others."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import asyncssh

from services.runner.nodes.ssh.route import SSH_PORT, HostKeyPolicy, Route

_Stamp = tuple[int, int]


class KnownHosts:
    """Files of known hosts, read again when they have changed."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[_Stamp, asyncssh.SSHKnownHosts]] = {}

    async def load(self, path: Path) -> asyncssh.SSHKnownHosts:
        """What the file holds; nothing where there is none. Raises ``OSError`` and ``ValueError``."""
        stamp = _stamp(path)
        if stamp is None:
            return asyncssh.SSHKnownHosts()
        held = self._read.get(path)
        if held is None or held[0] != stamp:
            text = await asyncio.to_thread(path.read_text)
            held = self._read[path] = (stamp, await asyncio.to_thread(asyncssh.SSHKnownHosts, text))
        return held[1]


class HostKeyCheck:
    """The verdict on one host's key; it keeps what it was asked about, for the text of an error."""

    def __init__(self, route: Route, known: asyncssh.SSHKnownHosts) -> None:
        self._route = route
        self._known = known
        self.offered: asyncssh.SSHKey | None = None
        self.other_is_known = False
        self.problem = ""

    def accepts(self, addr: str, key: asyncssh.SSHKey) -> bool:
        """Asked for a key that is not among the host's known ones."""
        address = self._route.address
        known = self._known.match(address.host, addr, None if address.port == SSH_PORT else address.port)
        self.offered = key
        self.other_is_known = bool(known[0])
        if self._route.policy is not HostKeyPolicy.ACCEPT_NEW or self.other_is_known:
            return False
        try:
            _append(self._route.known_hosts, f"{address.pattern} {key.export_public_key().decode().strip()}\n")
        except OSError as cause:
            self.problem = f"{self._route.known_hosts} cannot be written: {cause.strerror}"
            return False
        return True


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)
