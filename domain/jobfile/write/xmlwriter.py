"""XML, element by element; what XML has no form for is written as JSON that others take for text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from domain.jobfile.xml.elements import JSON_TARGET
from schemas.errors import ErrorCode, RunbusError

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,200}\Z")

RESERVED: Final = frozenset({
    "element", "arg", "context", "logging", "node-step-plugin", "scriptargs", "scriptinterpreter", "step-plugin",
})  # fmt: skip
"""Elements that are read as other fields somewhere: a field that is named so is none of those."""

_UNFIT: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_ATTRIBUTE_ESCAPES: Final = _ESCAPES | str.maketrans({"'": "&apos;", "\n": "&#10;", "\t": "&#9;"})


class _Element:
    """An open element, closed at the end of its block."""

    def __init__(self, writer: Writer, name: str) -> None:
        self._writer = writer
        self._name = name

    def __enter__(self) -> None:
        self._writer.depth += 1

    def __exit__(self, *_: object) -> None:
        self._writer.depth -= 1
        self._writer.line(f"</{self._name}>")


class Writer:
    """Collects lines, indented by depth."""

    def __init__(self) -> None:
        self.depth = 0
        self._lines: list[str] = []

    def text(self) -> str:
        """All that was written. Raises ``invalid_job`` for a character that XML cannot hold."""
        text = "\n".join(self._lines) + "\n"
        unfit = _UNFIT.search(text)
        if unfit:
            raise RunbusError(
                ErrorCode.INVALID_JOB,
                f"the character U+{ord(unfit[0]):04X} cannot stand in XML: export these jobs as YAML or JSON.",
                details={"character": ord(unfit[0])},
            )
        return text

    def line(self, text: str) -> None:
        """One line; what is inside an element may have several."""
        self._lines.append("  " * self.depth + text)

    def element(self, name: str, attributes: Mapping[str, Any] | None = None) -> _Element:
        """An element with others in it."""
        self.line(f"<{name}{_attributes(attributes)}>")
        return _Element(self, name)

    def leaf(self, name: str, value: Any, attributes: Mapping[str, Any] | None = None) -> None:
        """An element with a value: a text as it is, true and false in words, anything else as JSON."""
        if value is None:
            self.line(f"<{name}{_attributes(attributes)}/>")
        elif isinstance(value, str):
            self.line(f"<{name}{_attributes(attributes)}>{_content(value)}</{name}>")
        else:
            self.line(f"<{name}{_attributes(attributes)}><?{JSON_TARGET}?>{_content(_json(value))}</{name}>")

    def plain(self, name: str, value: Any) -> None:
        """Any value; a map as elements, under a name of its own where XML does not take it."""
        is_name = NAME.match(name) and name not in RESERVED
        tag, attributes = (name, None) if is_name else ("element", {"name": name})
        if isinstance(value, dict) and value:
            with self.element(tag, attributes):
                for key in sorted(value):
                    self.plain(key, value[key])
        elif attributes and not isinstance(value, str):
            self.line(f"<{tag}{_attributes(attributes)}><?{JSON_TARGET}?>{_content(_json(value))}</{tag}>")
        else:
            self.leaf(tag, value, attributes)

    def flat(self, name: str, values: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> None:
        """An element with nothing but attributes."""
        self.line(f"<{name}{_attributes({**(attributes or {}), **values})}/>")

    def entries(self, name: str, config: Mapping[str, Any]) -> None:
        """A configuration of ``entry`` elements."""
        if not config:
            return
        with self.element(name):
            for key in sorted(config):
                value = config[key]
                if isinstance(value, str):
                    self.flat("entry", {"key": key, "value": value})
                else:
                    self.flat("entry", {"key": key, "value": _json(value), "type": "json"})


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def word(value: Any) -> str:
    """True, false and numbers as XML has them: in words."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _attributes(values: Mapping[str, Any] | None) -> str:
    return "".join(f" {name}='{word(value).translate(_ATTRIBUTE_ESCAPES)}'" for name, value in (values or {}).items())


def _content(text: str) -> str:
    """In a CDATA section where it has several lines, or would otherwise be taken for nothing."""
    if "\r" not in text and ("\n" in text or not text.strip()):
        return f"<![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]>"
    blank = "<![CDATA[]]>" if not text.strip() else ""
    return blank + text.translate(_ESCAPES)
