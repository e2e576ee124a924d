"""The settings of AWS Secrets Manager."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from services.runner.keystorage.patience import in_all, of_attempt

AT_A_TIME: Final = 8
"""Calls, and connections."""
_ROLE: Final = re.compile(r"arn:[a-z-]+:iam::\d{12}:role/.+\Z")
_SESSION: Final = re.compile(r"[\w+=,.@-]{2,64}\Z", re.ASCII)
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL")
_REGIONS: Final = ("AWS_DEFAULT_REGION",)
_REGION: Final = re.compile(r"[a-z0-9-]{1,40}\Z")
_URL: Final = re.compile(r"https?://[^/\s@?#]+/?\Z")


class Behaviour(StrEnum):
    """What a secret is that holds a JSON object."""

    VAULT = "vault"
    """With one field it is a key; with several it is a folder, and each field a key. Listings read the values."""
    PLAIN = "plain"
    """A key, whatever it holds. Listings read no value, and tell no types."""


class AwsConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is not given here is found as every program of AWS finds it: variables, ``~/.aws``, the machine's role."""

    region: str = ""
    profile: str = ""
    """Of ``~/.aws/config``."""
    access_key_id: str = ""
    """With ``secretAccessKey``: credentials that hold over all others."""
    secret_access_key: str = ""
    session_token: str = ""
    role_arn: str = ""
    """A role to take on with the credentials; renewed before it expires."""
    role_session_name: str = "runbus"
    external_id: str = ""
    endpoint: str = ""
    """Address of the service where it is not the region's own (a VPC endpoint): ``https://HOST``."""
    sts_endpoint: str = ""
    """The same of the service that grants roles."""
    prefix: str = ""
    """What the names of secrets begin with: key ``db/x`` is the secret ``prefix/db/x``."""
    storage_behaviour: Behaviour = Behaviour.VAULT
    ssl_ca_cert: str = ""
    """A file on the runner with the certificates (PEM) that are trusted instead of the usual ones."""
    max_retries: int = 4
    """After the first attempt, with growing pauses: of what is throttled, and of faults on the way."""
    open_timeout: float = 5.0
    """Seconds."""
    read_timeout: float = 10.0
    """Seconds."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ValueError("accessKeyId and secretAccessKey have to be given both, or neither")
        if self.session_token and not self.access_key_id:
            raise ValueError("sessionToken needs accessKeyId and secretAccessKey")
        if self.role_arn and not _ROLE.match(self.role_arn):
            raise ValueError("roleArn has to be as arn:aws:iam::123456789012:role/NAME")
        if not _SESSION.match(self.role_session_name):
            raise ValueError("roleSessionName has to be 2 to 64 letters, digits and +=,.@-")
        if len(self.external_id) == 1:
            raise ValueError("externalId has to be two characters at least")
        for name, url in (("endpoint", self.endpoint), ("stsEndpoint", self.sts_endpoint)):
            if url and not _URL.match(url):
                raise ValueError(f"{name} has to be an address as https://HOST:PORT")
        if not 0 <= self.max_retries <= 20:
            raise ValueError("maxRetries has to be from 0 to 20")
        if not (0 < self.open_timeout <= 300 and 0 < self.read_timeout <= 300):
            raise ValueError("openTimeout and readTimeout have to be more than 0, and 300 s at most")

    def __repr__(self) -> str:
        return f"AwsConfig({self.region!r}, {self.endpoint!r}, {self.prefix!r})"

    @property
    def attempt_s(self) -> float:
        """For one request and its whole answer."""
        return of_attempt(self.open_timeout, self.read_timeout)

    @property
    def patience_s(self) -> float:
        """For whatever is asked, with all attempts."""
        return in_all(self.open_timeout, self.read_timeout, self.max_retries)

    @property
    def name_prefix(self) -> str:
        """What comes before a key's path; a slash at its end, unless it is empty."""
        return f"{self.prefix.rstrip('/')}/" if self.prefix.strip("/") else self.prefix

    @property
    def place(self) -> str:
        """How errors call the service."""
        endpoint = self.endpoint or _of_environment(_ENDPOINTS, _URL)
        region = self.region or _of_environment(_REGIONS, _REGION)
        at = f" at {endpoint}" if endpoint else ""
        return f"AWS Secrets Manager{at}{f' in {region}' if region else ''}"


def _of_environment(names: Iterable[str], form: re.Pattern[str]) -> str:
    """Where AWS' library takes it from where the settings are silent; what is of another form is not shown."""
    given = next((value for name in names if (value := os.environ.get(name))), "")
    return given if form.match(given) else ""
