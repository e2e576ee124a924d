"""Making streams and consumers, so that doing it twice, or from two places, is harmless."""

from __future__ import annotations

import nats.errors
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig
from nats.js.errors import APIError

from bus.connection import Bus
from schemas.errors import ErrorCode, RunbusError

DUPLICATE_WINDOW_S = 120.0
ACK_WAIT_S = 30.0
UNLIMITED = -1


async def ensure_stream(
    bus: Bus,
    name: str,
    subject: str,
    *,
    work_queue: bool = False,
    replicas: int = 1,
    max_age_s: float | None = None,
) -> None:
    """Make a stream on disk if it is not there. Raises ``unavailable`` where JetStream is off or refuses."""
    config = StreamConfig(
        name=name,
        subjects=[subject],
        retention=RetentionPolicy.WORK_QUEUE if work_queue else RetentionPolicy.LIMITS,
        duplicate_window=DUPLICATE_WINDOW_S,
        allow_direct=True,
        num_replicas=replicas,
        max_age=max_age_s,
    )
    try:
        await bus.js.add_stream(config)
    except (APIError, nats.errors.Error) as cause:
        if isinstance(cause, APIError) and cause.err_code == 10058:  # in use with another configuration: kept
            return
        raise RunbusError(
            ErrorCode.UNAVAILABLE,
            f"stream {name} cannot be made ({cause}). Is JetStream on (nats-server -js), with room on its disk?",
            details={"stream": name},
        ) from cause


async def ensure_consumer(bus: Bus, stream: str, name: str, subject: str, *, ack_wait_s: float = ACK_WAIT_S) -> None:
    """Make a durable pull consumer that any number of clients share; messages stay until acknowledged."""
    config = ConsumerConfig(
        durable_name=name,
        filter_subject=subject,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_wait_s,
        max_deliver=UNLIMITED,
        max_ack_pending=UNLIMITED,
        max_waiting=16384,
    )
    try:
        await bus.js.add_consumer(stream, config)
    except (APIError, nats.errors.Error) as cause:
        raise RunbusError(
            ErrorCode.UNAVAILABLE,
            f"consumer {name} on {stream} cannot be made ({cause}).",
            details={"stream": stream, "consumer": name},
        ) from cause
