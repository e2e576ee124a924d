"""``retry`` and ``loglimit``."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from domain.jobfile.notes import Place, Refused
from domain.jobfile.read.fields import Fields, Table, read_map
from domain.jobfile.read.values import duration, has_reference, is_blank, quoted, trimmed_text, whole_number
from schemas.jobs import LogLimit, Retry

_LOG_LIMIT: Final = re.compile(r"[0-9]{1,18}(?:/node|[gmk]?b?)?\Z", re.IGNORECASE)

_count = whole_number(least=0)

RETRY_FIELDS: Final[Table] = {"retry": _count, "delay": duration}


def retry(place: Place) -> dict[str, Any] | None:
    """Count and delay, from a text or a map of both; None where nothing is given."""
    if is_blank(place.node):
        return None
    if isinstance(place.node, yaml.MappingNode):
        return read_map(place, RETRY_FIELDS).values
    return {"retry": _count(place)}


def retry_of(fields: Fields) -> Retry | None:
    """From a job's ``retry`` and, as older files have it, ``retryDelay``."""
    given = fields.get("retry", {})
    delay = given.get("delay") or fields.get("retryDelay", "")
    if given.get("retry") is None:
        return None
    return Retry(count=given["retry"], delay=delay)


def log_limit(place: Place) -> str | None:
    """How much may be logged: ``100``, ``100/node``, ``5MB``."""
    value = trimmed_text(place)
    if value is not None and not has_reference(value) and not _LOG_LIMIT.match(value):
        raise Refused(f"{quoted(value)} is no log limit; write lines as '100', '100/node', or a size as '5MB'")
    return value


def log_limit_of(fields: Fields) -> LogLimit | None:
    """From a job's ``loglimit``, ``loglimitAction`` and ``loglimitStatus``."""
    if "loglimit" not in fields.values:
        return None
    return LogLimit(
        limit=fields.get("loglimit"),
        action=fields.get("loglimitAction", "halt"),
        status=fields.get("loglimitStatus", "failed"),
    )
