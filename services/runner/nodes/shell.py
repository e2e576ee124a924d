"""What is started for a line of a shell; and where the line holds a secret, how the shell gets it.

Arguments stand in the process list, for everybody on the machine. So a line with a secret is no argument: the shell
finds it in a variable, takes that out of the environment, and carries the line out as ``-c`` would. What is a
program's own argument in the line is still one: that is what the line says.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
from collections.abc import Mapping
from typing import Final, Protocol, runtime_checkable

from runbus.plugin import NodeContext

_PLAIN: Final = re.compile(r"/[A-Za-z0-9_./+-]+(?: [A-Za-z0-9_./:@%+,-]+)*")
"""A program by its path and words that mean themselves: the shell would do no more than start it."""

SHELL: Final = "/bin/sh"
LINE: Final = "RUNBUS_LINE"
OF_VARIABLE: Final = f'eval "unset {LINE};${LINE}"'
"""What a shell is given as ``-c`` instead; ``eval`` has put the line in before the variable goes."""
HIDDEN_ARGV: Final = (SHELL, "-c", OF_VARIABLE)
"""What is started instead of ``/bin/sh -c LINE``, with the line in the variable :data:`LINE`."""
_POSIX: Final = "sh|bash|rbash|dash|ash|zsh|ksh|ksh93|mksh|pdksh|busybox"
"""Shells that know this ``eval``."""


@runtime_checkable
class RunnerContext(Protocol):
    """What this runner's own contexts have besides those of plugins."""

    def process_env(self) -> Mapping[str, str]:
        """The environment that processes on the runner are given."""

    def holds_secret(self, text: str) -> bool:
        """Whether a secret that logs must not show stands in a text."""


def holds_secret(context: NodeContext, line: str) -> bool:
    """Whether a line may be no argument."""
    return isinstance(context, RunnerContext) and context.holds_secret(line)


def is_posix(shell: str) -> bool:
    """Whether a shell, by its path, knows what :data:`OF_VARIABLE` says."""
    return re.fullmatch(_POSIX, shell.rpartition("/")[2]) is not None


def hidden_input(line: str) -> tuple[str, bytes]:
    """For a line that a node's login shell is to run, ``SHELL -c LINE``: what to send instead, and its whole input.

    What is sent means the same to every shell. The input is read to its end; where the connection breaks before its
    last word, nothing is run. As for ``-c`` without input, the line then finds its standard input at the end. A
    login shell that is none of :data:`_POSIX` gets the line as its argument, as it knows no other way.
    """
    end = secrets.token_hex(16)
    script = (
        f"{LINE}=$(cat); case ${LINE} in *{end}) {LINE}=${{{LINE}%{end}}};; *) exit 255;; esac; "
        f"s=${{SHELL:-/bin/sh}}; case ${{s##*/}} in {_POSIX}) export {LINE}; exec $s -c {_quoted(OF_VARIABLE)};; "
        f'*) exec $s -c "${LINE}";; esac'
    )
    return f"exec /bin/sh -c {shlex.quote(script)}", f"{line}{end}".encode("utf-8", "surrogateescape")


def _quoted(text: str) -> str:
    """In double quotes for a shell: single ones stand around it already, which not every shell nests alike."""
    return '"' + re.sub(r'(["$\\`])', r"\\\1", text) + '"'


def argv_of(command: str) -> list[str]:
    """What is started for a line: the shell, or the program itself where the shell would add nothing but time.

    A path that cannot be started is left to the shell, for its words and its exit code (126, 127).
    """
    if _PLAIN.fullmatch(command):
        words = command.split(" ")
        if os.access(words[0], os.X_OK) and os.path.isfile(words[0]) and _is_program(words[0]):  # noqa: PTH113
            return words
    return [SHELL, "-c", command]


def _is_program(path: str) -> bool:
    """Whether the kernel starts it: a script without a first line that names its interpreter is the shell's."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  (in the path of every command)
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False
