"""Structured logs: for a person on a terminal, as JSON lines elsewhere; to stderr."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, Literal

import msgspec
import structlog

LogFormat = Literal["auto", "console", "json"]
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_frames: Final = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
"""Local variables may hold a job's secrets."""

Mask = Callable[[str], str]
_masks: Final[ContextVar[tuple[Mask, ...]]] = ContextVar("masks", default=())


def hide(mask: Mask) -> None:
    """Pass all that this task logs from here on through ``mask``, and the tasks that it starts; exceptions, too."""
    _masks.set((*_masks.get(), mask))


def configure(*, part: str, level: str = "info", form: LogFormat = "auto") -> None:
    """Set the log of this process up; ``part`` stands in every line."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    processors: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if console:
        # first made text, then masked
        processors += [structlog.processors.format_exc_info, _hidden]
        processors.append(structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback))
    else:
        processors += [structlog.processors.ExceptionRenderer(_frames), _hidden]
        processors.append(structlog.processors.JSONRenderer(_json))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS.get(level, logging.INFO)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr)
        if console
        else structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(part=part)
    logging.getLogger().handlers[:] = [_OfLibraries(logging.WARNING)]


class _OfLibraries(logging.Handler):
    """What libraries log by the standard library: where that was, and not its words, which may repeat an answer."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        structlog.get_logger("library").log(
            record.levelno, "library.said", library=record.name, at=f"{record.module}:{record.lineno}",
            error=kind.__name__ if kind else "",
        )  # fmt: skip


def _hidden(_logger: Any, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    for mask in _masks.get():
        event = _masked(event, mask)
    return event


def _masked(value: Any, mask: Mask) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {_masked(key, mask): _masked(each, mask) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(each, mask) for each in value]
    return value


def _json(event: dict[str, Any], *, default: Any) -> bytes:
    """One line. The standard library takes half as long again, but also what is no Unicode: a log must not raise."""
    try:
        return msgspec.json.encode(event, enc_hook=default)
    except (UnicodeEncodeError, TypeError):
        return json.dumps(event, default=default, skipkeys=True, ensure_ascii=False).encode(errors="replace")
