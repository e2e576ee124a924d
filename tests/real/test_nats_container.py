from __future__ import annotations

from typing import TYPE_CHECKING

import nats
import pytest

if TYPE_CHECKING:
    from testcontainers.community.nats import NatsContainer

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(400)]


async def test_the_server_in_the_container_keeps_what_is_published(nats_container_url: str) -> None:
    client = await nats.connect(nats_container_url)
    try:
        jetstream = client.jetstream()
        await jetstream.add_stream(name="CONTAINER", subjects=["container.>"])
        await jetstream.publish("container.hello", b"kept")
        kept = await jetstream.get_msg("CONTAINER", seq=1)
        assert kept.data == b"kept"
        await jetstream.delete_stream("CONTAINER")
    finally:
        await client.close()


def test_the_server_says_in_its_log_that_it_is_ready(nats_container: NatsContainer) -> None:
    output, errors = nats_container.get_logs()
    assert b"Server is ready" in output + errors
