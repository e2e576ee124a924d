"""The lease of durable requests: as long as a dispatcher's settings say, also where the consumer is there already."""

from __future__ import annotations

from bus.streams import ensure_consumer, ensure_stream
from services.dispatcher.app import make_streams
from tests.support.system import System, request
from tests.support.waiting import eventually


async def lease_s(system: System) -> float | None:
    info = await system.bus.js.consumer_info(system.subjects.requests_stream, system.subjects.requests_consumer)
    ack_wait_s: float | None = info.config.ack_wait
    return ack_wait_s


async def test_the_lease_of_a_request_is_that_of_the_settings(system: System) -> None:
    system.start_registry()
    system.start_dispatcher(ack_wait_s=1.5)
    await system.ready()
    assert await lease_s(system) == 1.5


async def test_another_lease_is_given_to_the_consumer_that_is_there(system: System) -> None:
    for ack_wait_s in (30.0, 2.0, 7.0):
        await make_streams(system.bus, system.subjects, replicas=1, ack_wait_s=ack_wait_s)
        assert await lease_s(system) == ack_wait_s


async def test_a_request_in_dead_hands_is_taken_when_its_lease_ends(system: System) -> None:
    """Somebody pulls a request and says no more: what a killed dispatcher does."""
    await ensure_stream(system.bus, system.subjects.requests_stream, system.subjects.request("*"), work_queue=True)
    await ensure_consumer(
        system.bus, system.subjects.requests_stream, system.subjects.requests_consumer, system.subjects.request("*")
    )
    await system.client.submit(request("true", "linux", id="held", when_no_runner="wait"))
    dead = await system.bus.js.pull_subscribe(
        system.subjects.request("*"),
        durable=system.subjects.requests_consumer,
        stream=system.subjects.requests_stream,
    )
    assert await dead.fetch(1, timeout=5)
    system.start_registry()
    system.start_dispatcher(ack_wait_s=0.5)
    await system.ready()

    async def queued() -> bool:
        return await system.count(system.subjects.jobs_stream) == 1

    await eventually(queued, within_s=8.0, what="another dispatcher takes it")
