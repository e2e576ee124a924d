"""Fixtures of integration, contract and fault tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bus.connection import Bus, connect
from bus.server import EmbeddedServer
from tests.support.servers import own_server, server_for_session
from tests.support.system import System, open_system

IN_CONTAINER = os.environ.get("RUNBUS_TEST_NATS") == "container"


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """One server for every test that does not stop it."""
    with server_for_session(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="session")
def nats_url(request: pytest.FixtureRequest) -> str:
    """A server for every test: the one in a container where RUNBUS_TEST_NATS=container, else one of ours."""
    if IN_CONTAINER:
        return str(request.getfixturevalue("nats_container_url"))
    server: EmbeddedServer = request.getfixturevalue("nats_server")
    return server.url


@pytest.fixture
async def system(nats_url: str, tmp_path: Path) -> AsyncIterator[System]:
    """A Runbus with nothing started."""
    async with open_system(nats_url, tmp_path) as opened:
        yield opened


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """A connection."""
    async with connect(nats_url, name="runbus-test") as connection:
        yield connection


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """A server of the test's own, to be stopped and started again."""
    directory = tmp_path / "nats"
    directory.mkdir()
    async with own_server(directory) as started:
        yield started


@pytest.fixture
async def own_system(server: EmbeddedServer, tmp_path: Path) -> AsyncIterator[System]:
    """A Runbus on ``server``."""
    async with open_system(server.url, tmp_path) as opened:
        yield opened
