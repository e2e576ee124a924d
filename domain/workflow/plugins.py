"""Which plugins a workflow needs: to be known before it is handed to anybody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from schemas.jobs import Step

OWN_STEPS: Final = ("command", "exec", "jobref", "script", "scriptfile", "scripturl")
"""Steps that every runner carries out itself."""


def placed_steps(steps: Iterable[Step]) -> Iterator[tuple[str, Step]]:
    """Each step and handler that is not switched off, with its place (``2e``: the handler of step 2)."""
    for number, step in enumerate(steps, start=1):
        if step.enabled:
            yield f"{number}", step
            if step.error_handler is not None and step.error_handler.enabled:
                yield f"{number}e", step.error_handler


def plugins_of(steps: Iterable[Step]) -> set[str]:
    """The step plugins of steps and their handlers; of called jobs ask with their own steps."""
    return {step.plugin for _, step in placed_steps(steps)}
