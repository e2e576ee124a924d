"""Quotes an argument for the shell of the target: unix by default, windows where ``osFamily`` says so."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_UNIX_SPECIAL: Final = re.compile(r"""["';{}()&$\\|*?><`\n\r\t ]""")
_WINDOWS_SPECIAL: Final = re.compile(r"""[&|<>^%!;,()\\/:*?"$`'{}\n\r\t\x00 ]""")
_CMD_SPECIAL: Final = re.compile(r"""[&|<>^%!;,()\\/:*?"$`'{}]""")
_BACKSLASHES_BEFORE_QUOTE: Final = re.compile(r'(\\*)("|\Z)')

WINDOWS: Final = "windows"
CMD: Final = "cmd"


@dataclass(frozen=True, slots=True)
class Target:
    """What arguments are quoted for: a node's ``osFamily``, and on windows its command interpreter.

    Only ``windows`` differs: no family, or one that is not known, is quoted as unix.
    """

    os_family: str = ""
    command_interpreter: str = ""

    @property
    def is_windows(self) -> bool:
        """Whether the target's shell is one of windows."""
        return self.os_family.lower() == WINDOWS

    @property
    def line_end(self) -> str:
        """How the lines of a script end there."""
        return "\r\n" if self.is_windows else "\n"

    def quote(self, argument: str) -> str:
        """One argument as the target's shell takes it for one word; left as it is where nothing in it is special.

        As in the original, an empty argument stays empty and so disappears from a command line.
        """
        if not self.is_windows:
            return quote_unix(argument)
        return escape_cmd(argument) if self.command_interpreter.lower() == CMD else quote_windows(argument)


def quote_unix(argument: str) -> str:
    """Single quotes, with ``'`` → ``'"'"'`` ("Quoting")."""
    if not _UNIX_SPECIAL.search(argument):
        return argument
    inner = argument.replace("'", "'\"'\"'")
    return f"'{inner}'"


def quote_windows(argument: str) -> str:
    r"""Double quotes, with ``%`` → ``%%``, ``"`` → ``\"``; backslashes are doubled before a quote and at the end."""
    if not _WINDOWS_SPECIAL.search(argument):
        return argument
    escaped = _BACKSLASHES_BEFORE_QUOTE.sub(_doubled, argument).replace("%", "%%")
    return f'"{escaped}"'


def escape_cmd(argument: str) -> str:
    """A caret before every special character: for nodes whose command interpreter is ``cmd``."""
    return _CMD_SPECIAL.sub(r"^\g<0>", argument)


def command_line(command: str | None, arguments: Iterable[str], *, legacy_unsafe: bool = False) -> str:
    """A command and its arguments as one unix line, each quoted where it has to be.

    ``legacy_unsafe`` is the original's old rule: quotes only around what holds a space and has none yet.
    """
    words = [*([] if command is None else [command]), *arguments]
    quoted = [_legacy_quoted(word) if legacy_unsafe else quote_unix(word) for word in words]
    return " ".join(quoted).lstrip(" ")


def _legacy_quoted(word: str) -> str:
    is_quoted = word.startswith("'") and word.rfind("'") == len(word) - 1
    return f"'{word}'" if " " in word and not is_quoted else word


def _doubled(match: re.Match[str]) -> str:
    return match[1] * 2 + ('\\"' if match[2] else "")
