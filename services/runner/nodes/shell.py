"""What is started for a line of the local shell."""

from __future__ import annotations

import os
import re
from typing import Final

_PLAIN: Final = re.compile(r"/[A-Za-z0-9_./+-]+(?: [A-Za-z0-9_./:@%+,-]+)*")
"""A program by its path and words that mean themselves: the shell would do no more than start it."""


def argv_of(command: str) -> list[str]:
    """What is started for a line: the shell, or the program itself where the shell would add nothing but time.

    A path that cannot be started is left to the shell, for its words and its exit code (126, 127).
    """
    if _PLAIN.fullmatch(command):
        words = command.split(" ")
        if os.access(words[0], os.X_OK) and os.path.isfile(words[0]) and _is_program(words[0]):  # noqa: PTH113
            return words
    return ["/bin/sh", "-c", command]


def _is_program(path: str) -> bool:
    """Whether the kernel starts it: a script without a first line that names its interpreter is the shell's."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  (in the path of every command)
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False
