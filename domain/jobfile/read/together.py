"""What shows only where several fields of a job are looked at together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import yaml

from domain.jobfile.notes import Place
from domain.jobfile.read.fields import Fields
from domain.jobfile.read.values import quoted
from schemas.jobs import JobDefinition
from schemas.options import Option

_SECURE_GROUP: Final = "secureOption"
# what is never closed is matched, too, and so run over once
_OPTION_REFERENCE: Final = re.compile(
    r"\$\{(?:\d{1,9}:)?(?:unquoted)?(?P<group>option|secureOption)\.(?P<name>[^\s}*@]+)[^\s}]*(?P<end>\}?)"
)


def look_at(job: JobDefinition, fields: Fields) -> None:
    """Warn of fires that will fail, and of notifications that ask for what they are not given."""
    if job.schedule is not None and job.schedule_enabled and job.execution_enabled:
        for option in job.options:
            if option.required and option.default is None and not option.is_stored:
                fields.places["schedule"].warn(_no_fire(option))
    if job.notifications:
        secure = {option.name for option in job.options if option.secure}
        for place in _texts(fields.places["notification"]):
            for reference in _secure_references(str(place.node.value), secure):
                place.warn(
                    f"{quoted(reference)} is never filled in: a notification is given no secure option; take it out"
                )


def _no_fire(option: Option) -> str:
    what = "required and secure" if option.secure else "required"
    how = "name a key with 'storagePath'" if option.secure else "give it a 'value'"
    return f"every fire will fail: option {quoted(option.name)} is {what}, and nobody is asked for it; {how}"


def _texts(place: Place) -> Iterator[Place]:
    """Every text below a place, by its own position."""
    if isinstance(place.node, yaml.ScalarNode):
        yield place
    for part in place.items():
        yield from _texts(part)
    for _, part in place.fields():
        yield from _texts(part)


def _secure_references(text: str, secure: set[str]) -> dict[str, None]:
    return dict.fromkeys(
        match[0]
        for match in _OPTION_REFERENCE.finditer(text)
        if match["end"] and (match["group"] == _SECURE_GROUP or match["name"] in secure)
    )
