"""Where an SSH connection leads, and how it is made: what makes two of them the same."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

SSH_PORT: Final = 22
_BRACKETED: Final = re.compile(r"\[([^\[\]]+)\](?::(.*))?")


@dataclass(frozen=True, slots=True)
class Address:
    """A host's name or IP address, and a port."""

    host: str
    port: int = SSH_PORT

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def pattern(self) -> str:
        """How ``known_hosts`` writes it."""
        return self.host if self.port == SSH_PORT else f"[{self.host}]:{self.port}"


def parse_address(text: str, *, default_port: int = SSH_PORT) -> tuple[str | None, Address]:
    """The user, if any, and the address in ``[user@]host[:port]``; IPv6 as ``::1`` or ``[::1]:22``.

    Raises ``ValueError`` with the reason.
    """
    user, at, place = text.strip().rpartition("@")
    if at and not user:
        raise ValueError("there is nothing before the @")
    if bracketed := _BRACKETED.fullmatch(place):
        host, port = bracketed[1], bracketed[2]
    elif place.count(":") > 1:
        host, port = place, None
    else:
        host, colon, after = place.partition(":")
        port = after if colon else None
    if not host or any(character.isspace() or character in "[]" for character in host):
        raise ValueError("there is no host's name")
    return user or None, Address(host, default_port if port is None else _port(port))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536):
        raise ValueError(f"the port {text!r} is no number from 1 to 65535")
    return int(text)


class HostKeyPolicy(StrEnum):
    """What is done about a host's key (``ssh-host-key-policy``)."""

    STRICT = "strict"
    """It has to be known."""
    ACCEPT_NEW = "accept-new"
    """The key of a host that has none yet is added; another one than the known is refused."""
    OFF = "off"
    """Any is taken, as the original does. Whoever stands between sees everything."""


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key in a file, or as text."""

    path: str = ""
    text: str = field(default="", repr=False)
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in, and with what. Without ``password`` and ``key``: with the agent's keys and the user's own."""

    user: str
    password: str | None = field(default=None, repr=False)
    key: PrivateKey | None = None
    agent: str | None = None
    """The socket of an SSH agent."""


@dataclass(frozen=True, slots=True)
class Route:
    """Everything that tells one connection from another. Equal routes share connections."""

    address: Address
    login: Login
    policy: HostKeyPolicy
    known_hosts: Path
    via: Route | None = None
    """The jump host through which it goes."""
    local_ip: str | None = None
    connect_timeout_s: float = 30.0
    keepalive_s: float = 15.0
    keepalive_count: int = 3

    def __str__(self) -> str:
        return f"{self.address} as {self.login.user}"
