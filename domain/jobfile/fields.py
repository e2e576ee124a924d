"""Maps read by a table: field name → reader. What the original knows and we do not (yet) are readers too."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml

from domain.jobfile.notes import Place, Refused
from domain.jobfile.values import NOT_YET, is_blank, is_null, kind, quoted, wrong_type

Reader = Callable[[Place], Any]
"""Reads one field's value; None means the same as no field. Raises Refused where it cannot."""


class Fields:
    """What a map holds: the values that could be read, and the place of every field, also of those that could not."""

    def __init__(self, place: Place) -> None:
        self.place: Final = place
        self.values: Final[dict[str, Any]] = {}
        self.places: Final[dict[str, Place]] = {}
        self.unknown: Final[list[str]] = []

    def get(self, name: str, default: Any = None) -> Any:
        """A field's value; the default where the field is missing, empty or wrong."""
        return self.values.get(name, default)

    def given(self, name: str) -> bool:
        """Whether the field is there with something in it, right or wrong."""
        return name in self.places and not is_null(self.places[name].node)

    def require(self, name: str, advice: str) -> None:
        """Note a problem where the field is missing."""
        if name not in self.places:
            self.place.problem(f"no {name!r}; {advice}")


def read_map(place: Place, table: Mapping[str, Reader]) -> Fields:
    """Read every field of a map by its table; note unknown fields, and go on after a wrong one."""
    if not isinstance(place.node, yaml.MappingNode) or kind(place.node) != "map":
        raise wrong_type(place, "a map", "write 'name: value' lines")
    fields = Fields(place)
    for name, part in place.fields():
        if name not in table:
            fields.unknown.append(name)
            part.problem_of_field(_unknown(name, part, table))
            continue
        fields.places[name] = part
        try:
            value = table[name](part)
        except Refused as refused:
            if refused.text:
                part.notes.problem(refused.position or part.position, part.path, refused.text)
        else:
            if value is not None:
                fields.values[name] = value
    return fields


def read_list(place: Place, read: Reader, advice: str) -> list[Any]:
    """Read every item of a list; one that cannot be read is left out, its problem noted."""
    if not isinstance(place.node, yaml.SequenceNode) or kind(place.node) != "seq":
        raise wrong_type(place, "a list", advice)
    result = []
    for item in place.items():
        try:
            result.append(read(item))
        except Refused as refused:
            if refused.text:
                item.problem(refused.text)
    return result


def ignored(why: str) -> Reader:
    """A field of the original that is read over, with a warning."""

    def read(place: Place) -> None:
        place.warn(f"ignored: {why}")

    return read


def harmless_if(test: Callable[[yaml.Node], bool], why: str) -> Reader:
    """A field that is read over, with a warning, where its value passes the test, and otherwise not supported yet."""

    def read(place: Place) -> None:
        if is_blank(place.node):
            place.warn("ignored: it is empty")
        elif test(place.node):
            place.warn(f"ignored: {why}")
        else:
            raise Refused(f"{NOT_YET}; remove it if the job can do without", position=place.key_position)

    return read


def unsupported(place: Place) -> None:
    """A field that changes what the job does, and that we cannot honour yet."""
    harmless_if(lambda _: False, "")(place)


def mistake(text: str) -> Reader:
    """A name that people write, and that is always a mistake."""

    def read(place: Place) -> None:
        raise Refused(text, position=place.key_position)

    return read


def one_of(*words: str) -> Callable[[yaml.Node], bool]:
    """A test: the value is one of these words, quoted or not, in lower or upper case."""
    return lambda node: isinstance(node, yaml.ScalarNode) and node.value.strip().lower() in words


def _unknown(name: str, place: Place, table: Mapping[str, Reader]) -> str:
    if place.notes.full:
        return ""
    folded = {known.lower(): known for known in table}
    near = difflib.get_close_matches(name[:40].lower(), folded, n=1)
    return f"unknown field; did you mean {folded[near[0]]!r}?" if near else f"unknown field {quoted(name)}; remove it"
