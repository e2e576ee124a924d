"""The connection to AWS: whose credentials, which addresses, how patient."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path
from typing import Any

from services.runner.keystorage.aws import api
from services.runner.keystorage.aws.bounded import bound
from services.runner.keystorage.aws.config import AT_A_TIME, AwsConfig


def client_of(config: AwsConfig) -> Any:
    """A client of Secrets Manager; it may be used by any number of threads. Asks nobody yet, but for where a role is.

    Raises exceptions of botocore, OSError and ValueError.
    """
    if config.ssl_ca_cert:
        Path(config.ssl_ca_cert).open("rb").close()  # the library would take a missing file for a bad certificate
    session = _session(config)
    if config.role_arn:
        session = _in_role(config, session)
    client = session.client("secretsmanager", endpoint_url=config.endpoint or None, **_options(config))
    return bound(client, config)


def _session(config: AwsConfig) -> Any:
    return api.Session(
        aws_access_key_id=config.access_key_id or None,
        aws_secret_access_key=config.secret_access_key or None,
        aws_session_token=config.session_token or None,
        region_name=config.region or None,
        profile_name=config.profile or None,
    )


def _options(config: AwsConfig) -> dict[str, Any]:
    patience = api.config(
        connect_timeout=config.open_timeout,
        read_timeout=config.read_timeout,
        retries={"total_max_attempts": config.max_retries + 1, "mode": "standard"},
        max_pool_connections=AT_A_TIME,
    )
    return {"config": patience, "verify": config.ssl_ca_cert or None}


def _in_role(config: AwsConfig, source: Any) -> Any:
    inner = api.inner_session()
    inner.register_component("credential_provider", api.credentials.CredentialResolver([_Role(config, source)]))
    return api.Session(botocore_session=inner, region_name=config.region or source.region_name)


class _Role(api.credentials.CredentialProvider):  # type: ignore[misc]
    """Grants the credentials of a role, and new ones before they expire."""

    METHOD = "runbus-role"

    def __init__(self, config: AwsConfig, source: Any) -> None:
        super().__init__()
        self._config = config
        self._source = source

    def load(self) -> Any:
        return api.credentials.DeferredRefreshableCredentials(refresh_using=self._assume, method=self.METHOD)

    def _assume(self) -> dict[str, str]:
        options: dict[str, str] = {"ExternalId": self._config.external_id} if self._config.external_id else {}
        sts = self._source.client("sts", endpoint_url=self._config.sts_endpoint or None, **_options(self._config))
        with contextlib.closing(bound(sts, self._config)):
            answer = sts.assume_role(
                RoleArn=self._config.role_arn, RoleSessionName=self._config.role_session_name, **options
            )
        granted = answer["Credentials"]
        expires: datetime = granted["Expiration"]
        return {
            "access_key": granted["AccessKeyId"],
            "secret_key": granted["SecretAccessKey"],
            "token": granted["SessionToken"],
            "expiry_time": expires.isoformat(),
        }
