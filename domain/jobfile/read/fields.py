"""Maps read by a table: field name → reader. What has no meaning here is kept as it is, and warned of."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Final, TypeAlias

import yaml

from domain.jobfile.notes import Place, Refused
from domain.jobfile.read.values import is_blank, is_null, kind, plain, quoted, wrong_type

Reader: TypeAlias = Callable[[Place], Any]
"""Reads one field's value; None means the same as no field. Raises Refused where it cannot."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A field of the original that has no meaning here: its value goes into ``extras``, as it is."""

    missed: str = ""
    """What the original does with it and we do not, for a warning; empty: nothing that a run would show."""
    harmless: Callable[[yaml.Node], bool] = is_blank
    """Values that need no warning."""


Table: TypeAlias = Mapping[str, Reader | Kept]

_ALMOST: Final = 0.8
"""How like a vital name another has to be (by difflib's ratio) to be taken for it."""


class Fields:
    """What a map holds: the values that could be read, and the place of every field, also of those that could not."""

    def __init__(self, place: Place) -> None:
        self.place: Final = place
        self.values: Final[dict[str, Any]] = {}
        self.extras: Final[dict[str, Any]] = {}
        self.places: Final[dict[str, Place]] = {}
        self.unknown: Final[dict[str, Place]] = {}

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

    def keep(self, name: str) -> None:
        """Put a field's value into ``extras``: as it was read, or else as it stands."""
        self.extras[name] = self.values[name] if name in self.values else plain(self.places[name])

    def only(self, *names: str) -> dict[str, Any]:
        """The values of these fields, of those that have one."""
        return {name: self.values[name] for name in names if name in self.values}


class Unknown(Enum):
    """What becomes of a field that a table does not name: the original reads over it without a word."""

    KEPT = "kept, and without effect"
    """In ``extras``, with a warning: exported again, it is not lost."""
    IGNORED = "ignored"
    """With a warning, in a map that has no place for it."""
    REFUSED = "remove it"
    """In a map where a name that is written wrongly means another place, or another time, to run."""


def read_map(place: Place, table: Table, *, unknown: Unknown = Unknown.IGNORED, vital: Sequence[str] = ()) -> Fields:
    """Read every field of a map by its table; note unknown fields, and go on after a wrong one.

    A name that is nearly one of the ``vital`` ones is always refused.
    """
    if not isinstance(place.node, yaml.MappingNode) or kind(place.node) != "map":
        raise wrong_type(place, "a map", "write 'name: value' lines")
    fields = Fields(place)
    for name, part in place.fields():
        if name in table:
            fields.places[name] = part
            _attempt(part, partial(_read, fields, name, table[name]))
            continue
        fields.unknown[name] = part
        if unknown is Unknown.REFUSED or _near(name, vital, _ALMOST):
            refuse_unknown(name, part, table)
            continue
        if unknown is Unknown.KEPT:
            _attempt(part, partial(_keep_unknown, fields, name))
        part.warn("" if part.notes.warned_enough else f"{unknown.value}: {_unknown(name, table)}")
    return fields


def refuse_unknown(name: str, place: Place, table: Table) -> None:
    """Note a field as a problem, with the nearest name that is known."""
    text = "" if place.notes.full else _unknown(name, table)
    place.problem_of_field(text if text.endswith("?") else f"{text}; {Unknown.REFUSED.value}")


def _keep_unknown(fields: Fields, name: str) -> None:
    fields.extras[name] = plain(fields.unknown[name])


def _attempt(part: Place, read: Callable[[], None]) -> None:
    try:
        read()
    except Refused as refused:
        if refused.text:
            part.notes.problem(refused.position or part.position, part.path, refused.text)


def _read(fields: Fields, name: str, reader: Reader | Kept) -> None:
    part = fields.places[name]
    if isinstance(reader, Kept):
        if is_blank(part.node):
            return
        fields.keep(name)
        if reader.missed and not reader.harmless(part.node):
            part.warn(f"kept, and without effect: {reader.missed}")
    else:
        value = reader(part)
        if value is not None:
            fields.values[name] = value


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


def one_or_more(place: Place, read: Reader, advice: str) -> list[Any]:
    """The same where a single item may stand without a list, as in XML; none where nothing is given."""
    if is_blank(place.node):
        return []
    if isinstance(place.node, yaml.SequenceNode):
        return read_list(place, read, advice)
    return [read(place)]


def without_effect(why: str) -> Reader:
    """A field that is read over, with a warning: it says what is so anyway, or what only the file's sender knew."""

    def read(place: Place) -> None:
        if not is_blank(place.node):
            place.warn(f"ignored: {why}")

    return read


def mistake(text: str) -> Reader:
    """A name that people write, and that is always a mistake."""

    def read(place: Place) -> None:
        raise Refused(text, position=place.key_position)

    return read


def one_of(*words: str) -> Callable[[yaml.Node], bool]:
    """A test: the value is one of these words, quoted or not, in lower or upper case."""
    return lambda node: isinstance(node, yaml.ScalarNode) and node.value.strip().lower() in words


def _unknown(name: str, known: Iterable[str]) -> str:
    near = _near(name, known)
    return f"unknown field; did you mean {near!r}?" if near else f"unknown field {quoted(name)}"


def _near(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    folded = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name[:40].lower(), folded, n=1, cutoff=cutoff)
    return folded[near[0]] if near else None
