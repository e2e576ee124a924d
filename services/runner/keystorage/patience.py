"""How long a provider is waited for: as long as the settings of its key storage say, within bounds.

Whoever asks waits as well: a command that lists keys for 65 s, a job before its first step. So what one call of the
runner's own takes has to stay below that, whatever the settings say. The rule stands at ``PROVIDER_WITHIN_S``, in
``schemas.keys``.
"""

from __future__ import annotations

from typing import Any, Final

LEAST_S: Final = 20.0
"""Of a storage that says nothing of it, or less."""
MOST_S: Final = 50.0


def of_attempt(open_s: float, read_s: float) -> float:
    """For one request and its whole answer, in seconds: a provider that sends a byte now and then has no longer."""
    return min(open_s + read_s, MOST_S)


def in_all(open_s: float, read_s: float, retries: int, pause_s: float = 0.0) -> float:
    """For whatever is asked, in seconds, with every further attempt and the pauses before them."""
    return min(max((open_s + read_s) * (retries + 1) + pause_s * retries, LEAST_S), MOST_S)


def is_at_most(open_s: float, read_s: float) -> bool:
    """Whether a longer ``readTimeout`` would change nothing."""
    return open_s + read_s >= MOST_S


def deadline_of(config: Any) -> float:
    """Of a storage with this configuration: what its ``patience_s`` says, in seconds, where it has one."""
    said = getattr(config, "patience_s", LEAST_S)
    return min(max(float(said), LEAST_S), MOST_S) if isinstance(said, (int, float)) else LEAST_S
