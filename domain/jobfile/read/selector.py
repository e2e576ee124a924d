"""``runnerSelector``: which runners carry a job out."""

from __future__ import annotations

import difflib
from typing import Final

import yaml

from domain.jobfile.notes import Place, Refused
from domain.jobfile.read.fields import Fields, Reader, Table, Unknown, mistake, read_map
from domain.jobfile.read.values import has_reference, is_blank, optional_text, quoted, text
from domain.selection import tag_set_of
from schemas.errors import RunbusError
from schemas.jobs import RunnerSelector, SelectorMode

_TAG_TYPES: Final = ("TAG_FILTER_AND", "TAGS_FILTER_AND")
_LOCAL_TYPE: Final = "LOCAL_RUNNER"
_TYPES: Final = {
    SelectorMode.TAGS: _TAG_TYPES,
    SelectorMode.FILTER: _TAG_TYPES,
    SelectorMode.LOCAL: (_LOCAL_TYPE,),
}


def _word(*known: str) -> Reader:
    def read(place: Place) -> str:
        value = text(place)
        if value not in known:
            near = difflib.get_close_matches(value[:40].upper(), known, n=1)
            advice = f"did you mean {str(near[0])!r}?" if near else f"use {' or '.join(known)}"
            raise Refused(f"{quoted(value)} is not known; {advice}")
        return value

    return read


def _misspelt(right: str) -> Reader:
    return mistake(f"Rundeck ignores this name silently and then runs the job locally; write {right!r}")


SELECTOR_FIELDS: Final[Table] = {
    "filter": optional_text,
    "runnerFilterMode": _word(*SelectorMode),
    "runnerFilterType": _word(*_TAG_TYPES, _LOCAL_TYPE),
    "filterMode": _misspelt("runnerFilterMode"),
    "filterType": _misspelt("runnerFilterType"),
}


def runner_selector(place: Place) -> RunnerSelector | None:
    """The selector; None where nothing is given, which means the Local Runner."""
    if is_blank(place.node) and not isinstance(place.node, yaml.CollectionNode):
        return None
    before = place.notes.count
    fields = read_map(place, SELECTOR_FIELDS, unknown=Unknown.REFUSED)
    if place.notes.count > before:
        raise Refused
    fields.require("runnerFilterMode", f"say {', '.join(SelectorMode)}; without it the job would run locally")
    if "runnerFilterMode" not in fields.values:
        raise Refused
    selector = RunnerSelector(mode=SelectorMode(fields.get("runnerFilterMode")), filter=fields.get("filter", ""))
    _check_type(fields, selector.mode)
    if has_reference(selector.filter) and selector.mode is not SelectorMode.LOCAL:
        return selector
    try:
        tag_set_of(selector)
    except RunbusError as error:
        raise Refused(f"{error.message.removesuffix('.')}; correct 'filter' or 'runnerFilterMode'") from None
    return selector


def _check_type(fields: Fields, mode: SelectorMode) -> None:
    given = fields.get("runnerFilterType")
    if given and given not in _TYPES[mode]:
        fields.places["runnerFilterType"].problem(
            f"{given} contradicts runnerFilterMode {mode}; use {' or '.join(_TYPES[mode])}, or another mode"
        )
