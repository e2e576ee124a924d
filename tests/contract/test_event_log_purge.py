"""Removing messages, in memory and for real: what a missing assignment is published anew upon."""

from __future__ import annotations

from tests.contract.test_event_log import Log, log

__all__ = ["log"]


async def test_what_is_purged_is_gone_and_its_sequence_is_not_given_again(log: Log) -> None:
    at, stream, name = log
    await at.append(f"{name}.j.1", b"one")
    await at.append(f"{name}.j.2", b"two")
    await at.purge(stream, f"{name}.j.2")
    assert await at.last_message(stream, f"{name}.j.2") is None
    assert await at.last_message(stream, f"{name}.j.1") is not None
    assert await at.append(f"{name}.j.2", b"again") == 3


async def test_the_message_id_of_what_was_purged_is_still_known(log: Log) -> None:
    """Within the stream's window a removed message is not stored again under its id: look again later."""
    at, stream, name = log
    first = await at.append(f"{name}.j.1", b"one", msg_id="m")
    await at.purge(stream, f"{name}.j.1")
    assert await at.append(f"{name}.j.1", b"again", msg_id="m") == first
    assert await at.last_message(stream, f"{name}.j.1") is None
