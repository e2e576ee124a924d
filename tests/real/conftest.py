from .fixtures import (
    build_directory,
    docker_engine,
    nats_container,
    nats_container_url,
    nats_image,
    python_image,
)

__all__ = [
    "build_directory",
    "docker_engine",
    "nats_container",
    "nats_container_url",
    "nats_image",
    "python_image",
]
