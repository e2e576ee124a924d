"""From a kubeconfig or settings to a connection that could be made, without an API server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runbus.plugin import SourceError
from services.runner.sources.kubernetes.access import connection_of
from services.runner.sources.kubernetes.config import KubernetesConfig
from services.runner.sources.kubernetes.connection import Connection
from tests.support.kubeaccess import asked, kubeconfig, settings

TOKEN = "a-token-that-nobody-may-see"


async def connected(tmp_path: Path, user: Mapping[str, Any], cluster: Mapping[str, Any] | None = None) -> Connection:
    """What comes of a kubeconfig with this user."""
    file = kubeconfig(tmp_path / "config", user=user, cluster=cluster)
    return await connection_of(settings(config_file=str(file)), asked(tmp_path))


async def not_connected(tmp_path: Path, config: KubernetesConfig, **env: str) -> SourceError:
    """Why none comes of these settings; the token is not told."""
    with pytest.raises(SourceError) as raised:
        await connection_of(config, asked(tmp_path, **env))
    assert TOKEN not in raised.value.message
    return raised.value
