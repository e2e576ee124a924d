"""Splits a line into arguments and joins arguments into a line, by the original's rules rather than a shell's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_BLANKS: Final = re.compile(r"[\x00- ]+")
_PLAIN: Final = re.compile(r"[^\x00- ]+")
_IN_SINGLE: Final = re.compile(r"[^']*")
_IN_DOUBLE: Final = re.compile(r'[^"]*')
_PLAIN_SINGLE: Final = re.compile(r"[^'\x00- ]*")
_PLAIN_DOUBLE: Final = re.compile(r'[^"\x00- ]*')
_NEEDS_QUOTES: Final = re.compile(r"[\x00- \"']")


def split_arguments(line: str) -> list[str]:
    """Split at white space (all of U+0000 to U+0020).

    A ``'`` or ``"`` quotes only where a token starts with it; doubled inside, it stands for itself; elsewhere, like
    a backslash anywhere, it is text. A quote that is not closed reaches to the end. Two or more blanks and nothing
    else are one empty argument.
    """
    start = _after_blanks(line, 0)
    if start == len(line):
        return [""] if len(line) > 1 else []
    tokens = []
    while start < len(line):
        token, end = _quoted(line, start) if line[start] in "'\"" else _plain(line, start)
        tokens.append(token)
        start = _after_blanks(line, end)
    return tokens


def join_arguments(arguments: Iterable[str]) -> str:
    """The line that splits into ``arguments``: those with a blank or a quote, and empty ones, in double quotes.

    The original leaves a tab bare, so that it splits there; here every argument comes back as it was.
    """
    return " ".join(_joinable(argument) for argument in arguments)


def _joinable(argument: str) -> str:
    if argument and not _NEEDS_QUOTES.search(argument):
        return argument
    doubled = argument.replace('"', '""')
    return f'"{doubled}"'


def _after_blanks(line: str, start: int) -> int:
    match = _BLANKS.match(line, start)
    return match.end() if match else start


def _plain(line: str, start: int) -> tuple[str, int]:
    match = _PLAIN.match(line, start)
    end = match.end() if match else len(line)
    return line[start:end], end


def _quoted(line: str, start: int) -> tuple[str, int]:
    """One token that starts with a quote: quoted and plain pieces by turns, up to a blank outside the quotes."""
    quote = line[start]
    inside, outside = (_IN_SINGLE, _PLAIN_SINGLE) if quote == "'" else (_IN_DOUBLE, _PLAIN_DOUBLE)
    pieces = []
    quoting = False
    position = start
    while position < len(line):
        if line[position] == quote:
            if quoting and line.startswith(quote, position + 1):
                pieces.append(quote)
                position += 2
                continue
            quoting = not quoting
            position += 1
        match = (inside if quoting else outside).match(line, position)
        if match:
            pieces.append(match[0])
            position = match.end()
        if not quoting and position < len(line) and line[position] != quote:
            break
    return "".join(pieces), position
