"""The settings of a Vault key storage: the original's names, and its defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

from services.runner.keystorage.patience import in_all, of_attempt
from services.runner.keystorage.vault.parts import setting_parts

_Count = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
_Version = Annotated[int, msgspec.Meta(ge=1, le=2)]
_ADDRESS: Final = re.compile(r"https?://[^/\s@?#]+(/[^\s@?#]*)?\Z")
_OF_JAVA: Final[Mapping[str, str]] = {
    "trustStoreFile": "its certificates in pemFile",
    "keyStoreFile": "clientPemFile and clientKeyPemFile",
}

SECRET_SETTINGS: Final = frozenset(
    {"token", "password", "approleSecretId", "githubToken", "keyStoreFilePassword", "trustStoreFilePassword"}
)


class AuthBackend(StrEnum):
    """How Vault gets to know the runner."""

    TOKEN = "token"  # noqa: S105  (a name)
    APPROLE = "approle"
    USERPASS = "userpass"
    CERT = "cert"
    GITHUB = "github"


NEEDED: Final[Mapping[AuthBackend, tuple[str, ...]]] = {
    AuthBackend.TOKEN: ("token",),
    AuthBackend.APPROLE: ("approleId", "approleSecretId"),
    AuthBackend.USERPASS: ("username", "password"),
    AuthBackend.CERT: ("clientPemFile", "clientKeyPemFile"),
    AuthBackend.GITHUB: ("githubToken",),
}
"""What each way of being let in asks for."""


class StorageBehaviour(StrEnum):
    """What in a secret is a key."""

    RUNDECK = "rundeck"
    """The value lies in the field ``data``, its metadata in fields beside it; without ``data`` it is no key."""
    VAULT = "vault"
    """A secret of one field is a key, whatever the field's name; one of several is a folder of its fields."""


class VaultConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where Vault is, how the runner is let in, and where in it the keys lie."""

    address: str = "https://localhost:8200"
    namespace: str = ""
    auth_namespace: str = ""
    """Where the runner logs in; not given: in ``namespace``."""

    auth_backend: AuthBackend = AuthBackend.TOKEN
    token: str = ""
    username: str = ""
    password: str = ""
    userpass_auth_mount: str = "userpass"
    approle_id: str = ""
    approle_secret_id: str = ""
    approle_auth_mount: str = "approle"
    github_token: str = ""
    cert_auth_mount: str = "cert"
    cert_role_name: str = ""
    """Not given: Vault looks for a role that the certificate fits."""

    validate_ssl: bool = True
    pem_file: str = ""
    """Certificates to trust; not given: those of the machine."""
    client_pem_file: str = ""
    client_key_pem_file: str = ""
    key_store_file: str = ""
    """Of Java, as the next three: refused, saying what to give instead."""
    key_store_file_password: str = ""
    trust_store_file: str = ""
    trust_store_file_password: str = ""

    max_retries: _Count = 5
    """Of a call that finds nobody, or is answered with 429 or 5xx."""
    retry_interval_ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)] = msgspec.field(
        name="retryIntervalMilliseconds", default=1000
    )
    open_timeout_s: _Seconds = msgspec.field(name="openTimeout", default=5.0)
    read_timeout_s: _Seconds = msgspec.field(name="readTimeout", default=20.0)

    secret_backend: str = "secret"  # noqa: S105  (a mount)
    """The mount of the KV engine."""
    prefix: str = ""
    """A folder of the mount, in which all keys lie."""
    engine_version: _Version = 1
    storage_behaviour: StorageBehaviour = StorageBehaviour.RUNDECK
    use_vault_metadata_timestamps: bool = False
    """Of KV 2: times from a secret's own metadata, not its newest version's; one call more for each such key."""
    remove_path_prefix: bool = True
    """False: ``keys/`` stands before every path in Vault, as where the original's centre wrote the keys."""

    def __post_init__(self) -> None:
        """Refuse what is known to be wrong without asking Vault. No text holds a value."""
        given = {name: getattr(self, field) for field, name in zip(
            self.__struct_fields__, self.__struct_encode_fields__, strict=True)}  # fmt: skip
        if missing := [name for name in NEEDED[self.auth_backend] if not given[name]]:
            raise ValueError(f"authBackend {self.auth_backend.value} needs {' and '.join(missing)}")
        if not _ADDRESS.match(self.address):
            raise ValueError("address has to be https://HOST:PORT, without a user in it")
        if self.auth_backend is AuthBackend.CERT and not self.address.startswith("https://"):
            raise ValueError("authBackend cert needs an https address")
        for name, instead in _OF_JAVA.items():
            if given[name]:
                raise ValueError(f"{name} is a key store of Java, which cannot be read: give {instead}")
        if bool(self.client_pem_file) != bool(self.client_key_pem_file):
            raise ValueError("clientPemFile and clientKeyPemFile are both needed: name the certificate and its key")
        if not setting_parts("secretBackend", self.secret_backend):
            raise ValueError("secretBackend is empty: name the mount of the KV engine")
        setting_parts("prefix", self.prefix)

    @property
    def attempt_s(self) -> float:
        """For one call and its whole answer."""
        return of_attempt(self.open_timeout_s, self.read_timeout_s)

    @property
    def patience_s(self) -> float:
        """For whatever is asked, with all attempts."""
        return in_all(self.open_timeout_s, self.read_timeout_s, self.max_retries, self.retry_interval_ms / 1000)

    @property
    def place(self) -> str:
        """How errors call it: its address, without a user and password that somebody wrote into it."""
        parts = urlsplit(self.address)
        return f"Vault at {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"

    def __repr__(self) -> str:
        # Tokens and passwords are among the fields.
        return f"VaultConfig(address={self.address!r}, auth_backend={self.auth_backend.value!r})"
