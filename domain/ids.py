"""Ids of executions: 26 characters that sort by time (48 bits of milliseconds, 80 bits of chance; ULID's layout)."""

from __future__ import annotations

import secrets
import time
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"


def new_execution_id(now_s: float | None = None) -> str:
    """A fresh id, in lower case; no two are alike, and later ones sort behind earlier ones, to the millisecond."""
    millis = int((time.time() if now_s is None else now_s) * 1000)
    value = (millis << 80) | secrets.randbits(80)
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -5, -5))
