"""Exit codes of the command."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from schemas.api import ExecutionView

OK: Final = 0
PROBLEMS: Final = 1
"""``job check`` found problems."""
USAGE: Final = 2
"""The command line is wrong."""
LOST: Final = 123
"""The runner went away and did not report an end."""
TIMED_OUT: Final = 124
"""The time limit or the deadline passed."""
ERROR: Final = 125
"""Refused, unreachable, or failed without an exit code."""
SIGNAL: Final = 128
"""Plus the number of the signal that ended the job's process."""
ABORTED: Final = 130
"""Someone aborted it, or Ctrl-C ended this command."""
CLOSED_PIPE: Final = SIGNAL + signal.SIGPIPE
"""Whoever read our output does not read any more."""
TERMINATED: Final = SIGNAL + signal.SIGTERM

HELP: Final = (
    "\b\nExit code: that of the job, or\n"
    "  2     wrong command line\n"
    "  123   lost: its runner went away without reporting an end\n"
    "  124   timed out: its time limit or its deadline passed\n"
    "  125   refused, not reachable, or failed without an exit code\n"
    "  128+n its process was ended by signal n\n"
    "  130   aborted\n"
    "  141   the reader of the output went away; the execution goes on\n"
    "\nThe first Ctrl-C aborts the execution and waits for its end; the second leaves at once."
)


def of_execution(view: ExecutionView) -> int:
    """The exit code for an execution that has ended."""
    by_state = {"succeeded": OK, "aborted": ABORTED, "timedout": TIMED_OUT, "lost": LOST}
    if view.state in by_state:
        return by_state[view.state]
    if view.signal:
        return of_signal(view.signal)
    return view.exit_code or ERROR


def of_signal(name: str) -> int:
    """128 + the number of ``SIGKILL`` or ``SIGRTMIN+3``."""
    base, _, more = name.partition("+")
    try:
        return SIGNAL + signal.Signals[base] + int(more or 0)
    except (KeyError, ValueError):
        return ERROR
