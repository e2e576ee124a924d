"""References: ``${group.key}`` in commands and arguments, ``@group.key@`` in scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from domain.context.scopes import DataContext, View

UNQUOTED: Final = "unquoted"
"""``${unquotedoption.x}`` is ``${option.x}``, and asks not to be quoted."""
_MAX_STEP: Final = 2**31 - 1

# Java's \s and \d know ASCII only.
# Searches also match a reference that is never closed, and so run over it once, not once for each "${" in it.
_REFERENCE: Final = re.compile(r"\$\{([^\s}]+)(\}?)", re.ASCII)
_GROUP: Final = re.compile(r"\$\{[^\s.]+(\.?)", re.ASCII)
_KEY: Final = re.compile(r"[^\s}]+(\}?)", re.ASCII)
_GROUP_AND_KEY: Final = re.compile(r"\$\{[^\s.]+\.[^\s}]+\}", re.ASCII)
_UNQUOTED_REFERENCE: Final = re.compile(r"\$\{unquoted[^\s.]+\.[^\s}]+\}", re.ASCII)
_OPTION_REFERENCE: Final = re.compile(r"\$\{option\.[^}\s]+\}", re.ASCII)
_IN_ARGUMENT: Final = re.compile(
    r"(?:(?P<step>\d+):)?(?P<group>[^\s.]+)\.(?P<key>[^\s@*]+)(?:@(?P<node>\S+)|(?P<all>\*\S*))?", re.ASCII
)
_IN_SCRIPT: Final = re.compile(
    r"(?:(?P<step>\d+):)?(?P<group>[^\s.]+)\.(?P<key>[^\s/*]+)(?:/(?P<node>\S+)|(?P<all>\*\S*))?", re.ASCII
)
_JAVA_SPACE: Final = "\t-\r\x1c- \u1680\u2000-\u2006\u2008-\u200a\u2028\u2029\u205f\u3000"
_TOKEN: Final = re.compile(f"@@|@([^@{_JAVA_SPACE}]+)@")
_LINE_END: Final = re.compile(r"\r\n|\r|\n")


class Missing(StrEnum):
    """What stands in place of a reference without a value; each place has its own rule."""

    BLANK = "blank"
    """Scripts and command steps: nothing."""
    LITERAL = "literal"
    """Settings of a step: the reference itself."""
    BLANK_OPTION = "blank_option"
    """Script arguments: nothing for an option, the reference itself for any other group."""


class Reference(NamedTuple):
    """``2:group.key@node``: what it names."""

    named: View
    group: str
    key: str
    delimiter: str | None
    """Between the values of all nodes, for ``group.key*``; a single character after the star replaces the comma."""

    def value(self, data: DataContext, here: View) -> str | None:
        """The value, ``None`` where there is none."""
        if self.delimiter is not None:
            return self.delimiter.join(data.values_of_nodes(self.named, self.group, self.key))
        return data.value(self.named.at(here), self.group, self.key, named=self.named)


def expand(text: str, data: DataContext, here: View, missing: Missing) -> str:
    """Replace every ``${…}`` of a text once: a value is not looked into again.

    Raises nothing: what is no reference, or has no value, is treated as ``missing`` says.
    """

    def replaced(match: re.Match[str]) -> str:
        if not match[2]:
            return match[0]
        reference = _parsed(_IN_ARGUMENT, match[1].removeprefix(UNQUOTED))
        value = reference.value(data, here) if reference else None
        return value if value is not None else _instead(match[0], missing)

    return _REFERENCE.sub(replaced, text)


def expand_script(text: str, data: DataContext, here: View, *, line_end: str = "\n", blank: bool = True) -> str:
    """Replace the ``@…@`` of a script, and give every line, the last one too, the target's line end.

    "Substitution": an unknown token becomes blank, ``@@`` is a literal ``@``, an ``@`` with white space before
    the next ``@`` is text. With ``blank`` false, unknown tokens stay.
    """

    def replaced(match: re.Match[str]) -> str:
        if match[1] is None:
            return "@"
        reference = _parsed(_IN_SCRIPT, match[1])
        value = reference.value(data, here) if reference else None
        return value if value is not None else ("" if blank else match[0])

    return with_line_ends(_TOKEN.sub(replaced, text), line_end)


def with_line_ends(text: str, line_end: str) -> str:
    """Every line of a text, the last one too, closed by ``line_end``; no line where there is no text."""
    lines = _LINE_END.split(text)
    if not lines[-1]:
        lines.pop()
    return "".join(f"{line}{line_end}" for line in lines)


def without_value(text: str, data: DataContext, here: View, *, script: bool = False) -> Iterator[str]:
    """The references of a text that have no value, as they stand in it; of a script, its tokens."""
    grammar, found = (_IN_SCRIPT, _TOKEN) if script else (_IN_ARGUMENT, _REFERENCE)
    for match in found.finditer(text):
        named = match[1] if script else match[2] and match[1].removeprefix(UNQUOTED)
        reference = _parsed(grammar, named) if named else None
        if reference is not None and reference.value(data, here) is None:
            yield match[0]


def has_reference(argument: str) -> bool:
    """Whether a ``${group.key}`` stands somewhere in an argument; ``${shell_variable}`` is none."""
    position = 0
    while group := _GROUP.search(argument, position):
        position = group.end()
        key = _KEY.match(argument, position) if group[1] else None
        if key and key[1]:
            return True
        position = key.end() if key else position
    return False


def is_reference(argument: str) -> bool:
    """Whether an argument is one ``${group.key}`` and nothing else."""
    return _GROUP_AND_KEY.fullmatch(argument) is not None


def asks_no_quotes(argument: str) -> bool:
    """Whether an argument is one ``${unquotedgroup.key}``."""
    return _UNQUOTED_REFERENCE.fullmatch(argument) is not None


def _parsed(grammar: re.Pattern[str], text: str) -> Reference | None:
    match = grammar.fullmatch(text)
    if match is None:
        return None
    step = None
    if match["step"]:
        digits = match["step"].lstrip("0") or "0"
        if len(digits) > len(str(_MAX_STEP)) or int(digits) > _MAX_STEP:
            return None
        step = int(digits)
    delimiter = None
    if match["all"]:
        delimiter = match["all"][1:] if len(match["all"]) == 2 else ","
    group = match["group"]
    if grammar is _IN_SCRIPT:
        group = group.replace("unquotedoption", "option")
    return Reference(View(step, match["node"]), group, match["key"], delimiter)


def _instead(reference: str, missing: Missing) -> str:
    if missing is Missing.LITERAL:
        return reference
    if missing is Missing.BLANK:
        return ""
    return "" if _OPTION_REFERENCE.fullmatch(reference) else reference
