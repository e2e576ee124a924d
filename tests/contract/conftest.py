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
