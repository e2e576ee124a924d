"""From text to nodes, within bounds: nothing is constructed, and a hostile file costs what a large one does."""

from __future__ import annotations

import re
from typing import Final

import yaml

from domain.jobfile.bounds import MAX_DEPTH, MAX_NODES, MAX_TEXT_BYTES, TooMuchError, too_deep, too_many
from domain.jobfile.jsonsource import NotJsonError, json_node
from domain.jobfile.notes import Notes, Place, Position, is_merge, joined, position_at, position_of
from domain.jobfile.xml.elements import NotXmlError, root_element
from domain.jobfile.xml.shape import job_nodes

MAX_PATH_CHARS: Final = 100
"""Of a path in a message about depth: such paths are long and repeat themselves."""

LOADER: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_UNREADABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_UNFIT_VALUE: Final = re.compile("[\0\ud800-\udfff]")
_XML: Final = re.compile(r"\s*<[?!A-Za-z]")
_JSON: Final = re.compile(r"\s*[\[{]")

_ADVICE: Final = (
    ("mapping values are not allowed", "check the indentation, and quote a text that contains ': '"),
    ("cannot start any token", "quote a text that begins with '@', '`' or '%', and indent with spaces, not tabs"),
    ("tab character", "indent with spaces, not tabs"),
    ("undefined alias", "'*' at the beginning of a text means an alias: quote the text"),
    ("while scanning a quoted scalar", "look for a quote that is not closed"),
    ("while scanning an alias", "'*' at the beginning of a text means an alias: quote the text"),
    ("while scanning an anchor", "'&' at the beginning of a text means an anchor: quote the text"),
    ("while scanning a tag", "'!' at the beginning of a text means a tag: quote the text"),
    ("could not find expected ':'", "this line is no 'field: value': check the indentation"),
    ("flow sequence", "look for a '[' that is not closed"),
    ("flow mapping", "look for a '{' that is not closed; quote a text that begins with '{'"),
    ("while parsing a block", "check that the fields of one map, or the '-' of one list, begin in the same column"),
)


def documents(text: str, notes: Notes, file: str = "") -> list[yaml.Node]:
    """The root node of each document; none, and a problem noted, where the text cannot be read.

    ``.xml`` and ``.json`` at the end of ``file`` say the format; else what the text begins with.
    """
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_TEXT_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
        notes.problem(Position(1, 1), "", "longer than 1 MiB; split the file")
        return []
    name = file.lower()
    try:
        if name.endswith(".xml") or _XML.match(text):
            return [job_nodes(root_element(text))]
        if name.endswith(".json"):
            return [json_node(text)]
        return _json_or_none(text) or _yaml(text, notes)
    except TooMuchError as error:
        notes.problem(position_at(error.mark), _short(error.path), str(error))
    except NotXmlError as error:
        notes.problem(position_at(error.mark), "", str(error))
    except NotJsonError as error:
        notes.problem(position_at(error.mark), "", f"not valid JSON: {error}; correct it")
    return []


def _json_or_none(text: str) -> list[yaml.Node]:
    """What looks like JSON and is none may still be YAML."""
    if not _JSON.match(text):
        return []
    try:
        return [json_node(text)]
    except NotJsonError:
        return []


def _yaml(text: str, notes: Notes) -> list[yaml.Node]:
    unfit = _unfit(text)
    if unfit:
        notes.problem(unfit[0], "", unfit[1])
        return []
    try:
        _check_events(text)
        return list(yaml.compose_all(text, Loader=LOADER))
    except yaml.MarkedYAMLError as error:
        notes.problem(position_at(error.problem_mark or error.context_mark), "", _plain_words(error))
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # the parser in Python lets a few malformed numbers of escapes and directives through as ValueError
        notes.problem(Position(1, 1), "", f"not valid YAML: {_printable(str(error))}; correct the file")
    return []


class Inspection:
    """Checks whole trees before they are read: bounds, repeated names, and what no field may hold.

    One inspection serves one file, so that its bounds hold for all jobs together. After it, a tree can be read
    recursively without a thought about size or depth.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._nodes = 0
        self._chars = 0
        self._seen: set[int] = set()

    def accepts(self, place: Place) -> bool:
        """Whether the tree may be read; where not, the problem is noted. Smaller problems do not stop the reading."""
        try:
            self._visit(place.node, place.path, 1)
        except TooMuchError as error:
            self._notes.problem(position_at(error.mark), _short(error.path), str(error))
            return False
        return True

    def _visit(self, node: yaml.Node, path: str, depth: int) -> None:
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise TooMuchError(node.start_mark, f"{too_deep()} (does an alias contain itself?)", path)
        if self._nodes > MAX_NODES:
            raise TooMuchError(node.start_mark, f"{too_many()} (aliases repeat their values)", path)
        if isinstance(node, yaml.ScalarNode):
            self._scalar(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._visit(item, f"{path}[{index}]", depth + 1)
        elif isinstance(node, yaml.MappingNode):
            if id(node) not in self._seen:
                self._seen.add(id(node))
                self._names(node, path)
            for key, value in node.value:
                name = key.value if isinstance(key, yaml.ScalarNode) else "?"
                self._visit(key, joined(path, name), depth + 1)
                self._visit(value, joined(path, name), depth + 1)

    def _scalar(self, node: yaml.ScalarNode, path: str) -> None:
        self._chars += len(node.value)
        if self._chars > MAX_TEXT_BYTES:
            raise TooMuchError(node.start_mark, "aliases repeat more than 1 MiB of text; write less", path)
        if id(node) not in self._seen and _UNFIT_VALUE.search(node.value):
            self._seen.add(id(node))
            self._notes.problem(position_of(node), path, "holds a NUL or half a character; take the escape out")

    def _names(self, node: yaml.MappingNode, path: str) -> None:
        first: dict[str, int] = {}
        for key, _ in node.value:
            position = position_of(key)
            if not isinstance(key, yaml.ScalarNode):
                self._notes.problem(position, path, "a list or map cannot be a field's name; quote the text")
            elif is_merge(key):
                self._notes.problem(position, path, "merge keys ('<<') are not supported; write the fields out")
            elif key.value in first:
                text = f"given twice, first in line {first[key.value]}; keep one"
                self._notes.problem(position, joined(path, key.value), text)
            else:
                first[key.value] = position.line


def _short(path: str) -> str:
    return path if len(path) <= MAX_PATH_CHARS else path[:MAX_PATH_CHARS] + "..."


def _unfit(text: str) -> tuple[Position, str] | None:
    bad = _UNREADABLE.search(text)
    if bad:
        before = text[: bad.start()]
        position = Position(before.count("\n") + 1, len(before) - before.rfind("\n"))
        return position, f"the character U+{ord(bad[0]):04X} cannot stand in YAML; remove it"
    return None


def _check_events(text: str) -> None:
    """Bound depth and size while the parser streams: composing recurses, and builds the whole tree."""
    depth = count = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        count += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise TooMuchError(event.start_mark, too_deep() if depth > MAX_DEPTH else too_many())


def _plain_words(error: yaml.MarkedYAMLError) -> str:
    reason = " ".join(str(part) for part in (error.context, error.problem) if part)
    advice = next((words for sign, words in _ADVICE if sign in reason), "check indentation, quotes and brackets here")
    return f"not valid YAML: {_printable(reason)}; {advice}"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:300])
