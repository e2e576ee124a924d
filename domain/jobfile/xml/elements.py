"""From XML text to elements, within bounds. Document types and entities are refused: nothing is ever expanded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

import yaml

from domain.jobfile.bounds import MAX_DEPTH, MAX_NODES, TooMuchError, mark_at, too_many

JSON_TARGET: Final = "runbus-json"
"""A processing instruction in an element whose text is JSON: for values that XML has no form for. Others skip it."""


@dataclass(slots=True)
class Element:
    """One element with its place."""

    name: str
    mark: yaml.error.Mark
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    is_given: bool = False
    """Whether its text counts although there is nothing but blanks in it: it stands in a CDATA section."""
    is_json: bool = False

    @property
    def text(self) -> str | None:
        """Its text; None where there is none, or nothing but blanks."""
        text = "".join(self.texts)
        return text if self.is_given or text.strip() else None


class NotXmlError(Exception):
    """The text is no XML, or XML that is refused."""

    def __init__(self, mark: yaml.error.Mark, text: str) -> None:
        super().__init__(text)
        self.mark = mark


def root_element(text: str) -> Element:
    """The root. Raises NotXmlError, and TooMuchError beyond the bounds of depth and size."""
    reader = _Reader()
    try:
        reader.parser.Parse(text, True)
    except expat.ExpatError as error:
        mark = mark_at(max(error.lineno - 1, 0), error.offset)
        raise NotXmlError(mark, f"not valid XML: {expat.ErrorString(error.code)}; {_advice(error.code)}") from None
    except UnicodeEncodeError as error:
        before = text[: error.start]
        mark = mark_at(before.count("\n"), len(before) - before.rfind("\n") - 1)
        raise NotXmlError(mark, "half a character cannot stand in XML; remove it") from None
    return reader.top.children[0]


def _advice(code: int) -> str:
    names = {
        "mismatched tag": "close each element before the one around it",
        "undefined entity": "only &lt; &gt; &amp; &quot; &apos; and numbers are known: write the character itself",
        "no element found": "is the file complete?",
        "duplicate attribute": "keep one of the two",
        "junk after document element": "put all jobs into one <joblist>",
    }
    return names.get(
        expat.ErrorString(code), "write '<' as '&lt;' and '&' as '&amp;', or scripts as <![CDATA[ ... ]]>"
    )


class _Reader:
    def __init__(self) -> None:
        self.top: Final = Element("", mark_at(0, 0))
        self._open = [self.top]
        self._count = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartCdataSectionHandler = self._cdata
        self.parser.ProcessingInstructionHandler = self._instruction
        self.parser.StartDoctypeDeclHandler = self._doctype

    def _mark(self) -> yaml.error.Mark:
        return mark_at(self.parser.CurrentLineNumber - 1, self.parser.CurrentColumnNumber)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        mark = self._mark()
        self._count += 1 + len(attributes)
        if len(self._open) > MAX_DEPTH:
            raise TooMuchError(mark, f"more than {MAX_DEPTH} elements inside one another; flatten the file")
        if self._count > MAX_NODES:
            raise TooMuchError(mark, too_many())
        element = Element(name, mark, attributes)
        self._open[-1].children.append(element)
        self._open.append(element)

    def _end(self, _name: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        self._open[-1].texts.append(text)

    def _cdata(self) -> None:
        self._open[-1].is_given = True

    def _instruction(self, target: str, _data: str) -> None:
        self._open[-1].is_json |= target == JSON_TARGET

    def _doctype(self, *_: object) -> None:
        text = "a document type (<!DOCTYPE ...>) is refused, and with it all entities; remove it"
        raise NotXmlError(self._mark(), text)
