"""From the original's regexes to those of the matcher used here: what does not compile there is refused here, too."""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

from domain.nodes.javaregex.charset import ANY, LINE_ENDS, CharSet, written
from domain.nodes.javaregex.escapes import MAX_NESTING, char_class, escape
from domain.nodes.javaregex.source import FLAG_NAMES, Flags, PatternError, Source, TooCostlyError, replace_flag

_MAX_COUNT: Final = (1 << 31) - 1
_MAX_PARTS: Final = 20_000
"""Counting what a count repeats as often as it repeats it: the matcher writes it out, in memory."""
_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9]*>")
_ONE_CHAR: Final = re.compile(r"(?:\\x..|\[[^\]]*\]|[^(]|\(\?(?:i:|:\(\?[!=])\[.*\))\Z", re.DOTALL)
_NEVER: Final = "(?!)"
_LINE_BREAK: Final = r"(?:\r\n|[\n\x0b\x0c\r\x85\u2028\u2029])"
_AT_LAST_LINE: Final = rf"(?=(?:\r\n|[{LINE_ENDS}])?\Z)"
_AT_LAST_UNIX_LINE: Final = r"(?=\n?\Z)"
_ANCHORS: Final = {"A": r"\A", "B": r"\B", "G": r"\G", "R": _LINE_BREAK, "X": r"\X", "b": r"\b", "z": r"\Z"}


class Translated(NamedTuple):
    """A pattern as the matcher takes it, and what may make it slow."""

    pattern: str
    parts: int
    choices: int
    """Repetitions of one character: each may end wherever it likes."""
    branches: int
    """``|`` and the like."""
    nested: bool
    """Whether something longer than a character is repeated: its cost cannot be told from the pattern."""

    def steps(self, length: int) -> int:
        """More than the matcher can take for a text of this length, where nothing is nested."""
        return self.parts * int(math.pow(length + 1, min(self.choices, 8))) << self.branches


def translated(pattern: str) -> Translated:
    """Translate a pattern. Raises ``PatternError`` where the original would not compile it.

    Case is ignored for ASCII letters only, unless the flag ``u`` is given, as in the original; in classes and back
    references it is always ignored for all letters.
    """
    translation = _Translation(Source.of(pattern))
    result = translation.alternatives()
    if translation.source.peek():
        raise PatternError("a ')' closes nothing")
    return Translated(
        result, translation.parts, translation.choices, min(translation.branches, 64), translation.nested
    )


class _Translation:
    """Reads one pattern from the left to the right; every part it returns takes a quantifier as it stands."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._groups = 0
        self._closed: set[int] = set()
        self._names: dict[str, int] = {}
        self._depth = 0
        self._behind = 0
        self.parts = 0
        self.choices = 0
        self.branches = 0
        self.nested = False

    def alternatives(self) -> str:
        """Everything up to a ``)`` or the end, which is left."""
        parts: list[str] = []
        while char := self.source.peek():
            if char == ")":
                break
            if char == "|":
                parts.append(self.source.take())
                self.branches += 1
                continue
            before = self.parts
            self.parts += 1
            part = self._part(char)
            if part is not None:
                parts.append(self._quantified(part, before))
        return "".join(parts)

    def _part(self, char: str) -> str | None:
        """One part without its quantifier; None where it only switched flags, empty where nothing stands there."""
        if char == "{":
            # a count with nothing before it repeats nothing, without an error
            return ""
        self.source.take()
        if char == "(":
            return self._group()
        if char in "*+?":
            raise PatternError(f"nothing stands before {char!r}")
        if char == "[":
            return self._one_of(char_class(self.source))
        if char == "\\":
            return self._escaped()
        if char in ".^$":
            return self._dot_or_anchor(char)
        return self._literal(char)

    def _literal(self, char: str) -> str:
        flags = self.source.flags
        if not flags.ignore_case:
            return written(char)
        if char.isascii():
            return f"[{char.lower()}{char.upper()}]" if char.isalpha() else written(char)
        return f"(?i:{char})" if flags.unicode_case else char

    def _one_of(self, chars: CharSet) -> str:
        return f"(?i:{chars.pattern()})" if self.source.flags.ignore_case else chars.pattern()

    def _dot_or_anchor(self, char: str) -> str:
        flags = self.source.flags
        ends = r"\n" if flags.unix_lines else LINE_ENDS
        if char == ".":
            return ANY if flags.dot_all else f"[^{ends}]"
        if char == "^":
            return rf"(?:\A|(?<=[{ends}])(?!\Z))" if flags.multiline else r"(?:\A)"
        if flags.multiline:
            return rf"(?:(?=[{ends}])|\Z)"
        return f"(?:{_AT_LAST_UNIX_LINE if flags.unix_lines else _AT_LAST_LINE})"

    def _escaped(self) -> str:
        letter = self.source.ahead(0)
        if letter in _ANCHORS:
            if letter == "b" and self.source.text.startswith("{g}", self.source.position + 1):
                raise PatternError("\\b{g} is not supported; write \\b")
            self.source.position += 1
            return f"(?:{_ANCHORS[letter]})" if letter else self._unfinished()
        if letter == "Z":
            self.source.position += 1
            return f"(?:{_AT_LAST_UNIX_LINE if self.source.flags.unix_lines else _AT_LAST_LINE})"
        if letter and letter in "123456789":
            return self._reference(self._group_number())
        if letter == "k":
            return self._reference(self._named_group())
        found = escape(self.source)
        return self._one_of(found) if isinstance(found, CharSet) else self._literal(found)

    def _unfinished(self) -> str:
        raise PatternError("a backslash stands at the end")

    def _group_number(self) -> int:
        number = int(self.source.take_raw())
        while (digit := self.source.peek()) and digit in "0123456789":
            if number * 10 + int(digit) > self._groups:
                break
            number = number * 10 + int(self.source.take())
        return number

    def _named_group(self) -> int:
        found = _NAME.match(self.source.text, self.source.position + 2)
        if self.source.ahead(1) != "<" or not found or found[0][:-1] not in self._names:
            raise PatternError("\\k names no group before it")
        self.source.position = found.end()
        return self._names[found[0][:-1]]

    def _reference(self, number: int) -> str:
        # a group that has not matched yet makes the reference fail, in the original too
        if number not in self._closed:
            return _NEVER
        self.choices += 1
        return f"(?i:\\{number})" if self.source.flags.ignore_case else f"(?:\\{number})"

    def _group(self) -> str | None:
        if self.source.ahead(0) != "?":
            return self._body("(", number=self._new_group())
        self.source.position += 1
        kind = self.source.take_raw()
        if kind in (":", ">"):
            return self._body(f"(?{kind}")
        if kind in ("=", "!"):
            return f"(?:{self._body(f'(?{kind}')})"
        if kind == "<":
            return self._behind_or_named()
        self.source.position -= len(kind)
        return self._flags_group()

    def _behind_or_named(self) -> str:
        kind = self.source.ahead(0)
        if kind in ("=", "!"):
            self.source.position += 1
            self._behind += 1
            body = self._body(f"(?<{kind}")
            self._behind -= 1
            return f"(?:{body})"
        found = _NAME.match(self.source.text, self.source.position)
        if not found or found[0][:-1] in self._names:
            raise PatternError("the name of a group is not valid, or given twice")
        self.source.position = found.end()
        number = self._new_group()
        self._names[found[0][:-1]] = number
        return self._body("(", number=number)

    def _new_group(self) -> int:
        self._groups += 1
        return self._groups

    def _flags_group(self) -> str | None:
        before = self.source.flags
        flags, value = before, True
        while (char := self.source.take_raw()) not in (":", ")"):
            if char == "-" and value:
                value = False
            elif char in FLAG_NAMES:
                flags = replace_flag(flags, char, value)
            else:
                raise PatternError(f"(?{char[:1]} is no group that is known")
        self.source.flags = flags
        return None if char == ")" else self._body("(?:", restore=before)

    def _body(self, opening: str, *, number: int = 0, restore: Flags | None = None) -> str:
        flags = restore or self.source.flags
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise PatternError(f"more than {MAX_NESTING} groups inside one another")
        inner = self.alternatives()
        if self.source.take() != ")":
            raise PatternError("a group is not closed")
        self._depth -= 1
        self._closed.add(number)
        self.source.flags = flags
        return f"{opening}{inner})"

    def _quantified(self, part: str, parts_before: int) -> str:
        char = self.source.peek()
        if not char or char not in "*+?{":
            return part
        self.source.take()
        count = self._count(parts_before) if char == "{" else char
        endless = char in "*+" or count.endswith(",}")
        if self.source.ahead(0) in ("?", "+"):
            count += self.source.take_raw()
        # the original overlooks 'a+' and '.*' there: what it compiles is kept
        if self._behind and endless and not (count in ("*", "+") and _ONE_CHAR.match(part)):
            raise PatternError("a look-behind has no greatest length")
        self._note_cost(count, one_char=_ONE_CHAR.match(part) is not None)
        return f"{part}{count}" if part else ""

    def _note_cost(self, count: str, *, one_char: bool) -> None:
        if count[0] == "?":
            self.branches += 1
        elif one_char:
            self.choices += 1
        else:
            self.nested = True

    def _count(self, parts_before: int) -> str:
        found = re.compile(r"([0-9]+)(?:(,)([0-9]*))?\}").match(self.source.text, self.source.position)
        if not found or len(found[1]) > 10 or len(found[3] or "") > 10:
            raise PatternError("a count in braces is not valid")
        self.source.position = found.end()
        least, most = int(found[1]), int(found[3] or 0) if found[3] else None
        if least > _MAX_COUNT or (most is not None and not least <= most <= _MAX_COUNT):
            raise PatternError("the range of a count in braces is not valid")
        self.parts += max(least - 1, 0) * (self.parts - parts_before)
        if self.parts > _MAX_PARTS:
            raise TooCostlyError("the counts in braces of a regex repeat too much; lower them")
        return "{" + found[0]
