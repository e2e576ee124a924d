"""Which plugins a workflow needs: to be known before it is handed to anybody."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.jobs import Step


def plugins_of(steps: Iterable[Step]) -> set[str]:
    """The step plugins of steps and their handlers; of called jobs ask with their own steps."""
    names = set()
    for step in steps:
        if step.enabled:
            names.add(step.plugin)
            if step.error_handler is not None and step.error_handler.enabled:
                names.add(step.error_handler.plugin)
    return names
