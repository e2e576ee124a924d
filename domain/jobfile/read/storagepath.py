"""``storagePath``: a key's name, in which options and the node may fill in parts that nobody knows yet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from domain.context.groups import JobFacts, job_context
from domain.context.references import Missing, expand
from domain.context.scopes import DataContext, View
from domain.jobfile.notes import Place, Refused
from domain.jobfile.read.fields import Fields
from domain.jobfile.read.values import quoted, trimmed_text
from domain.keys.paths import MAX_CHARS, KeyPath, checked_path
from schemas.errors import RunbusError
from schemas.jobs import JobDefinition

_STARTS: Final = ("keys/", "runner/")
_REFERENCE: Final = re.compile(r"\$\{[^}]*\}")
_PART: Final = "x"
"""Stands for a reference: what it will be is not judged, but what stands around it is."""
_FACTS: Final = job_context(
    JobFacts(execid=_PART, project=_PART, username=_PART, name="", group="", id="", loglevel="")
)
"""What a run of a job is sure to know of itself."""


def storage_path(place: Place) -> str | None:
    """The path as it is written, if some run could read a key by it."""
    value = trimmed_text(place)
    if not value:
        return value
    path = value.removeprefix("/")
    if not _may_begin_well(path):
        # nor is it shown: whoever takes this field for the value's place has written the secret itself here
        raise Refused("no path of a key; it begins with 'keys/' or 'runner/'")
    try:
        _check(_REFERENCE.sub(_PART, path))
    except RunbusError:
        raise Refused(
            f"{quoted(value)} can never be read; no part of a key's path is empty, '.' or '..', also "
            f"percent-encoded, or has a backslash or what cannot be seen, and all of it has {MAX_CHARS:,} "
            "characters at most"
        ) from None
    return value


def tell_of_references(job: JobDefinition, fields: Fields) -> None:
    """Warn of each reference in the path of a secure option that no run fills in: it would be looked for as it is."""
    paths = {option.storage_path for option in job.options if option.secure and option.storage_path}
    if not paths:
        return
    plain = {option.name: _PART for option in job.options if not option.secure}
    data = DataContext.of({"option": plain, "job": dict(_FACTS)})
    for place in _paths(fields.places["options"]):
        path = str(place.node.value).strip()
        if path in paths:
            for reference in dict.fromkeys(_REFERENCE.findall(path)):
                if expand(reference, data, View(), Missing.LITERAL) == reference:
                    place.warn(_unfilled(reference, {option.name for option in job.options if option.secure}))


def _paths(options: Place) -> Iterator[Place]:
    for option in [*options.items(), *(each for _, each in options.fields())]:
        yield from (each for name, each in option.fields() if name == "storagePath")


def _unfilled(reference: str, secure: set[str]) -> str:
    group, _, name = reference[2:-1].removeprefix("unquoted").partition(".")
    why = "a path may refer to plain options of the job, and to the job itself ('${job.project}')"
    if group == "node":
        why = f"the key is read before the first step, for all nodes; {why}"
    elif group == "option":
        is_secure = name in secure
        why = f"the option is secure, {why}" if is_secure else f"the job has no such option; {why}"
    return f"{quoted(reference)} is never filled in, and the key is looked for under this very name: {why}"


def _may_begin_well(path: str) -> bool:
    known, reference, _ = path.partition("${")
    return path.startswith(_STARTS) or (bool(reference) and any(start.startswith(known) for start in _STARTS))


def _check(path: str) -> None:
    """Raises ``key_unavailable``."""
    if path.startswith(_STARTS):
        KeyPath.parse(path)
    else:  # a reference fills in where it begins
        checked_path(path)
