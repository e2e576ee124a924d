"""The settings ``mapping``, ``attributes`` and ``tags`` of the original's sources for containers, pods and machines.

A source finds *facts* of each node, texts by name (``docker:Image``, ``default:status``, ``vm.name``), among them the
node's ``hostname``. These settings, given once for all nodes, say what is made of them:

=================================  ================================================================================
``mapping``                        entries separated by commas or white space
``ATTR.selector=FACT,FACT``        the attribute is the first of these facts that is there and not empty. A piece
                                   without ``=`` belongs to the entry before it. Of several such entries for one
                                   attribute the last with a value holds
``ATTR.default=TEXT``              where no other entry of ``mapping`` sets the attribute; of several the first. It
                                   holds over what the source itself would say
``ATTR.VALUE.default=TEXT``        where any fact of the node is just VALUE (``docker-shell.redis:7.default=sh``); it
                                   holds over plain defaults and over selectors before it. VALUE may hold dots, and
                                   stand in ``<>``
``tags.selector=FACT,FACT``        every one of these facts is a tag, one that holds commas several. ``tag.`` is the
                                   same, and so are defaults of tags
``attributes``                     ``NAME=TEXT NAME='TEXT WITH BLANKS'``, split as a shell does; ``tags=A,B``: more
                                   tags
``tags``                           tags and ``tag.selector=FACT`` (or ``tags.selector=FACT``), separated by commas
=================================  ================================================================================

What sets a thing last holds: the source's own, ``mapping``, ``attributes``. The attribute ``nodename`` is the node's
name. Tags are added up.

Where this differs from the original, which follows no rule there: it fails on a fact that is not known and on a piece
without ``=``; it takes commas as text where the setting has several lines; it lets ``tags`` of ``mapping`` and of
``attributes`` replace all other tags. An entry that is neither a selector nor a default it leaves out silently; here
:attr:`Mapping.ignored` names it, for a warning.
"""

from __future__ import annotations

import collections.abc
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.nodes import Node

NODE_NAME: Final = "nodename"
TAGS: Final = frozenset({"tag", "tags"})
_SELECTOR: Final = ".selector"
_DEFAULT: Final = ".default"
_TAG_SELECTORS: Final = ("tag.selector=", "tags.selector=")
_SEPARATOR: Final = re.compile(r"([,\s]+)")
_SHOWN_CHARS: Final = 80

Facts = collections.abc.Mapping[str, str]
Deeper = Callable[[str], str | None]
"""Finds what a selector names and the facts do not hold, such as a path into what an interface answered."""


class SettingError(ValueError):
    """A setting that cannot be read; the text has its name, the part at fault, and what to write."""


@dataclass(frozen=True, slots=True)
class Selector:
    """``ATTR.selector=…``; or of the setting ``tags`` a tag that is a fact."""

    attribute: str
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Default:
    """``ATTR.default=…``, or ``ATTR.VALUE.default=…``."""

    attribute: str
    text: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Mapping:
    """The setting ``mapping``."""

    entries: tuple[Selector | Default, ...] = ()
    ignored: tuple[str, ...] = ()
    """Keys that are neither selectors nor defaults."""


@dataclass(frozen=True, slots=True)
class Rules:
    """All three settings of a source."""

    mapping: Mapping
    attributes: dict[str, str]
    tags: tuple[str | Selector, ...]

    @classmethod
    def parse(cls, *, mapping: str = "", attributes: str = "", tags: str = "", is_spaced: bool = False) -> Rules:
        """Raises :class:`SettingError`. ``is_spaced``: see :func:`parse_tags`."""
        return cls(parse_mapping(mapping), parse_attributes(attributes), tuple(parse_tags(tags, is_spaced=is_spaced)))

    def facts(self) -> frozenset[str]:
        """Every fact that a selector names."""
        selectors = (each for each in (*self.mapping.entries, *self.tags) if isinstance(each, Selector))
        return frozenset(name for selector in selectors for name in selector.facts)

    def warnings(self) -> list[str]:
        """What of the settings has no effect."""
        told = "ends neither in .selector nor in .default, and is left out"
        return [f"mapping: {_shown(key)} {told}" for key in self.mapping.ignored]

    def node(
        self,
        name: str,
        own: Facts,
        own_tags: Iterable[str],
        *,
        facts: Facts | None = None,
        deeper: Deeper | None = None,
    ) -> Node:
        """The node that is made of what a source found.

        ``own`` are the attributes that it has anyway; ``facts`` what the settings may name, where that is more or
        other than ``own``. A name that the settings make blank is not taken.
        """
        known = own if facts is None else facts
        mapped, tags = apply(self.mapping, known, deeper)
        given = dict(self.attributes)
        listed = given.pop("tags", "")
        attributes = {key: value for key, value in {**own, **mapped, **given}.items() if key != "tags"}
        found = {*own_tags, *tags, *tags_of(self.tags, known, deeper), *_split_tags([listed])}
        name = attributes.pop(NODE_NAME, "").strip() or name
        return Node(name=name, attributes=attributes, tags=sorted(found))


def parse_mapping(text: str) -> Mapping:
    """The entries in order. Raises :class:`SettingError` for a piece that belongs to none, and one without a name."""
    entries: list[Selector | Default] = []
    ignored = []
    for key, value in _pairs(text):
        if key.endswith(_SELECTOR):
            attribute = _named(key.removesuffix(_SELECTOR), key)
            facts = tuple(name for name in _SEPARATOR.split(value)[::2] if name)
            entries.append(Selector(attribute, facts))
        elif key.endswith(_DEFAULT):
            attribute, dot, when = key.removesuffix(_DEFAULT).partition(".")
            entries.append(Default(_named(attribute, key), value, _bare(when) if dot else None))
        else:
            ignored.append(key)
    return Mapping(tuple(entries), tuple(ignored))


def parse_attributes(text: str) -> dict[str, str]:
    """``NAME=TEXT``, of a repeated name the last; a text may hold ``=``. Raises :class:`SettingError`."""
    try:
        tokens = shlex.split(text)
    except ValueError as cause:
        raise SettingError(f"attributes: {_shown(text)} has an open quote or a lone backslash ({cause})") from None
    pairs = {}
    for token in tokens:
        name, equals, value = token.partition("=")
        if not equals or not name:
            raise SettingError(f"attributes: {_shown(token)} is not NAME=TEXT; quote texts that hold blanks")
        pairs[name] = value
    return pairs


def parse_tags(text: str, *, is_spaced: bool = False) -> list[str | Selector]:
    """Tags, and selectors of tags. ``is_spaced``: without any comma, white space separates them (docker)."""
    items = text.split() if is_spaced and "," not in text else (item.strip() for item in text.split(","))
    return [_tag(item) for item in items if item]


def apply(mapping: Mapping, data: Facts, deeper: Deeper | None = None) -> tuple[dict[str, str], list[str]]:
    """What the mapping makes of the facts of one node: attributes (``nodename`` is the name), and tags, each once.

    ``deeper`` is asked for what a selector names and ``data`` has not.
    """
    attributes: dict[str, str] = {}
    tags: list[str] = []
    plain_tags: list[str] = []
    for entry in mapping.entries:
        if entry.attribute not in TAGS:
            if (value := _value(entry, data, attributes, deeper)) is not None:
                attributes[entry.attribute] = value
        elif isinstance(entry, Selector):
            tags += _found(entry, data, deeper)
        elif entry.value is None:
            plain_tags.append(entry.text)
        elif entry.value in data.values():
            tags.append(entry.text)
    return attributes, _split_tags(tags or plain_tags)


def tags_of(tags: Sequence[str | Selector], data: Facts, deeper: Deeper | None = None) -> list[str]:
    """The tags of one node by the setting ``tags``, each once."""
    return _split_tags(
        text for tag in tags for text in ((tag,) if isinstance(tag, str) else _found(tag, data, deeper))
    )


def _value(entry: Selector | Default, data: Facts, attributes: dict[str, str], deeper: Deeper | None) -> str | None:
    """What the entry sets its attribute to; None: it leaves it."""
    if isinstance(entry, Selector):
        return next(_found(entry, data, deeper), None)
    holds = entry.attribute not in attributes if entry.value is None else entry.value in data.values()
    return entry.text if holds else None


def _found(selector: Selector, data: Facts, deeper: Deeper | None) -> Iterator[str]:
    for name in selector.facts:
        value = data[name] if name in data else deeper(name) if deeper else None
        if value:
            yield value


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Keys and values; what has no ``=`` is more of the value before it."""
    key, value, separator = "", "", ""
    for place, piece in enumerate(_SEPARATOR.split(text)):
        if place % 2:
            separator = piece if "\n" not in piece else "," if "," in piece else " "
        elif "=" in piece:
            if key:
                yield key, value
            key, _, value = piece.partition("=")
            if not key:
                raise SettingError(f"mapping: {_shown(piece)} names no attribute; write ATTR.selector=FACT")
        elif piece and not key:
            raise SettingError(f"mapping: {_shown(piece)} is not ATTR.selector=FACT, nor ATTR.default=TEXT")
        elif piece:
            value += separator + piece
    if key:
        yield key, value


def _named(attribute: str, key: str) -> str:
    if not attribute:
        raise SettingError(f"mapping: {_shown(key)} names no attribute; write ATTR{key}=…")
    return attribute


def _bare(value: str) -> str:
    return value[1:-1] if value.startswith("<") and value.endswith(">") else value


def _tag(item: str) -> str | Selector:
    for prefix in _TAG_SELECTORS:
        if item.startswith(prefix):
            return Selector("tags", (item.removeprefix(prefix).strip(),))
    return item


def _split_tags(texts: Iterable[str]) -> list[str]:
    tags = (tag.strip() for text in texts for tag in text.split(","))
    return list(dict.fromkeys(tag for tag in tags if tag))


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 3] + "...")
