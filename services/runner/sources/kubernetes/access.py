"""Which API server is asked, and as whom."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runbus.plugin import SourceContext
from services.runner.sources.kubernetes import kubeconfig
from services.runner.sources.kubernetes.config import KubernetesConfig
from services.runner.sources.kubernetes.connection import Connection, token_in

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


async def connection_of(config: KubernetesConfig, context: SourceContext) -> Connection:
    """The connection that the settings name, or else the surroundings.

    Raises :class:`SourceError`: ``configuration``, ``not_found``, ``malformed``; ``failed`` where a program that is
    to hand out a credential does not.
    """
    if config.url and not config.config_file:
        return await asyncio.to_thread(_by_url, config)
    if not config.config_file and _is_in_pod(context.env):
        return await asyncio.to_thread(_in_pod, context.env)
    return await kubeconfig.connection_of(config.config_file, context)


def unused(config: KubernetesConfig) -> list[str]:
    """Warnings about settings that others make useless."""
    if config.config_file:
        given = [name for name in ("url", "token", "token_storage_path", "ssl_ca_cert") if getattr(config, name)]
        return [f"setting {name!r} is not used: config_file holds over it" for name in given]
    if not config.url and (config.token or config.token_storage_path):
        return ["the token is not used: it goes with url, which is not set"]
    return []


def _by_url(config: KubernetesConfig) -> Connection:
    token = (config.token or config.token_storage_path).strip()
    return Connection(
        host=config.url.strip().rstrip("/"),
        origin="the setting url",
        authorization=f"Bearer {token}" if token else "",
        ca_file=config.ssl_ca_cert.strip() or None,
        is_verified=config.verify_ssl,
    )


def _is_in_pod(env: Mapping[str, str]) -> bool:
    return bool(env.get("KUBERNETES_SERVICE_HOST")) and (SERVICE_ACCOUNT / "token").is_file()


def _in_pod(env: Mapping[str, str]) -> Connection:
    host, port = env["KUBERNETES_SERVICE_HOST"], env.get("KUBERNETES_SERVICE_PORT") or "443"
    origin = "the pod's service account"
    return Connection(
        host=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        origin=origin,
        authorization=f"Bearer {token_in(SERVICE_ACCOUNT / 'token', origin)}",
        ca_file=str(SERVICE_ACCOUNT / "ca.crt"),
    )
