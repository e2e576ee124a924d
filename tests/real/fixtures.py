"""Fixtures for tests that need containers: an engine, images, and a NATS server in one of them.

What is missing skips the test with the reason; where CI=true it fails.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from . import images
from .compose import build_context
from .engine import Engine, MissingError, any_engine

if TYPE_CHECKING:
    from testcontainers.community.nats import NatsContainer

T = TypeVar("T")

_TESTCONTAINERS_DEFAULTS = {
    # Ryuk, which clears up behind killed tests, is one more image to pull.
    "TESTCONTAINERS_RYUK_DISABLED": "true",
    # Published ports, also where the tests themselves run in a container.
    "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
    # Seconds between two looks at a container that is to become ready.
    "TC_POOLING_INTERVAL": "0.1",
}


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine]:
    """A Docker engine; every program started from the tests uses it too, by DOCKER_HOST."""
    with ExitStack() as stack:
        engine = _required(lambda: stack.enter_context(any_engine()))
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        if engine.host is not None:
            environment.setenv("DOCKER_HOST", engine.host)
        for name, value in _TESTCONTAINERS_DEFAULTS.items():
            environment.setenv(name, os.environ.get(name, value))
        yield engine


@pytest.fixture(scope="session")
def nats_image(docker_engine: Engine) -> str:
    """The name of an image with a NATS server."""
    return _required(lambda: images.nats_image(docker_engine))


@pytest.fixture(scope="session")
def python_image(docker_engine: Engine) -> images.PythonImage:
    """An image with Python, to build ours from."""
    return _required(lambda: images.python_image(docker_engine))


@pytest.fixture(scope="session")
def build_directory(python_image: images.PythonImage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an image build sees of this repository, and the wheels to install without network."""
    wheels = _required(lambda: images.wheels(python_image.version))
    return build_context(tmp_path_factory.mktemp("build"), wheels)


@pytest.fixture(scope="session")
def nats_container(docker_engine: Engine, nats_image: str) -> Iterator[NatsContainer]:  # noqa: ARG001 - order
    """A NATS server with JetStream in a container, one for all tests of the session."""
    with _deprecations_of_testcontainers_ignored():
        # Not above: it reads its settings from the environment when it is imported.
        from testcontainers.community.nats import NatsContainer  # noqa: PLC0415

        container = NatsContainer(nats_image, jetstream=True, ready_timeout_secs=30).start()
    try:
        yield container
    finally:
        container.stop()


@pytest.fixture(scope="session")
def nats_container_url(nats_container: NatsContainer) -> str:
    """Where clients on this machine reach the server of `nats_container`."""
    return nats_container.nats_uri()


def _required(get: Callable[[], T]) -> T:
    try:
        return get()
    except MissingError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@contextmanager
def _deprecations_of_testcontainers_ignored() -> Iterator[None]:
    # Its NatsContainer waits by functions that the same package calls deprecated.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
