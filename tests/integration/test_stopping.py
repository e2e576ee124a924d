"""A part that stops answers what it has been sent, while a copy of it goes on."""

from __future__ import annotations

import asyncio

import pytest

from bus.connection import Bus, connect
from bus.endpoint import Answerer, Route, answer_on, serve_api, stop_api
from schemas.api import Done
from schemas.codec import decode, encode

SUBJECT = "test.stopping.ask"
_REQUESTS = 400


async def answer(_request: Done) -> Done:
    return Done()


ROUTE = Route("ask", SUBJECT, Done, answer)


async def asked(bus: Bus, number: int) -> list[bytes]:
    """So many at once: they lie in the queue of the subscription when it is told to stop."""
    messages = await asyncio.gather(*(bus.client.request(SUBJECT, encode(Done()), timeout=5) for _ in range(number)))
    return [message.data for message in messages]


@pytest.mark.parametrize("round_", range(3))
async def test_a_service_that_stops_loses_no_request(bus: Bus, nats_url: str, round_: int) -> None:
    async with connect(nats_url, name="going") as going, connect(nats_url, name="staying") as staying:
        services = [
            (each, await serve_api(each, "runbus-test", "1.0.0", [ROUTE], Answerer(each, "test")))
            for each in (going, staying)
        ]
        await asyncio.gather(going.flush(), staying.flush())
        waiting = asyncio.ensure_future(asked(bus, _REQUESTS))
        for _ in range(round_):  # at different places of the stream
            await bus.flush()
        await stop_api(*services[0])
        replies = await waiting
        assert [decode(each, Done) for each in replies] == [Done()] * _REQUESTS
        await stop_api(*services[1])


async def test_a_plain_subject_that_is_given_up_loses_no_request(bus: Bus, nats_url: str) -> None:
    async with connect(nats_url, name="going") as going, connect(nats_url, name="staying") as staying:
        ends = [await answer_on(each, ROUTE, Answerer(each, "test"), queue="q") for each in (going, staying)]
        await asyncio.gather(going.flush(), staying.flush())
        waiting = asyncio.ensure_future(asked(bus, _REQUESTS))
        await bus.flush()
        await ends[0]()
        assert len(await waiting) == _REQUESTS
        await ends[1]()
