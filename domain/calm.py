"""Work on very many objects without looking for garbage among them, which would stop everything for a while."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_SLICE: Final = 1024
"""Nodes of a few attributes end so many in a millisecond or two."""


class _Calm:
    """Counts who needs it; several threads may at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            gc.disable()

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                gc.enable()


_calm = _Calm()


def let_go(mine: list[Any]) -> None:
    """Empty a list that nobody else has, by and by: very many objects that end at once would stop everything, too."""
    while mine:
        del mine[-_SLICE:]


@contextmanager
def uncollected() -> Iterator[None]:
    """No collection of garbage within the block, in no thread. For seconds of work that makes no cycles, not more."""
    _calm.enter()
    try:
        yield
    finally:
        _calm.leave()
