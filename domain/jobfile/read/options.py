"""``options``: what a job asks for, as a list of maps or, as older files have it, a map of them."""

from __future__ import annotations

import re
from typing import Final

import msgspec
import yaml

from domain.jobfile.notes import Place, Refused
from domain.jobfile.read.fields import Fields, Kept, Table, Unknown, one_or_more, read_list, read_map
from domain.jobfile.read.storagepath import storage_path
from domain.jobfile.read.values import (
    boolean,
    filled_text,
    flag,
    is_blank,
    kind,
    optional_text,
    plain_map,
    quoted,
    some_text,
    text,
    trimmed_text,
    whole_number,
)
from domain.nodes.javaregex.pattern import JavaPattern
from domain.nodes.javaregex.source import PatternError, TooCostlyError
from domain.options.order import in_order
from schemas.options import DEFAULT_DELIMITER, Option

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,255}\Z")


def _name(place: Place) -> str:
    value = filled_text(place)
    if not _NAME.match(value):
        raise Refused(f"{quoted(value)} cannot name an option; use letters, digits, '.', '-' and '_'")
    return value


def _values(place: Place) -> tuple[str, ...] | None:
    return tuple(one_or_more(place, text, "begin each value with '- '")) or None


def _regex(place: Place) -> str | None:
    value = some_text(place)
    if value is not None and not place.notes.full:
        try:
            JavaPattern(value)
        except PatternError as error:
            raise Refused(f"{quoted(value)} is no valid regex: {error}; correct it") from None
        except TooCostlyError as error:
            place.warn(f"values cannot be checked against it: {error}")
    return value


def _sort_index(place: Place) -> int | None:
    value = whole_number(least=0)(place)
    return int(value) if value and value.isdigit() else None


OPTION_FIELDS: Final[Table] = {
    "name": _name,
    "description": optional_text,
    "label": optional_text,
    "value": some_text,
    "values": _values,
    "valuesListDelimiter": some_text,
    "valuesUrl": trimmed_text,
    "sortValues": flag,
    "optionValuesPluginType": trimmed_text,
    "required": boolean,
    "enforced": boolean,
    "regex": _regex,
    "multivalued": flag,
    "delimiter": some_text,
    "multivalueAllSelected": flag,
    "secure": flag,
    "valueExposed": flag,
    "storagePath": storage_path,
    "isDate": boolean,
    "dateFormat": some_text,
    "hidden": boolean,
    "type": trimmed_text,
    "config": plain_map,
    "sortIndex": _sort_index,
    "configRemoteUrl": Kept("values are fetched from 'valuesUrl' without authentication"),
    "remoteUrlAuthenticationType": Kept("values are fetched from 'valuesUrl' without authentication"),
}


def options(place: Place) -> list[Option]:
    """The options in the original's order, each with its number as ``sort_index``."""
    if is_blank(place.node) and not _names_options(place):
        return []
    if kind(place.node) == "map":
        found = sorted(_named(place), key=in_order)
    else:
        found = read_list(place, _option, "begin each option with '- name: '")
    return [msgspec.structs.replace(option, sort_index=index) for index, option in enumerate(found)]


def _names_options(place: Place) -> bool:
    return isinstance(place.node, yaml.MappingNode) and bool(place.node.value)


def _named(place: Place) -> list[Option]:
    found = []
    for name, part in place.fields():
        try:
            found.append(_option(part, name))
        except Refused as refused:
            if refused.text:
                part.problem(refused.text)
    return found


def _option(place: Place, name: str = "") -> Option:
    before = place.notes.count
    fields = Fields(place) if name and is_blank(place.node) else read_map(place, OPTION_FIELDS, unknown=Unknown.KEPT)
    if not name:
        fields.require("name", "every option has a name")
    elif not _NAME.match(name):
        raise Refused(f"{quoted(name)} cannot name an option; use letters, digits, '.', '-' and '_'")
    if place.notes.count > before:
        raise Refused
    option = Option(
        **{_ATTRIBUTES[key]: value for key, value in fields.values.items() if key != "name" and value != {}},
        name=name or fields.get("name"),
        extras=fields.extras,
    )
    _check(option, fields)
    return _normal(option, fields)


_ATTRIBUTES: Final = {each.encode_name: each.name for each in msgspec.structs.fields(Option)}


def _check(option: Option, fields: Fields) -> None:
    if option.secure and option.multivalued:
        fields.places["multivalued"].problem_of_field(
            "a secure option has one value; remove 'multivalued' or 'secure'"
        )
    if option.storage_path and not option.secure:
        fields.places["storagePath"].warn("without effect: only secure options take their value from a key")
    if option.secure and option.value is not None:
        fields.places["value"].warn(
            "without effect, and not stored: a secure option has no default, which anybody could read; store the "
            "value as a key, name it with 'storagePath', and take it out of the file"
        )


def _normal(option: Option, fields: Fields) -> Option:
    """As the original stores it: values are joined by their delimiter and split at it again, trimmed, each once."""
    if not option.values:
        return option
    delimiter = option.values_list_delimiter or DEFAULT_DELIMITER
    parts = [part.strip() for part in delimiter.join(option.values).split(delimiter)]
    values = tuple(dict.fromkeys(part for part in parts if part))
    if len(parts) > len(option.values):
        advice = f"they hold {quoted(delimiter)}; give another 'valuesListDelimiter' to keep them whole"
        fields.places["values"].warn(f"read as {len(values)} values: {advice}")
    return msgspec.structs.replace(option, values=values)


def check_names(found: list[Option], place: Place) -> None:
    """Note a problem for a name that two options bear."""
    seen: set[str] = set()
    for option in found:
        if option.name in seen:
            place.problem(f"two options are named {quoted(option.name)}; rename or remove one")
        seen.add(option.name)
