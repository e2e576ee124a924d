import pytest

from tests.real.fixtures import docker_engine, nats_container, nats_container_url, nats_image
from tests.support.fixtures import bus, nats_server, nats_url, own_system, server, system

__all__ = [
    "bus",
    "docker_engine",
    "nats_container",
    "nats_container_url",
    "nats_image",
    "nats_server",
    "nats_url",
    "own_system",
    "server",
    "system",
]


@pytest.fixture(scope="session", autouse=True)
def server_first(nats_url: str) -> str:
    """Start the server before any event loop runs: starting it needs a loop of its own."""
    return nats_url
