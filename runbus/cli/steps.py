"""Steps as people read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from runbus.cli.failure import reference
from runbus.cli.render import duration, sentence
from schemas.events import StepOutcome
from schemas.jobs import JobRef, Step

MAX_LINES = 12
_SHOWN_FIRST = ("command", "script", "file", "url")
_LABELS = {"interpreter_args_quoted": "quoted", "file_extension": "extension"}
_NOT_SHOWN = frozenset({"expand_tokens"})


def step_facts(
    number: int, step: Step, outcome: StepOutcome | None = None, *, state: str = ""
) -> Iterator[tuple[str, str]]:
    """What a step is, and how it ended; ``state`` where it has not."""
    yield f"step {number}", sentence(step.plugin, step.description)
    for name in (*_SHOWN_FIRST, *sorted(set(step.config) - set(_SHOWN_FIRST) - _NOT_SHOWN)):
        if name in step.config:
            yield f"  {_LABELS.get(name, name)}", _shortened(_text(step.config[name]))
    if step.call is not None:
        called = JobRef(uuid="", name=step.call.name, group=step.call.group).path
        yield "  calls", sentence(called or step.call.uuid, step.call.args)
    if step.error_handler is not None:
        handler = step.error_handler
        clears = ", and goes on" if handler.keepgoing_on_success else ""
        said = handler.config.get("command") or handler.description
        yield "  on error", _shortened(sentence(handler.plugin, _text(said) if said else "") + clears)
    if step.log_filters:
        yield "  log filters", ", ".join(each.type for each in step.log_filters)
    if not step.enabled:
        yield "  enabled", "no"
    if outcome:
        yield "  state", outcome_text(outcome)
        if outcome.error:
            yield "  error", f"{outcome.error.message} {reference(outcome.error)}"
    else:
        yield "  state", state


def outcome_text(outcome: StepOutcome) -> str:
    """``failed, exit code 3, 1.2s``."""
    how = f"killed by {outcome.signal}" if outcome.signal else ""
    code = f"exit code {outcome.exit_code}" if outcome.exit_code is not None else ""
    return sentence(outcome.state, how or code, duration(outcome.duration_s))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _shortened(text: str) -> str:
    lines = text.splitlines()
    if len(lines) <= MAX_LINES:
        return text
    return "\n".join([*lines[:MAX_LINES], f"... {len(lines) - MAX_LINES} more lines: --json shows them"])
