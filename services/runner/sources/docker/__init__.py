"""Node source ``docker-container-model-source``: the containers of a Docker engine."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from runbus.plugin import Discovered, SourceContext


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The original's settings."""

    docker_host: str = msgspec.field(name="docker-host", default="")
    """``unix://PATH`` or ``tcp://HOST:PORT``; else the runner's ``DOCKER_HOST``, else the usual socket."""
    docker_cert_path: str = msgspec.field(name="docker-cert-path", default="")
    """A directory with ``ca.pem``, ``cert.pem``, ``key.pem``: TLS is used."""
    docker_tls_verify: bool | None = msgspec.field(name="docker-tls-verify", default=None)
    """Whether the engine's certificate is checked; not given: it is."""
    attributes: str = ""
    mapping: str = ""
    tags: str = ""
    filter: str = ""
    """As of ``docker ps --filter``, separated by commas: ``name=web,status=running``."""
    all_containers: bool = msgspec.field(name="all-containers", default=False)
    """Those that do not run, too."""
    debug: bool = False
    """Say in the warnings what was asked and found."""


class DockerContainers:
    """One node for each container; see ``services/runner/sources/docker/nodes.py``."""

    version: ClassVar[str] = "1.0"
    config_type: ClassVar[type[Config]] = Config
    secret_settings: ClassVar[frozenset[str]] = frozenset()
    requires: ClassVar[tuple[str, ...]] = ("aiodocker",)

    async def discover(self, config: Config, context: SourceContext) -> Discovered:
        """The containers there are now. Raises :class:`SourceError`."""
        from services.runner.sources.docker.discovery import discover  # noqa: PLC0415  (an idle runner has none)

        return await discover(config, context.env)
