"""Node source ``kubernetes-resource-model``: the containers of a cluster's pods."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

from runbus.plugin import Discovered, SourceContext
from services.runner.sources.kubernetes.config import KubernetesConfig

Discover = Callable[[KubernetesConfig, SourceContext], Awaitable[Discovered]]


class KubernetesContainers:
    """One node for each container that has not ended.

    Settings: see ``services/runner/sources/kubernetes/config.py``; attributes: ``nodes.py``.
    """

    version: ClassVar[str] = "1.0"
    config_type: ClassVar[type[KubernetesConfig]] = KubernetesConfig
    secret_settings: ClassVar[frozenset[str]] = frozenset({"token", "token_storage_path"})
    requires: ClassVar[tuple[str, ...]] = ("kubernetes_asyncio",)

    async def discover(self, config: KubernetesConfig, context: SourceContext) -> Discovered:
        """List the pods. Raises :class:`SourceError`."""
        discover = await asyncio.to_thread(_loaded)
        return await discover(config, context)


def _loaded() -> Discover:
    # 40 MB and most of a second: not for a runner that is never asked for pods, nor for one with other work.
    from services.runner.sources.kubernetes.listing import discover  # noqa: PLC0415

    return discover
