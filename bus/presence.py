"""Whether anybody is there: what the server says of a subject, and what silence means.

The server tells at once that nobody listens under a subject (status 503, "no responders"). Not so while somebody is
subscribed to everything, as ``nats sub '>'`` is: to the server that is a listener like any, under every subject. So
"nobody listens" is known where it is said, and silence until the time is over may be either.
"""

from __future__ import annotations

import secrets
from typing import Final

import nats.errors

from bus.connection import CLOSING, NO_ANSWER, NOBODY_LISTENS, NOT_CONNECTED, Bus
from schemas.errors import RunbusError

_TOLD_WITHIN_S: Final = 0.5
"""How soon a server says that nobody listens; it takes as long as any way there and back."""


def nobody_listens(error: RunbusError) -> bool:
    """Whether the server said so, for certain."""
    return error.details.get("reason") == NOBODY_LISTENS


def unanswered(error: RunbusError) -> bool:
    """Whether no answer came in time: from one that stands still, or there is none and the server cannot say so."""
    return str(error.details.get("reason", "")).startswith(NO_ANSWER)


def not_asked(error: RunbusError) -> bool:
    """Whether the question was not sent, for want of a connection."""
    return error.details.get("reason") in (NOT_CONNECTED, CLOSING)


def nobodys_token() -> str:
    """A token of a subject that is nobody's: an id, or the name of a set, that was never given."""
    return f"nobody-{secrets.token_hex(8)}"


async def overheard(bus: Bus, subject: str) -> bool:
    """Whether somebody listens under a subject that is nobody's (see :func:`nobodys_token`).

    Where it is so, silence under a subject of the same form tells nothing. Costs one way to the server and back
    where it is not, half a second where it is.
    """
    try:
        await bus.client.request(subject, b"", timeout=_TOLD_WITHIN_S)
    except nats.errors.NoRespondersError:
        return False
    except nats.errors.TimeoutError:
        return True
    return True
