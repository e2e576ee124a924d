"""The settings of CyberArk Conjur."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

from services.runner.keystorage.patience import in_all, of_attempt

_URL: Final = re.compile(r"https?://[^/\s@?#]+(/[^\s@?#]*)?\Z")
_ID: Final = re.compile(r"[^\s/?#:]+\Z")


class AuthnType(StrEnum):
    """How the runner is let in."""

    API_KEY = "authn"
    """By ``login`` and ``apiKey``."""
    LDAP = "authn-ldap"
    """By ``login`` and its password, in ``apiKey``."""
    JWT = "authn-jwt"
    """By a token that somebody else has granted (Kubernetes), in ``jwtFile``; read anew each time."""


class ConjurConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Named as Conjur's own programs name them."""

    appliance_url: str
    """``https://conjur.example.com``; with ``/api`` where the service stands there (Conjur Cloud)."""
    account: str = "conjur"
    authn_type: AuthnType = AuthnType.API_KEY
    service_id: str = ""
    """Of ``authn-ldap`` and ``authn-jwt``."""
    login: str = ""
    """``host/runners/paris``, or a user; of ``authn-jwt`` only where the token does not say it."""
    api_key: str = ""
    jwt_file: str = ""
    prefix: str = ""
    """The policy below which keys are: key ``db/x`` is the variable ``prefix/db/x``."""
    ssl_ca_cert: str = ""
    """A file on the runner with the certificates (PEM) that are trusted instead of the system's."""
    verify_ssl: bool = True
    """Whether the server's certificate has to be valid and to be trusted."""
    max_retries: int = 3
    """After the first attempt, with growing pauses: where nobody answers, or the answer is 429, 502, 503 or 504."""
    open_timeout: float = 5.0
    """Seconds."""
    read_timeout: float = 10.0
    """Seconds."""

    def __post_init__(self) -> None:
        """Refuse what is incomplete."""
        if not _URL.match(self.appliance_url):
            raise ValueError("applianceUrl has to be an address as https://HOST, without a user in it")
        if not _ID.match(self.account):
            raise ValueError("account has to be one word")
        if self.authn_type is not AuthnType.API_KEY and not _ID.match(self.service_id):
            raise ValueError(f"{self.authn_type.value} needs serviceId, one word")
        if self.authn_type is AuthnType.JWT:
            if not self.jwt_file.startswith("/"):
                raise ValueError("authn-jwt needs jwtFile, an absolute path")
        elif not (self.login and self.api_key):
            raise ValueError(f"{self.authn_type.value} needs login and apiKey")
        if not 0 <= self.max_retries <= 20:
            raise ValueError("maxRetries has to be from 0 to 20")
        if not (0 < self.open_timeout <= 300 and 0 < self.read_timeout <= 300):
            raise ValueError("openTimeout and readTimeout have to be more than 0, and 300 s at most")

    def __repr__(self) -> str:
        return f"ConjurConfig({self.appliance_url!r}, {self.account!r}, {self.login!r})"

    @property
    def attempt_s(self) -> float:
        """For one request and its whole answer."""
        return of_attempt(self.open_timeout, self.read_timeout)

    @property
    def patience_s(self) -> float:
        """For whatever is asked, with all attempts."""
        return in_all(self.open_timeout, self.read_timeout, self.max_retries)

    @property
    def place(self) -> str:
        """How errors of the runner's guard call it."""
        return f"Conjur at {self.appliance_url}"

    @property
    def name_prefix(self) -> str:
        """What comes before a key's path in a variable's name."""
        trimmed = self.prefix.strip("/")
        return f"{trimmed}/" if trimmed else ""
