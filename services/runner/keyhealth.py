"""What the runner's log tells of its key storages, when that changes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import structlog

from schemas.keys import KeyStorageInfo

log = structlog.get_logger("runner")


def tell(before: Sequence[KeyStorageInfo], now: Sequence[KeyStorageInfo]) -> bool:
    """Log the storages that are not as they were, as a warning where one has a problem or remark; whether any is not.

    Once for each change: one that goes on not to answer is not told of at each look.
    """
    changed = [each for each in now if each not in before]
    if not changed:
        return False
    say = log.warning if any(each.problem or each.remark for each in changed) else log.info
    say("keys.checked", storages=[msgspec.to_builtins(each) for each in changed])
    return True
