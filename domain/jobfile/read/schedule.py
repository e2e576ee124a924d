"""``schedule``: a crontab in Quartz' form, or its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from domain.jobfile.notes import Place, Refused
from domain.jobfile.read.fields import Fields, Table, Unknown, read_map
from domain.jobfile.read.values import is_blank, kind, quoted, trimmed_text, wrong_type
from domain.schedule.cron import parse_cron
from domain.schedule.zones import zone_of
from schemas.errors import RunbusError
from schemas.jobs import Schedule

_FIELDS: Final = 7


def _read_parts(place: Place, *names: str) -> dict[str, Any]:
    return read_map(place, dict.fromkeys(names, trimmed_text), unknown=Unknown.REFUSED).values


def _time(place: Place) -> dict[str, Any] | None:
    return None if is_blank(place.node) else _read_parts(place, "hour", "minute", "seconds")


def _day(place: Place) -> dict[str, Any] | None:
    return None if is_blank(place.node) else _read_parts(place, "day")


SCHEDULE_FIELDS: Final[Table] = {
    "crontab": trimmed_text,
    "time": _time,
    "weekday": _day,
    "dayofmonth": _day,
    "month": trimmed_text,
    "year": trimmed_text,
}


def schedule(place: Place) -> Schedule | None:
    """A schedule, its zone not filled in yet; None where nothing is given. A single text is a crontab."""
    if is_blank(place.node):
        return None
    if isinstance(place.node, yaml.ScalarNode):
        return _checked(place, _crontab(place), {})
    fields = read_map(place, SCHEDULE_FIELDS, unknown=Unknown.REFUSED)
    if "crontab" in fields.values:
        return _checked(fields.places["crontab"], _crontab(fields.places["crontab"]), {})
    return _checked(place, _line(fields.values), _written(fields))


def _crontab(place: Place) -> str:
    """In seven fields, in capitals."""
    if kind(place.node) in ("map", "seq"):
        raise wrong_type(place, "a crontab")
    words = (trimmed_text(place) or "").upper().split()
    return " ".join([*words, "*"] if len(words) == _FIELDS - 1 else words)


def _line(values: Mapping[str, Any]) -> str:
    """The crontab of the parts: a day of the month rules out days of the week ("Schedule")."""
    time = values.get("time", {})
    of_month = values.get("dayofmonth", {}).get("day", "?")
    of_week = "?" if of_month != "?" else values.get("weekday", {}).get("day", "*")
    words = (
        time.get("seconds", "0"),
        time.get("minute", "0"),
        time.get("hour", "0"),
        of_month,
        values.get("month", "*"),
        of_week,
        values.get("year", "*"),
    )
    return " ".join("".join(word.split()) for word in words).upper()


def _written(fields: Fields) -> dict[str, Any]:
    """The parts as they were given, in one order."""
    return {name: fields.values[name] for name in SCHEDULE_FIELDS if fields.values.get(name)}


def _checked(place: Place, crontab: str, parts: dict[str, Any]) -> Schedule:
    try:
        parse_cron(crontab)
    except RunbusError as error:
        said = error.message.removeprefix("schedule: ").removesuffix(".")
        place.problem(said if "; " in said else said.replace(": ", "; ", 1))
        raise Refused from None
    return Schedule(crontab=crontab, parts=parts)


def time_zone(place: Place) -> str | None:
    """A time zone that is known."""
    value = trimmed_text(place)
    if value is not None and not place.notes.full:
        try:
            zone_of(value)
        except RunbusError:
            raise Refused(f"{quoted(value)} is no time zone; write its IANA name, as 'Europe/Athens'") from None
    return value
