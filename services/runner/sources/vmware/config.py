"""The settings of the VMware source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import msgspec

from domain.discovery.mapping import Rules, SettingError
from runbus.plugin import SourceError, SourceFailure
from services.runner.sources.vmware.paths import GROUPS

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_DEFAULT_PATH: Final = "/sdk"


class VmwareConfig(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """The original's source is not open: its labels are known, the names of the settings are ours."""

    url: str
    """Of the vCenter or the ESXi host: ``https://vcenter.example.com``. Without a path ``/sdk``, without a scheme
    HTTPS."""
    username: str
    password: str = ""
    """The key that holds the password (``keys/vmware/password``)."""
    password_storage_path: str = ""
    """The same by another name; it holds over ``password``."""
    mapping: str = ""
    """``ATTR.selector=vm.name,vm.dataCenter``, ``ATTR.default=…``, ``ATTR.<unix>.default=…``,
    ``tags.selector=guest.guestState``: see :mod:`domain.discovery.mapping`. It may name every attribute that the
    source sets, and every single value that the vSphere API has of a VirtualMachine below ``guest``, ``config``,
    ``runtime`` and ``summary``, whatever ``attribute-groups`` says."""
    attributes: str = ""
    """Attributes of every node: ``username=root ssh-port=22``."""
    tags: str = ""
    """Tags of every node, separated by commas; ``tag.selector=vm.cluster`` is one, too."""
    running: bool = False
    """Only machines that are powered on."""
    datacenter: str = ""
    """Only machines of this datacenter, by its name or its path (``/Europe/DC1``)."""
    ip_selector: str = ""
    """Which of a guest's addresses is the node's ``hostname``: ``192.168.0.*``; several patterns, separated by
    commas, in this order. None: the address that the guest's tools report first."""
    attribute_groups: str = "guest,config,runtime"
    """Which of ``guest``, ``config``, ``runtime``, ``summary`` become attributes; or ``none``. ``summary`` repeats
    much of the others, and has figures of the moment: with it nodes differ at every discovery."""
    verify_ssl: bool = True
    """Whether the server's certificate has to be valid and to be trusted."""
    ignore_ssl: bool = False
    """The original's label for the opposite: true and ``verify-ssl=false`` are the same."""
    ssl_ca_cert: str = ""
    """A file on the runner with the certificates (PEM) that are trusted instead of the system's."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the API is."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if _DEFAULT_PORTS[self.scheme] == self.port else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


@dataclass(frozen=True, slots=True)
class Query:
    """The settings, read and checked."""

    config: VmwareConfig = field(repr=False)
    address: Address
    password: str = field(repr=False)
    rules: Rules
    groups: frozenset[str]
    """Those that become attributes."""
    named: frozenset[str]
    """Facts that ``mapping`` and ``tags`` name."""
    ip_patterns: tuple[str, ...]

    @property
    def is_verified(self) -> bool:
        """Whether the server's certificate is checked."""
        return self.config.verify_ssl and not self.config.ignore_ssl


def query_of(config: VmwareConfig) -> Query:
    """Raises :class:`SourceError` (``configuration``)."""
    password = config.password_storage_path or config.password
    if not password:
        raise _wrong("there is no password: say password-storage-path=keys/..., a key of the runner's key storage")
    try:
        rules = Rules.parse(mapping=config.mapping, attributes=config.attributes, tags=config.tags)
    except SettingError as cause:
        raise _wrong(str(cause)) from None
    return Query(
        config=config,
        address=_address(config.url),
        password=password,
        rules=rules,
        groups=_groups(config.attribute_groups),
        named=rules.facts(),
        ip_patterns=tuple(_listed(config.ip_selector)),
    )


def _address(url: str) -> Address:
    try:
        parts = urlsplit(url.strip() if "://" in url else f"https://{url.strip()}")
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in _DEFAULT_PORTS:
        raise _wrong("url is not an address: write https://HOST or https://HOST:PORT/sdk")
    if parts.username is not None:
        raise _wrong("url holds a user: name it in username, and the key of its password in password-storage-path")
    path = _DEFAULT_PATH if parts.path in ("", "/") else parts.path.rstrip("/")
    return Address(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], path)


def _groups(text: str) -> frozenset[str]:
    names = [name.lower() for name in _listed(text)]
    if names == ["none"]:
        return frozenset()
    if strange := [name for name in names if name not in GROUPS]:
        raise _wrong(f"attribute-groups names {strange[0]!r}: there are {', '.join(GROUPS)}, or none of them (none)")
    return frozenset(names)


def _listed(text: str) -> list[str]:
    return [item for item in text.replace(",", " ").split() if item]


def _wrong(text: str) -> SourceError:
    return SourceError(text, reason=SourceFailure.CONFIGURATION)
