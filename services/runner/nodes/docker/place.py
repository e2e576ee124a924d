"""From a node's settings to its container and its engine.

Names of the original's ``docker-container-node-executor``; ``docker-container`` is only ours.

=========================================  ========================================================================
``docker-container``, ``docker:Id``        the container's id or name; else the node's ``hostname``, else its name
``username``                               who runs the command there; else the container's own user
``docker-shell``                           the shell there, ``sh``
``docker-host``                            ``unix://…``, ``tcp://host:port``; else DOCKER_HOST, else the usual socket
``docker-cert-path``                       a directory with ``ca.pem``, ``cert.pem``, ``key.pem``: TLS is used
``docker-tls-verify``                      whether the engine's certificate is checked (true)
=========================================  ========================================================================
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from runbus.plugin import Node
from services.runner.nodes.settings import NodeSettings

_SOCKET: Final = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker engine and how it is reached."""

    host: str
    cert_path: str | None = None
    is_verified: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """Where commands run."""

    engine: Engine
    container: str
    user: str
    shell: str

    def __str__(self) -> str:
        return f"container {self.container} at {self.engine.host}"


def place_of(node: Node, settings: NodeSettings) -> Place:
    """Raises :class:`StepError` where a setting is wrong."""
    host = settings.text("docker-host") or os.environ.get("DOCKER_HOST") or _SOCKET
    if not host.startswith(("unix://", "tcp://", "http://", "https://")):
        raise settings.wrong(f"docker-host is {host!r}: say unix://PATH or tcp://HOST:PORT")
    engine = Engine(
        host=host,
        cert_path=settings.text("docker-cert-path"),
        is_verified=settings.flag("docker-tls-verify", default=True),
    )
    attributes = node.attributes
    return Place(
        engine=engine,
        container=settings.text("docker-container", "docker:Id") or attributes.get("hostname") or node.name,
        user=attributes.get("username", "").strip(),
        shell=settings.text("docker-shell") or "sh",
    )
