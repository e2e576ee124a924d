"""Structured logs: for a person on a terminal, as JSON lines elsewhere; to stderr."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, Final, Literal

import msgspec
import structlog

LogFormat = Literal["auto", "console", "json"]
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_frames: Final = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
"""Local variables may hold a job's secrets."""


def configure(*, part: str, level: str = "info", form: LogFormat = "auto") -> None:
    """Set the log of this process up; ``part`` stands in every line."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    processors: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if console:
        processors.append(structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback))
    else:
        processors += [structlog.processors.ExceptionRenderer(_frames), structlog.processors.JSONRenderer(_json)]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS.get(level, logging.INFO)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr)
        if console
        else structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(part=part)


def _json(event: dict[str, Any], *, default: Any) -> bytes:
    """One line. The standard library takes half as long again, but also what is no Unicode: a log must not raise."""
    try:
        return msgspec.json.encode(event, enc_hook=default)
    except (UnicodeEncodeError, TypeError):
        return json.dumps(event, default=default, skipkeys=True, ensure_ascii=False).encode(errors="replace")
